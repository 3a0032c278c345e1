package oteltest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/otel"
	"github.com/lastack/lastack/pool"
)

// A pool is read after what it did, and that is what the instruments say.
func TestPool(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	meter := new(metrics.Meter)
	r := read(t, meter.Snapshot, otel.Pool("test"))
	meter.Observer = r
	tr := &pool.Transport{Meter: meter}
	for range 5 {
		resp, err := (&http.Client{Transport: tr}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	address, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	host := "lastack.pool.name=test,server.address=" + address + ",server.port=" + port + "}"
	check(t, r.values(t), map[string]float64{
		"lastack.requests{" + host:                                                  5,
		"lastack.connection.created{" + host:                                        1,
		"lastack.connection.acquires{lastack.acquire.source=new," + host:            1,
		"lastack.connection.acquires{lastack.acquire.source=reused," + host:         4,
		"lastack.connection.dial_errors{" + host:                                    0,
		"lastack.connection.dials{lastack.dial.reason=cold," + host:                 1,
		"lastack.connection.create_time{" + host:                                    1,
		"lastack.connection.dial_phase.duration{lastack.dial.phase=connect," + host: 1,
	})
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"http.client.open_connections{http.connection.state=active," + host: 0,
		"http.client.open_connections{http.connection.state=idle," + host:   0,
		"lastack.open_connections{lastack.connection.state=leaving," + host: 0,
		"lastack.connection.left{lastack.leave.reason=shutdown," + host:     1,
	}
	if runtime.GOOS == "linux" {
		want["lastack.time_wait.created{"+host] = 0
	}
	check(t, r.values(t), want)
}
