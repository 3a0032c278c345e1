package netlab

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// An endpoint is one of a server's addresses with the protocol to speak there.
type endpoint struct {
	name  string
	addr  netip.AddrPort
	url   string
	major int // of the HTTP version
	roots *x509.CertPool
}

// endpoints are those of the server's addresses that its program has.
func (s *Server) endpoints() []endpoint {
	var es []endpoint
	add := func(name, scheme string, addr netip.AddrPort, major int) {
		if addr.IsValid() {
			es = append(es, endpoint{name, addr, scheme + "://" + addr.String(), major, s.Roots})
		}
	}
	add("http", "http", s.Plain, 1)
	if s.Plain.IsValid() { // who speaks HTTP/1.1 at all does so over TLS too
		add("https", "https", s.TLS, 1)
	}
	add("h2", "https", s.TLS, 2)
	add("h2c", "http", s.H2C, 2)
	return es
}

// client returns a stock client that speaks the endpoint's protocol alone.
func (e endpoint) client(t testing.TB) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(e.major == 1)
	protocols.SetHTTP2(e.major == 2)
	protocols.SetUnencryptedHTTP2(e.major == 2)
	tr := &http.Transport{
		Protocols:           protocols,
		TLSClientConfig:     &tls.Config{RootCAs: e.roots},
		MaxIdleConnsPerHost: 1000,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// get fetches a path and returns the length of what came.
func (e endpoint) get(t testing.TB, c *http.Client, path string) int64 {
	t.Helper()
	resp, err := c.Get(e.url + path)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		t.Error(err)
	}
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != e.major {
		t.Errorf("%s%s: %s %s, want HTTP/%d", e.url, path, resp.Proto, resp.Status, e.major)
	}
	return n
}

// open leaves a number of idle HTTP/1.1 connections in the client.
func (e endpoint) open(t testing.TB, c *http.Client, n int) {
	t.Helper()
	// No response is read before all have come, so no connection is used twice.
	var come, done sync.WaitGroup
	come.Add(n)
	for range n {
		done.Go(func() {
			resp, err := c.Get(e.url)
			come.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			come.Wait()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}
