package pool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

// A canceler is an http.Transport, or what takes its place.
type canceler interface {
	http.RoundTripper
	CancelRequest(*http.Request)
}

// Programs compare the errors of requests that they have cancelled with those
// that they have seen, so they must be http.Transport's own.
func TestCancelledErrorsAreNetHTTPs(t *testing.T) {
	for how, cancel := range map[string]func(canceler, *http.Request, chan struct{}){
		"Cancel":        func(_ canceler, _ *http.Request, c chan struct{}) { close(c) },
		"CancelRequest": func(tr canceler, req *http.Request, _ chan struct{}) { tr.CancelRequest(req) },
	} {
		for _, when := range []string{"dial", "header", "body"} {
			t.Run(how+"/"+when, func(t *testing.T) {
				stock := cancelledError(t, when, cancel, func(base *http.Transport) canceler { return base })
				pooled := cancelledError(t, when, cancel, func(base *http.Transport) canceler {
					tr := &Transport{Base: base}
					t.Cleanup(func() { shutdown(t, tr) })
					return tr
				})
				if stock == nil || pooled != stock {
					t.Errorf("the pool gave %v, http.Transport %v; not the same value", pooled, stock)
				}
			})
		}
	}
}

// cancelledError has a request cancelled while its connection is dialled, or
// while it waits for the header or the body of its response.
func cancelledError(t *testing.T, when string, cancel func(canceler, *http.Request, chan struct{}), with func(*http.Transport) canceler) error {
	t.Helper()
	there, over := make(chan bool, 1), make(chan bool)
	srv, base := newServer(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if when == "body" {
			stuck(w, r)
			return
		}
		there <- true
		<-r.Context().Done()
	}))
	if when == "dial" {
		base.DialContext = func(context.Context, string, string) (net.Conn, error) {
			there <- true
			<-over
			return nil, errors.New("nobody waits for this")
		}
	}
	defer close(over)
	tr := with(base)
	req, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	c := make(chan struct{})
	req.Cancel = c
	if when == "body" {
		resp := begin(t, tr, req)
		cancel(tr, req, c)
		_, err := resp.Body.Read(make([]byte, 1))
		return err
	}
	go func() {
		<-there
		cancel(tr, req, c)
	}()
	_, err := tr.RoundTrip(req)
	return err
}

// CancelRequest spares all requests but its own.
func TestCancelRequestOfAnother(t *testing.T) {
	srv, base := newServer(t, "http", stuck)
	tr := &Transport{Base: base}
	defer shutdown(t, tr)
	mine, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	other, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	canceled := begin(t, tr, mine)
	resp := begin(t, tr, other)
	tr.CancelRequest(mine)
	canceled.Body.Close()
	tr.CancelRequest(mine) // a second time, and when it is over
	tr.CancelRequest(new(http.Request))
	read := make(chan error, 1)
	go func() {
		_, err := resp.Body.Read(make([]byte, 1))
		read <- err
	}()
	select {
	case err := <-read:
		t.Errorf("the other request ended: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	tr.CancelRequest(other)
	if err := <-read; err != errCanceled() {
		t.Errorf("the other request ended with %v, want %v", err, errCanceled())
	}
}

// What is provoked has the words that are expected: else these would be errors
// of our own, and not net/http's.
func TestCancelOneFindsNetHTTPs(t *testing.T) {
	for _, c := range []struct {
		words     string
		connected bool
	}{
		{"net/http: request canceled", true},
		{"net/http: request canceled while waiting for connection", false},
	} {
		first, second := cancelOne(c.words, c.connected), cancelOne(c.words, c.connected)
		if first != second {
			t.Errorf("%q is not net/http's", c.words)
		}
		if own := cancelOne("other words", c.connected); own == first || own.Error() != "other words" {
			t.Errorf("an unexpected error was taken for %q", own)
		}
	}
}
