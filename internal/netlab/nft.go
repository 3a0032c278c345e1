package netlab

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Loss drops this share of all TCP packets at random, until remove is called
// or the test is over.
func (lab *Lab) Loss(t testing.TB, percent int) (remove func()) {
	t.Helper()
	share := fmt.Sprintf("numgen random mod 100 < %d", percent)
	if percent >= 100 {
		share = "" // nft takes no comparison that is always true
	}
	return lab.drop(t, "meta l4proto tcp "+share+" counter drop")
}

// BlackHole drops all packets to and from addr, without a word to either side,
// until remove is called or the test is over.
func (lab *Lab) BlackHole(t testing.TB, addr netip.AddrPort) (remove func()) {
	t.Helper()
	family := "ip"
	if addr.Addr().Unmap().Is6() {
		family = "ip6"
	}
	ip, port := addr.Addr().Unmap(), addr.Port()
	return lab.drop(t,
		fmt.Sprintf("%s daddr %v tcp dport %d counter drop", family, ip, port),
		fmt.Sprintf("%s saddr %v tcp sport %d counter drop", family, ip, port))
}

// drop makes a table of its own with the rules. It looks at packets that come
// in: one that is dropped on its way out would be an error for its sender.
func (lab *Lab) drop(t testing.TB, rules ...string) (remove func()) {
	t.Helper()
	table := fmt.Sprintf("inet lab%d", lab.tables.Add(1))
	nft(t, fmt.Sprintf("table %s {\nchain in {\ntype filter hook input priority 0\n%s\n}\n}\n",
		table, strings.Join(rules, "\n")))
	remove = sync.OnceFunc(func() { nft(t, "delete table "+table+"\n") })
	t.Cleanup(remove)
	return remove
}

func nft(t testing.TB, script string) {
	t.Helper()
	cmd := exec.Command(program(t, "nft", "apt-get install nftables"), "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, script, out)
	}
}
