package procfs

import (
	"os"
	"testing"
)

// TestTable: before Linux 6.2 the kernel tells only for how many descriptors
// there is room.
func TestTable(t *testing.T) {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	self := Process{PID: os.Getpid()}
	room, err := self.descriptors(here)
	if err != nil || room < 3 {
		t.Errorf("room for %d, %v", room, err)
	}
	if self.Counted = countsDescriptors(); self.Counted {
		if n, err := self.descriptors(here); err != nil || n < 3 || n > room {
			t.Errorf("%d descriptors and room for %d, %v", n, room, err)
		}
	}
	if n, err := self.descriptors("net:[1]"); err != nil || n != 0 {
		t.Errorf("in another namespace: %d, %v", n, err)
	}
}
