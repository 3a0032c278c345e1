package pool

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// An attack is what a server does with a connection: over HTTP/1.1 when it has
// read a request, over HTTP/2 when it has read the client's preface.
type attack struct {
	name string
	do   func(*prey)
}

const (
	chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	helloHead   = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
)

// says returns an attack that says something and then the same without end, if
// that is not empty; else it closes.
func says(name, first, endless string) attack {
	return attack{name, func(v *prey) {
		if v.say(first) && endless != "" {
			v.flood(endless)
		}
	}}
}

var attacksHTTP1 = []attack{
	says("garbage", "\x00\xff\x16\x03\x01", ""),
	says("endless garbage", "", "\x00\xff\x16\x03\x01"),
	says("endless status line", "HTTP/1.1 200 ", "a"),
	says("endless header field", "HTTP/1.1 200 OK\r\nX: ", "a"),
	says("endless header fields", "HTTP/1.1 200 OK\r\n", "X-Filler: filler\r\n"),
	says("endless continuation lines", "HTTP/1.1 200 OK\r\nX: a", "\r\n a"),
	says("endless 100", "", "HTTP/1.1 100 Continue\r\n\r\n"),
	says("endless 103", "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
	says("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", ""),
	says("length below zero", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "a"),
	says("length beyond int64", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", "a"),
	says("giant length", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", "a"),
	says("unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "a"),
	says("chunk of 2^63-1", chunkedHead+"7fffffffffffffff\r\n", "a"),
	says("chunk of 2^64-1", chunkedHead+"ffffffffffffffff\r\n", "a"),
	says("chunk of 2^64", chunkedHead+"10000000000000000\r\n", "a"),
	says("endless chunk size", chunkedHead, "0"),
	says("endless chunk extension", chunkedHead+"5;", "a"),
	says("endless empty extensions", chunkedHead, "1;a\r\nx\r\n"),
	says("endless trailer", chunkedHead+"0\r\n", "X-Filler: filler\r\n"),
	says("endless body", "HTTP/1.1 200 OK\r\n\r\n", "a"),
	says("endless bytes after the response", helloHead, "HTTP/1.1 200 OK\r\n"),
	says("endless responses", "", helloHead),
	says("flood during the farewell", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "a"),
	says("unasked upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "a"),
	says("answer without a version", "HTTP/9.9 200 OK\r\n\r\n", ""),
	says("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "a"),
	{"silence", func(v *prey) { io.Copy(io.Discard, v.r) }},
	{"a byte at a time", func(v *prey) {
		for v.say("HTTP/1.1 200 OK\r\n"); v.say("X"); {
			<-time.After(10 * time.Millisecond)
		}
	}},
}

// speaks returns an attack that begins as an honest server does, and answers
// requests from the first on as says does.
func speaks(name, first, endless string) attack {
	return attack{name, func(v *prey) {
		if !v.say(opening) || !v.awaitRequest() {
			return
		}
		v.readOn()
		if !v.say(first) {
			return
		}
		if endless != "" {
			v.flood(endless)
		}
	}}
}

// deafly is speaks by a server that reads nothing of the answers.
func deafly(name, endless string) attack {
	return attack{name + ", nobody reads the answers", func(v *prey) {
		if v.say(opening) && v.awaitRequest() {
			v.flood(endless)
		}
	}}
}

// setting returns SETTINGS with one setting.
func setting(id byte, value uint32) string {
	return frameBytes(frameSettings, 0, 0, string([]byte{0, id, byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}))
}

// filler is a header block of one field, literally.
var filler = "\x00\x08x-filler\x7f\x00" + strings.Repeat("a", 127)

var (
	ping    = frameBytes(framePing, 0, 0, "01234567")
	answers = frameBytes(frameHeaders, flagEndHeaders, 1, status200)
)

var attacksHTTP2 = []attack{
	{"garbage instead of SETTINGS", func(v *prey) { v.say("HTTP/1.1 400 Bad Request\r\n\r\n") }},
	{"silence", func(v *prey) { io.Copy(io.Discard, v.r) }},
	{"silence after SETTINGS", func(v *prey) { v.say(opening); io.Copy(io.Discard, v.r) }},
	speaks("endless header block", frameBytes(frameHeaders, 0, 1, status200), frameBytes(frameContinuation, 0, 1, filler)),
	speaks("endless empty CONTINUATION", frameBytes(frameHeaders, 0, 1, status200), frameBytes(frameContinuation, 0, 1, "")),
	speaks("endless 103", "", frameBytes(frameHeaders, flagEndHeaders, 1, "\x08\x03103")),
	speaks("endless trailers", answers+frameBytes(frameHeaders, 0, 1, filler), frameBytes(frameContinuation, 0, 1, filler)),
	speaks("endless HEADERS", "", answers),
	speaks("bad header block", frameBytes(frameHeaders, flagEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff\xff"), ""),
	speaks("table beyond its limit", frameBytes(frameHeaders, flagEndHeaders, 1, "\x3f\xff\xff\xff\xff\x0f"+status200), ""),
	speaks("frame too large", "\xff\xff\xff\x00\x00\x00\x00\x00\x01", "a"),
	speaks("endless body", answers, frameBytes(frameData, 0, 1, strings.Repeat("a", 1000))),
	speaks("endless empty DATA", answers, frameBytes(frameData, 0, 1, "")),
	speaks("endless padding", answers, frameBytes(frameData, 8, 1, "\xfe"+strings.Repeat("\x00", 254))),
	speaks("DATA before HEADERS", frameBytes(frameData, 0, 1, "hello"), ""),
	speaks("DATA on no stream", frameBytes(frameData, 0, 0, "hello"), ""),
	speaks("DATA on a stream to come", frameBytes(frameData, 0, 99, "hello"), ""),
	speaks("SETTINGS flood", "", setting(4, 70000)),
	speaks("PING flood", "", ping),
	speaks("PING acknowledgements of nothing", "", frameBytes(framePing, 1, 0, "01234567")),
	speaks("SETTINGS acknowledgements of nothing", "", frameBytes(frameSettings, 1, 0, "")),
	speaks("RST_STREAM flood", "", frameBytes(frameReset, 0, 1, "\x00\x00\x00\x08")),
	speaks("PRIORITY flood", "", frameBytes(framePriority, 0, 1, "\x00\x00\x00\x00\x10")),
	speaks("flood of unknown frames", "", frameBytes(0xbe, 0xff, 1, "unknown")),
	speaks("WINDOW_UPDATE flood", "", frameBytes(frameWindow, 0, 0, "\x00\x00\x00\x01")),
	speaks("window beyond its limit", frameBytes(frameWindow, 0, 0, "\x7f\xff\xff\xff"), ""),
	speaks("window grows by nothing", frameBytes(frameWindow, 0, 1, "\x00\x00\x00\x00"), ""),
	speaks("PUSH_PROMISE", frameBytes(framePush, flagEndHeaders, 1, "\x00\x00\x00\x02"+status200), ""),
	speaks("no streams", setting(3, 0), ""),
	speaks("no streams, endlessly", "", setting(3, 0)),
	speaks("window of 2^31", setting(4, 1<<31), ""),
	speaks("frames of no size", setting(5, 0), ""),
	speaks("giant header table", setting(1, 1<<32-1)+answers, frameBytes(frameData, 0, 1, "")),
	speaks("GOAWAY before the request", frameBytes(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"), ""),
	speaks("GOAWAY with an even id", frameBytes(frameGoAway, 0, 0, "\x00\x00\x00\x02\x00\x00\x00\x00"), ping),
	speaks("GOAWAY with the last id", frameBytes(frameGoAway, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00"), ping),
	speaks("GOAWAY with a growing id", frameBytes(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00")+
		frameBytes(frameGoAway, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00"), ping),
	speaks("GOAWAY flood", "", frameBytes(frameGoAway, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00"+strings.Repeat("a", 1000))),
	speaks("GOAWAY cut short", frameBytes(frameGoAway, 0, 0, "\x00"), ""),
	speaks("flood during the farewell", frameBytes(frameHeaders, flagEndHeaders|flagEndStream, 1, status200), ping),
	deafly("SETTINGS flood", setting(4, 70000)),
	deafly("PING flood", ping),
	deafly("flood after the response", frameBytes(frameHeaders, flagEndHeaders|flagEndStream, 1, status200)+ping),
}

// TestHostileServer: whatever a server says, requests end with their contexts,
// memory stays within bounds, a pool is usable as soon as its server behaves,
// and one that is shut down while it is attacked comes to its end.
func TestHostileServer(t *testing.T) {
	log.SetOutput(io.Discard) // net/http writes a line there for each unexpected frame
	defer log.SetOutput(os.Stderr)
	for _, proto := range protos {
		attacks := attacksHTTP1
		if strings.HasPrefix(proto, "h2") {
			attacks = attacksHTTP2
		}
		for _, a := range attacks {
			t.Run(proto+"/"+strings.ReplaceAll(a.name, " ", "_"), func(t *testing.T) { playHostile(t, proto, a) })
		}
	}
}

const (
	hostileTimeout = 80 * time.Millisecond // of requests to a server that attacks
	hostileSlack   = 5 * time.Second       // for a machine that is busy
	hostileMemory  = 64 << 20
)

func playHostile(t *testing.T, proto string, a attack) {
	srv := newHostileServer(t, proto, a.do)
	check := netlab.Leaks(t)
	highest := watchMemory(t)
	policy := linger.Policy{Wait: 50 * time.Millisecond}
	var pools [2]*Transport
	for i := range pools {
		pools[i] = &Transport{Base: srv.base, Dialer: &dialer.Dialer{Linger: &linger.Closer{Policy: policy}}}
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() { getHostile(t, pools[i%2], srv.url, i) })
	}
	wg.Wait()
	shutdownWithin(t, pools[0])
	srv.release()
	began := time.Now()
	for tries := 1; ; tries++ {
		err := tryHello(t, pools[1], srv.url)
		if err == nil {
			break
		}
		// A connection may still look alive.
		if time.Since(began) > hostileSlack || tries > 20 {
			t.Fatalf("not usable after %d tries: %v", tries, err)
		}
	}
	shutdownWithin(t, pools[1])
	if n := highest(); n > hostileMemory {
		t.Errorf("%d MiB of memory were used", n>>20)
	}
	check()
}

// getHostile sends a GET and uses the response, if one comes, in the i-th way.
func getHostile(t *testing.T, tr *Transport, url string, i int) {
	ctx, cancel := context.WithTimeout(t.Context(), hostileTimeout)
	defer cancel()
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > hostileTimeout+hostileSlack {
			t.Errorf("the request took %v", took)
		}
	}()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		// The connection is the caller's, as with net/http, and no context ends it.
	case i/2 == 0:
		io.Copy(io.Discard, resp.Body) // until the context ends
	case i/2 == 1:
		io.CopyN(io.Discard, resp.Body, 1000)
	}
}

// tryHello sends a GET to a server that behaves.
func tryHello(t *testing.T, tr *Transport, url string) error {
	ctx, cancel := context.WithTimeout(t.Context(), hostileSlack)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// shutdownWithin shuts tr down, which must not take long whatever its server does.
func shutdownWithin(t *testing.T, tr *Transport) {
	t.Helper()
	began := time.Now()
	shutdown(t, tr)
	if took := time.Since(began); took > hostileSlack {
		t.Errorf("Shutdown took %v", took)
	}
}

// watchMemory begins to watch the heap. The function it returns ends that, and
// returns by how much the heap had grown at most.
func watchMemory(t *testing.T) (highest func() int64) {
	now := func() int64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return int64(s[0].Value.Uint64())
	}
	before, most := now(), int64(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			most = max(most, now()-before)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return func() int64 {
		close(stop)
		wg.Wait()
		return most
	}
}
