package pool

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// postSize is how much a POST of the loss tests carries.
const postSize = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A lossServer answers POSTs early, late or while it reads slowly, and notes
// whose body came whole.
type lossServer struct {
	whole []atomic.Bool // by id
}

func (s *lossServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	id, _ := strconv.Atoi(r.Header.Get("X-Id"))
	answer := func() {
		w.Header().Set("Content-Length", "2")
		io.WriteString(w, "ok")
		rc.Flush()
	}
	slow := false
	switch r.Header.Get("X-Way") {
	case "early":
		rc.EnableFullDuplex()
		answer()
	case "early and slow":
		rc.EnableFullDuplex()
		answer()
		slow = true
	case "slow":
		slow = true
		defer answer()
	case "late":
		defer answer()
		defer func() { <-time.After(5 * time.Millisecond) }()
	}
	sum := crc32.New(castagnoli)
	for buf := make([]byte, 32<<10); ; {
		n, err := r.Body.Read(buf)
		sum.Write(buf[:n])
		if err != nil {
			break
		}
		if slow {
			<-time.After(2 * time.Millisecond)
		}
	}
	if strconv.Itoa(int(sum.Sum32())) == r.Header.Get("X-Sum") {
		s.whole[id].Store(true)
	}
}

// post sends one POST and reports whether a response came.
func post(ctx context.Context, rt http.RoundTripper, url string, id int) bool {
	body := make([]byte, postSize)
	for i := 0; i < len(body); i += 8 {
		binary.LittleEndian.PutUint64(body[i:], rand.Uint64())
	}
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	req.Header.Set("X-Id", strconv.Itoa(id))
	req.Header.Set("X-Way", []string{"early", "late", "slow", "early and slow"}[id%4])
	req.Header.Set("X-Sum", strconv.Itoa(int(crc32.Checksum(body, castagnoli))))
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return false
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return true
}

// TestKernelNoByteLost: whatever a server that gave a response was sent, it has
// got, however soon after it the connection ended.
func TestKernelNoByteLost(t *testing.T) {
	for _, tt := range []struct {
		proto string
		posts int
		loss  int // percent of the packets
	}{
		{"http", 10_000, 0},
		{"h2c", 1_000, 0},
		{"http", 400, 5},
	} {
		t.Run(tt.proto+"/loss="+strconv.Itoa(tt.loss), func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				n := tt.posts
				if testing.Short() {
					n /= 10
				}
				srv := &lossServer{whole: make([]atomic.Bool, n)}
				s := &stage{t: t, lab: lab, proto: tt.proto, base: http.DefaultTransport.(*http.Transport).Clone()}
				serveHandler(s, srv)
				if tt.loss > 0 {
					defer lab.Loss(t, tt.loss)()
				}
				answered := postAll(t, s, n)
				got, lost := 0, 0
				for id := range answered {
					if !answered[id].Load() {
						continue
					}
					if got++; !srv.whole[id].Load() {
						lost++
					}
				}
				if got < n*99/100 {
					t.Errorf("only %d of %d POSTs got a response", got, n)
				}
				if lost > 0 {
					t.Errorf("%d of %d bodies did not come whole", lost, got)
				}
				if client, _ := s.timeWaits(); client != 0 {
					t.Errorf("this side has %d TIME_WAIT", client)
				}
				t.Logf("%d of %d POSTs answered, %d of their bodies lost", got, n, lost)
			})
		})
	}
}

// postAll sends n POSTs, ends each connection at once by one of three ways, and
// says which POSTs got a response. It returns when the server has done with all.
func postAll(t *testing.T, s *stage, n int) []atomic.Bool {
	answered := make([]atomic.Bool, n)
	var ids atomic.Int64
	var wg sync.WaitGroup
	for worker := range 30 {
		wg.Go(func() {
			tr := &Transport{Base: s.base}
			if worker%3 == 0 {
				tr.MaxRequests = 1
			}
			defer func() { shutdown(t, tr) }()
			for {
				id := int(ids.Add(1)) - 1
				if id >= n {
					return
				}
				answered[id].Store(post(t.Context(), tr, s.url, id))
				switch worker % 3 {
				case 1:
					tr.CloseIdleConnections()
				case 2:
					shutdown(t, tr)
					tr = &Transport{Base: s.base}
				}
			}
		})
	}
	wg.Wait()
	s.srv.Close() // waits for its handlers
	return answered
}
