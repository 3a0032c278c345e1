// Command http is the shortest real use of the pool: the client of a service
// that calls another one. It prints its own account at the end.
//
//	go run ./examples/http
//	go run ./examples/http http://10.0.0.7:8080/health
//
// Without a URL it calls a server of its own.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/lastack/lastack/pool"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		call(os.Args[1])
		return
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	}))
	defer srv.Close()
	call(srv.URL)
}

// call is all that the client of a service needs: one Transport for the whole
// program, any number of requests at once, and Shutdown before the program ends.
func call(url string) {
	transport := &pool.Transport{}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				if err := get(client, url); err != nil {
					log.Print(err)
				}
			}
		})
	}
	wg.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := transport.Shutdown(ctx); err != nil {
		log.Print(err)
	}
	fmt.Println(transport.Stats())
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
