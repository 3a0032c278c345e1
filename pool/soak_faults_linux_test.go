package pool

import (
	"context"
	cryptorand "crypto/rand"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// A soakFault is one way for a host to misbehave.
type soakFault struct {
	name    string
	deaf    bool                                                             // it accepts connections and says nothing on them
	host    func(ctx context.Context, h *soakHostServer, turn time.Duration) // the whole time; or nil
	request func(h *soakHostServer, w http.ResponseWriter, r *http.Request)  // one in three; or nil
}

var soakFaults = []soakFault{
	{name: "restarts", host: func(ctx context.Context, h *soakHostServer, turn time.Duration) {
		h.stop()
		pause(ctx, turn/4)
		h.start()
	}},
	{name: "deaf", deaf: true, request: stalls},
	{name: "stalls", request: stalls},
	{name: "dawdles", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		for range 5 {
			if _, err := w.Write(soakBytes[:wanted(r)%1000]); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			pause(r.Context(), 20*time.Millisecond)
		}
	}},
	{name: "resets", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		if rand.IntN(2) == 0 {
			promise(w, r)
		}
		_, tcp := connOf(r)
		tcp.SetLinger(0)
		tcp.Close()
	}},
	{name: "closes early", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		promise(w, r)
		panic(http.ErrAbortHandler) // on HTTP/2 the stream alone is reset
	}},
	{name: "closes at rest", host: func(ctx context.Context, h *soakHostServer, turn time.Duration) {
		for end := time.Now().Add(turn); time.Now().Before(end) && ctx.Err() == nil; {
			h.resting.closeOne()
			pause(ctx, time.Duration(1+rand.IntN(10))*time.Millisecond)
		}
	}},
	{name: "says goodbye", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // on HTTP/2: GOAWAY
		respond(w, r)
	}},
	{name: "goaway in a hurry", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		c, _ := connOf(r)
		// It has begun on every stream, as far as it says: with a lower one it
		// would lie, and have POSTs sent again that it is carrying out.
		c.Write([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, byte(rand.IntN(14))})
		if rand.IntN(2) == 0 {
			c.Close()
		}
		respond(w, r)
	}},
	{name: "garbage", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		if rand.IntN(2) == 0 {
			promise(w, r)
		}
		talkGarbage(r)
		respond(w, r)
	}},
	{name: "more than was asked for", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		respond(w, r)
		time.AfterFunc(time.Millisecond, func() { talkGarbage(r) })
	}},
	{name: "errors", request: func(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
		if rand.IntN(2) == 0 {
			io.Copy(io.Discard, r.Body) // else it answers early
		}
		if rand.IntN(4) == 0 {
			w.Header().Set("Connection", "close")
		}
		http.Error(w, "not now", []int{429, 500, 502, 503, 504}[rand.IntN(5)])
	}},
}

// stalls says nothing until the fault is over.
func stalls(h *soakHostServer, w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	select {
	case <-over:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// promise begins a response, and sends half of it.
func promise(w http.ResponseWriter, r *http.Request) {
	size := wanted(r) + 10
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.Write(soakBytes[:min(size/2, len(soakBytes))])
	http.NewResponseController(w).Flush()
}

// talkGarbage says something at random on the request's connection, within TLS or below it.
func talkGarbage(r *http.Request) {
	c, tcp := connOf(r)
	noise := make([]byte, 1+rand.IntN(300))
	cryptorand.Read(noise)
	if rand.IntN(2) == 0 {
		c.Write(noise)
	} else {
		tcp.Write(noise)
	}
}
