package netlab

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
)

// startWait is how long a server may take until it listens. It is long because
// two cores may be shared with other tests.
const startWait = 20 * time.Second

// A process is a server in the foreground.
type process struct {
	cmd    *exec.Cmd
	listen []netip.AddrPort
	gone   chan struct{} // closed when the process has ended and been collected
}

// run starts the server's program, which is to listen at the addresses. The
// configurations keep each of them to one process, so that to kill it ends it,
// or else say that it has a family.
func (s *site) run(listen []netip.AddrPort, args ...string) {
	s.t.Helper()
	out, err := os.CreateTemp(s.dir, "output")
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(s.path, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.dir, "TMPDIR=" + s.dir, "XDG_CONFIG_HOME=" + s.dir, "XDG_DATA_HOME=" + s.dir,
	}
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	if s.family {
		endFamily(cmd)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("netlab: %s: %v", s.Name, err)
	}
	p := &process{cmd: cmd, listen: listen, gone: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.gone)
	}()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			printed, _ := os.ReadFile(out.Name())
			s.t.Logf("%s printed:\n%s", s.Name, printed)
		}
	})
	s.processes = append(s.processes, p)
}

// kill ends the process and returns when it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.gone
}

// awaitListening asks the kernel, not the server: a probing connection would
// leave marks in the counts that tests compare.
func (p *process) awaitListening(t testing.TB) {
	t.Helper()
	Eventually(t, startWait, p.cmd.Path+" listens", func() bool {
		select {
		case <-p.gone:
			t.Fatalf("netlab: %s ended before it listened: %v", p.cmd.Path, p.cmd.ProcessState)
		default:
		}
		return listening(t, p.listen)
	})
}
