package netlab

import (
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FileSize is the length of the file /64k that every server serves.
const FileSize = 64 << 10

// A Server is a real HTTP server on 127.0.0.1. It serves a short page at / and
// FileSize bytes at /64k, and answers OPTIONS * in its own way. An address is
// not valid where the program does not speak that protocol.
type Server struct {
	Name  string
	Plain netip.AddrPort // HTTP/1.1
	TLS   netip.AddrPort // HTTP/2 and HTTP/1.1, as negotiated
	H2C   netip.AddrPort // HTTP/2 in plaintext, with prior knowledge
	Roots *x509.CertPool // trusts the certificate of TLS

	processes []*process
	quit      os.Signal // asks them to end gracefully; nil: they cannot be asked
}

// Config says what all servers can be told.
type Config struct {
	// KeepAlive is how long the server lets a connection rest before it closes
	// it, in whole seconds. If zero, an hour. nghttpd cannot be told.
	KeepAlive time.Duration
}

// seconds is KeepAlive as configuration files have it.
func (c Config) seconds() int {
	if c.KeepAlive == 0 {
		return 3600
	}
	return int(c.KeepAlive / time.Second)
}

// A Program is a server program that the lab knows how to configure.
type Program struct {
	Name    string
	install string
	serve   func(*site)
}

// Programs lists all of them.
func Programs() []Program {
	return []Program{Nginx, HAProxy, Apache, Lighttpd, Caddy, Nghttpd}
}

// A site is what a Program gets: files to serve, addresses to fill in.
type site struct {
	*Server
	lab  *Lab
	t    testing.TB
	path string // of the program
	dir  string // all that the server may write to
	www  string // what it serves
	cfg  Config

	family bool // the program starts processes, which end with it
}

// Start runs a program with a generated configuration until the test is over.
// When it returns, the server listens. No connection was made to find that out.
func (lab *Lab) Start(t testing.TB, p Program, cfg Config) *Server {
	t.Helper()
	s := lab.newSite(t, p, cfg)
	p.serve(s)
	for _, proc := range s.processes {
		proc.awaitListening(t)
	}
	return s.Server
}

// Stop kills the server, so that the kernel closes what it had open.
func (s *Server) Stop() {
	for _, proc := range s.processes {
		proc.kill()
	}
}

func (lab *Lab) newSite(t testing.TB, p Program, cfg Config) *site {
	t.Helper()
	s := &site{
		Server: &Server{Name: p.Name}, lab: lab, t: t,
		path: program(t, p.Name, p.install), dir: t.TempDir(), cfg: cfg,
	}
	// A server that gives up root must still be able to read its files.
	for _, dir := range []string{filepath.Dir(s.dir), s.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cert := newCertificate(t)
	s.Roots = cert.roots
	s.write("cert.pem", cert.cert)
	s.write("key.pem", cert.key)
	s.write("both.pem", append(cert.cert, cert.key...))
	s.www = filepath.Join(s.dir, "www")
	if err := os.Mkdir(s.www, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("www/index.html", []byte("hello from "+p.Name+"\n"))
	s.write("www/64k", make([]byte, FileSize))
	return s
}

// write makes a file in the server's directory and returns its path.
func (s *site) write(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// address returns a new address to listen on.
func (lab *Lab) address() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(7999+lab.lastPort.Add(1)))
}
