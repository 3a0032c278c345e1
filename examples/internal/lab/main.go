package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Main is the main function of a command without arguments. It calls f, in a
// network namespace of its own where that is possible, with a Kernel to count
// with, and ends the process: with 1 if f fails, and with 130 after Ctrl-C, by
// which ctx has ended.
func Main(f func(ctx context.Context, k *Kernel) error) { os.Exit(run(f)) }

func run(f func(ctx context.Context, k *Kernel) error) int {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 {
		fmt.Fprintf(os.Stderr, "%s takes no arguments\n", name)
		return ExitUsage
	}
	where, code, done := Enter(nil, "")
	if done {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k, err := OpenKernel()
	if err != nil {
		fmt.Println("TIME_WAITs:", NotAvailable(err))
	} else {
		defer k.Close()
		fmt.Println("TIME_WAITs: as the kernel counts them;", where.Note())
	}
	switch err := f(ctx, k); {
	case ctx.Err() != nil:
		fmt.Println("interrupted")
		return ExitInterrupted
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return ExitFailed
	}
	return 0
}

// settleWait is how long Count waits for sockets that are on their way out.
const settleWait = 5 * time.Second

// A Count is the TIME_WAITs of the connections to a server, as numbers, or as
// "n/a" where the kernel does not tell.
type Count struct{ Here, There string }

// Count waits until nothing but TIME_WAITs is left of all connections to the
// server, and counts them. A nil Kernel counts nothing.
func (k *Kernel) Count(ctx context.Context, server netip.AddrPort) (Count, error) {
	if k == nil {
		return Count{"n/a", "n/a"}, nil
	}
	v, err := k.Settle(ctx, []netip.AddrPort{server}, View{}, settleWait)
	if err != nil {
		return Count{}, err
	}
	if n := v.Moving(); n > 0 {
		return Count{}, fmt.Errorf("%d sockets of %v have not come to their end after %v", n, server, settleWait)
	}
	here, there := v.TimeWaits()
	return Count{strconv.Itoa(here), strconv.Itoa(there)}, nil
}
