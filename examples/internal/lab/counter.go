package lab

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// TimeWaitsMade returns how many TIME_WAITs the kernel has made in this network
// namespace (TcpExt:TW), or 0 where it does not tell. Unlike a look at the
// sockets it misses none; but it does not know whose they were, and it takes
// closed sockets in FIN_WAIT_2 for TIME_WAITs, whatever becomes of them.
func TimeWaitsMade() int {
	data, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "TcpExt:":
		case names == nil:
			names = fields
		default:
			i := slices.Index(names, "TW")
			if i < 0 || i >= len(fields) {
				return 0
			}
			n, _ := strconv.Atoi(fields[i])
			return n
		}
	}
	return 0
}
