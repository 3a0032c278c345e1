package debug_test

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/pool"
)

func ExampleNew() {
	meter := &metrics.Meter{}
	client := &http.Client{Transport: &pool.Transport{Meter: meter}}

	page, err := debug.New(debug.Config{Sources: []debug.Source{{Name: "payments", Accounts: meter}}})
	if err != nil {
		log.Fatal(err)
	}
	defer page.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/lastack/", page)
	server := httptest.NewServer(mux)
	defer server.Close()

	resp, err := client.Get(server.URL + "/debug/lastack/?format=text")
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status, resp.Header.Get("Content-Type"))
	// Output: 200 OK text/plain; charset=utf-8
}

// A pool whose Meter is its own is shown by what it says of itself.
func ExampleFunc() {
	transport := &pool.Transport{}
	page, err := debug.New(debug.Config{Sources: []debug.Source{{Name: "search", Accounts: debug.Func(transport.Stats)}}})
	if err != nil {
		log.Fatal(err)
	}
	defer page.Close()
	http.Handle("/debug/search/", page)
}

// Whoever is on call may see the page too, from elsewhere, with a password.
func ExampleLocal() {
	want := sha256.Sum256([]byte(os.Getenv("PAGE_PASSWORD")))
	signedIn := func(r *http.Request) bool {
		_, password, ok := r.BasicAuth()
		got := sha256.Sum256([]byte(password))
		return ok && password != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
	}
	config := debug.Config{
		Sources: []debug.Source{{Name: "payments", Accounts: &metrics.Meter{}}},
		Allow:   func(r *http.Request) bool { return debug.Local(r) || signedIn(r) },
	}
	page, err := debug.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer page.Close()
	r := httptest.NewRequest(http.MethodGet, "http://web-7.example/debug/lastack/", nil) // from another machine
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 403
}
