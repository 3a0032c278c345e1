package netlab

import (
	"fmt"
	"net/netip"
	"os"
)

// Apache is the Apache HTTP server, with the event MPM.
var Apache = Program{Name: "apache2", install: "apt-get install apache2", serve: serveApache}

func serveApache(s *site) {
	s.Plain, s.TLS, s.H2C = s.lab.address(), s.lab.address(), s.lab.address()
	conf := s.write("apache.conf", fmt.Appendf(nil, `
ServerRoot %s
ServerName localhost
PidFile apache.pid
DefaultRuntimeDir .
ErrorLog error.log
User www-data
Group www-data
LoadModule mpm_event_module %[2]s/mod_mpm_event.so
LoadModule authz_core_module %[2]s/mod_authz_core.so
LoadModule dir_module %[2]s/mod_dir.so
LoadModule ssl_module %[2]s/mod_ssl.so
LoadModule http2_module %[2]s/mod_http2.so
ServerLimit 1
StartServers 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
AsyncRequestWorkerFactor 50
Timeout 3600
KeepAlive On
KeepAliveTimeout %d
MaxKeepAliveRequests 0
DocumentRoot www
DirectoryIndex index.html
SSLSessionCache none
Listen %v
Listen %v
Listen %v
<VirtualHost %[4]v>
	Protocols http/1.1
</VirtualHost>
<VirtualHost %[5]v>
	Protocols h2 http/1.1
	SSLEngine on
	SSLCertificateFile cert.pem
	SSLCertificateKeyFile key.pem
</VirtualHost>
<VirtualHost %[6]v>
	Protocols h2c http/1.1
</VirtualHost>
`, s.dir, apacheModules(s), s.cfg.seconds(), s.Plain, s.TLS, s.H2C))
	s.run([]netip.AddrPort{s.Plain, s.TLS, s.H2C}, "-X", "-f", conf)
}

// apacheModules ends the test where Apache cannot run: it refuses to serve as
// root, and a user namespace has nobody else.
func apacheModules(s *site) string {
	s.t.Helper()
	if m, err := os.ReadFile("/proc/self/uid_map"); err == nil && !wholeUIDMap(m) {
		Missing(s.t, "a second user, which apache2 changes to", "run as root")
	}
	return "/usr/lib/apache2/modules"
}

// wholeUIDMap reports whether the process is in the machine's first user
// namespace, which has every user.
func wholeUIDMap(m []byte) bool {
	var inside, outside, size uint64
	_, err := fmt.Sscan(string(m), &inside, &outside, &size)
	return err == nil && size > 1
}
