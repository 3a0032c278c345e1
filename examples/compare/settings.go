package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// settings are the command's flags with every default resolved.
type settings struct {
	work        workKind
	requests    int
	concurrency int
	bursts      int
	pause       time.Duration // between bursts
	delay       time.Duration // of the server's answer
	size        int           // of the body
	tls, http2  bool
	url         *url.URL // or nil: the embedded server
	insecure    bool
	namespace   bool
	json        bool
}

// idleTimeout is how long connections rest in the work "idle", and idlePause
// how long the work waits until they have left.
const (
	idleTimeout = 200 * time.Millisecond
	idlePause   = 2 * idleTimeout
)

// A workKind names what the clients do.
type workKind string

const (
	burst  workKind = "burst"
	churn  workKind = "churn"
	unread workKind = "unread"
	closes workKind = "close"
	idle   workKind = "idle"
)

// works has what each kind of work does when the flags say nothing. The bodies
// are small, so that a client that closes one unread has all of it in its
// buffer: with bytes left in the socket the kernel would send a reset, not FIN.
var works = map[workKind]struct {
	is                            string
	bursts, concurrency, requests int
	pause                         time.Duration
}{
	burst:  {"bursts of requests at once, with pauses", 50, 64, 0, 20 * time.Millisecond},
	churn:  {"short lives: a client for each burst, a few requests one by one", 300, 1, 1200, 0},
	unread: {"bursts, with bodies that are closed unread", 50, 64, 0, 20 * time.Millisecond},
	closes: {`bursts, with "Connection: close" from the server`, 50, 64, 0, 20 * time.Millisecond},
	idle:   {"bursts, with pauses in which resting connections expire", 8, 64, 0, idlePause},
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	var work, target string
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&work, "work", string(burst), "what the clients do: burst, churn, unread, close or idle")
	f.IntVar(&s.requests, "requests", 0, "requests of each client; 0: bursts × concurrency (churn: 1200)")
	f.IntVar(&s.concurrency, "concurrency", 0, "requests at once; 0: 64 (churn: 1)")
	f.IntVar(&s.bursts, "bursts", 0, "bursts, or lives of clients in churn; 0: as the work needs")
	f.DurationVar(&s.pause, "pause", -1, "`time` between bursts; negative: as the work needs")
	f.DurationVar(&s.delay, "delay", 3*time.Millisecond, "`time` that the embedded server takes for an answer")
	f.IntVar(&s.size, "size", 1024, "`bytes` in the embedded server's answer")
	f.BoolVar(&s.tls, "tls", false, "speak TLS to the embedded server")
	f.BoolVar(&s.http2, "http2", false, "speak HTTP/2, over TLS or in plaintext")
	f.StringVar(&target, "url", "", "ask the `server` of this URL instead of an embedded one")
	f.BoolVar(&s.insecure, "insecure", false, "with -url: do not verify the server's certificate")
	f.BoolVar(&s.namespace, "namespace", true, "run in a network namespace of its own, where that is possible")
	f.BoolVar(&s.json, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	s.work = workKind(work)
	err := s.resolve(target, f.Args())
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
	}
	return s, err
}

// resolve fills in the defaults and finds what cannot be used.
func (s *settings) resolve(target string, rest []string) error {
	w, ok := works[s.work]
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case !ok:
		return fmt.Errorf("-work %q is none of burst, churn, unread, close, idle", s.work)
	case s.requests < 0 || s.concurrency < 0 || s.bursts < 0 || s.delay < 0 || s.size < 0:
		return errors.New("-requests, -concurrency, -bursts, -delay and -size cannot be negative")
	}
	if s.pause < 0 {
		s.pause = w.pause
	}
	s.concurrency = cmp.Or(s.concurrency, w.concurrency)
	perBurst := s.concurrency
	if w.requests > 0 {
		perBurst = max(perBurst, w.requests/w.bursts)
	}
	if s.bursts == 0 {
		s.bursts = w.bursts
		if s.requests > 0 {
			s.bursts = max(1, min(s.bursts, s.requests/perBurst))
		}
	}
	s.requests = cmp.Or(s.requests, s.bursts*perBurst)
	return s.resolveURL(target)
}

func (s *settings) resolveURL(target string) error {
	if target == "" {
		return nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("-url %q is not an http or https URL", target)
	}
	// Through a proxy, the sockets would be to the proxy, and it would be the
	// proxy that is compared.
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return err
	}
	if proxy != nil {
		return fmt.Errorf("the environment has the proxy %s for %s: unset it", proxy.Redacted(), u.Redacted())
	}
	s.url, s.tls = u, u.Scheme == "https"
	return nil
}

// protocol says what is spoken.
func (s *settings) protocol() string {
	p := []string{"HTTP/1.1", "in plaintext"}
	if s.http2 {
		p[0] = "HTTP/2"
	}
	if s.tls {
		p[1] = "over TLS"
	}
	return strings.Join(p, " ")
}

// protocols returns the same for net/http. Each client is held to one protocol,
// so that all speak the same.
func (s *settings) protocols() *http.Protocols {
	p := new(http.Protocols)
	switch {
	case !s.http2:
		p.SetHTTP1(true)
	case s.tls:
		p.SetHTTP2(true)
	default:
		p.SetUnencryptedHTTP2(true)
	}
	return p
}
