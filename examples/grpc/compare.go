package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool/grpcpool"
)

const (
	endWait    = 5 * time.Second // for a client's connections to end
	settleWait = 2 * time.Second // for the kernel to be done with them

	// After Ctrl-C somebody waits.
	waitInterrupted = time.Second
)

// A comparison is one run of the command.
type comparison struct {
	s      *settings
	kernel *lab.Kernel // nil: not available
	server *lab.Child
	out    io.Writer
	agree  bool // as far as we know, all accounts balance and agree with the kernel
}

// A row is how one client fared in one scene.
type row struct {
	name        string
	took        time.Duration
	dialled     int
	here, there *int // TIME_WAITs; nil: not available
	notes       []string
}

// compare plays all scenes with all clients, and prints each when it is over.
func compare(ctx context.Context, s *settings, where lab.Location, out io.Writer) error {
	c := &comparison{s: s, out: out, agree: true}
	note := where.Note()
	k, err := lab.OpenKernel()
	if err != nil {
		note = lab.NotAvailable(err)
	} else {
		c.kernel = k
		defer k.Close()
	}
	if c.server, err = lab.StartServer(); err != nil {
		return err
	}
	defer c.server.Stop()
	protocol := "in plaintext"
	if s.tls {
		protocol = "over TLS"
	}
	fmt.Fprintf(out, "a greeter in a process of its own, gRPC %s, on %s %s/%s with %d CPUs\nTIME_WAITs: as the kernel counts them; %s\n",
		protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), note)
	if err := c.welcome(ctx); err != nil {
		return err
	}
	for _, sc := range scenes {
		if err := c.scene(ctx, sc); err != nil || ctx.Err() != nil {
			return err
		}
	}
	if c.kernel != nil && c.agree {
		fmt.Fprintln(out, "\nThe own accounts of our clients balance, and agree with the kernel's counts.")
	}
	return nil
}

// welcome is all that a program needs.
func (c *comparison) welcome(ctx context.Context) error {
	st, _, err := c.open(siteConfig{})
	if err != nil {
		return err
	}
	cc, err := grpc.NewClient(st.target, append(grpcpool.DialOptions(nil), grpc.WithTransportCredentials(st.creds))...)
	if err != nil {
		return err
	}
	defer cc.Close()
	greeting, err := hello(ctx, cc, "newcomer")
	if err == nil {
		fmt.Fprintf(c.out, "it says: %q\n", greeting)
	}
	return err
}

// scene prints a table.
func (c *comparison) scene(ctx context.Context, sc scene) error {
	n := c.s.channels
	if sc.site.Streams > 0 {
		n = c.s.calls
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n"+sc.title+"\n", n)
	lines := [][]string{
		{"", "connections", "TIME_WAIT", "TIME_WAIT", ""},
		{"  client", "dialled", "this side", "server", "took"},
	}
	var notes []string
	for _, make := range clients {
		if ctx.Err() != nil {
			break
		}
		r, err := c.row(ctx, sc, make(), n)
		if err != nil {
			return err
		}
		lines = append(lines, r.cells())
		for _, note := range r.notes {
			notes = append(notes, fmt.Sprintf("  %s: %s", r.name, note))
		}
	}
	lab.Table(&b, lines)
	for _, note := range notes {
		fmt.Fprintln(&b, note)
	}
	_, err := b.WriteTo(c.out)
	return err
}

// row plays a scene with a client, and counts. It returns an error when it
// cannot count; a client that fails has a row that says so.
func (c *comparison) row(ctx context.Context, sc scene, cl client, n int) (*row, error) {
	st, server, err := c.open(sc.site)
	if err != nil {
		return nil, err
	}
	st.client, st.n = cl, n
	var before lab.View
	servers := []netip.AddrPort{server}
	if c.kernel != nil {
		if before, err = c.kernel.Look(servers, before); err != nil {
			return nil, err
		}
	}
	r := &row{name: cl.name}
	if err := sc.play(ctx, st); err != nil && ctx.Err() == nil {
		r.notes = append(r.notes, "failed: "+err.Error())
	}
	r.took = st.took

	bound := waitInterrupted
	if ctx.Err() == nil {
		bound = endWait
	} else {
		r.notes = append(r.notes, "interrupted")
	}
	if cl.end != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
		err := cl.end(ctx)
		cancel()
		if err != nil {
			r.notes = append(r.notes, "end: "+err.Error())
		}
	}
	if err := c.count(ctx, r, servers, before); err != nil {
		return nil, err
	}
	if cl.stats != nil {
		c.agree = r.account(cl.stats()) && c.agree
	}
	a, err := ask(c.server, command{Accepted: st.target})
	r.dialled = a.Accepted
	return r, err
}

// open returns a stage at a site of the server that no other row uses.
func (c *comparison) open(cfg siteConfig) (*stage, netip.AddrPort, error) {
	cfg.TLS = c.s.tls
	a, err := ask(c.server, command{Listen: &cfg})
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	st := &stage{target: a.Addr, creds: insecure.NewCredentials(), stop: func() error {
		_, err := ask(c.server, command{Stop: a.Addr})
		return err
	}}
	if c.s.tls {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(a.Roots) {
			return nil, netip.AddrPort{}, errors.New("the server has sent no certificate")
		}
		st.creds = credentials.NewClientTLSFromCert(roots, "")
	}
	addr, err := netip.ParseAddrPort(a.Addr)
	return st, addr, err
}

// count asks the kernel what is left of the row's connections.
func (c *comparison) count(ctx context.Context, r *row, servers []netip.AddrPort, before lab.View) error {
	if c.kernel == nil {
		return nil
	}
	bound := settleWait
	if ctx.Err() != nil {
		bound = waitInterrupted
	}
	v, err := c.kernel.Settle(context.WithoutCancel(ctx), servers, before, bound)
	if err != nil {
		return err
	}
	here, there := v.TimeWaits()
	r.here, r.there = &here, &there
	if n := v.Moving(); n > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%d sockets were still on their way out when they were counted", n))
	}
	return nil
}

// account sets the client's own account beside the kernel's, and reports
// whether they agree.
func (r *row) account(s metrics.Snapshot) bool {
	if err := s.Balance(); err != nil {
		r.notes = append(r.notes, "its own account DOES NOT BALANCE: "+err.Error())
		return false
	}
	if r.here != nil && uint64(*r.here) != s.TimeWaits {
		r.notes = append(r.notes, fmt.Sprintf("its own account says %d TIME_WAITs: THEY DO NOT AGREE", s.TimeWaits))
		return false
	}
	return true
}

func (r *row) cells() []string {
	count := func(n *int) string {
		if n == nil {
			return "n/a"
		}
		return strconv.Itoa(*n)
	}
	return []string{"  " + r.name, strconv.Itoa(r.dialled), count(r.here), count(r.there), r.took.Round(time.Millisecond).String()}
}
