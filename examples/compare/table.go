package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/linger"
)

// writeText prints the report for people.
func (r *report) writeText(w io.Writer) error {
	var b bytes.Buffer
	r.header(&b)
	r.table(&b)
	r.notes(&b)
	if r.Account != nil {
		r.account(&b)
	}
	_, err := b.WriteTo(w)
	return err
}

func (r *report) header(b *bytes.Buffer) {
	fmt.Fprintf(b, "%s: %s\n", r.Work, works[r.Work].is)
	fmt.Fprintf(b, "each client: %d requests in %d bursts, %d at once, %g ms between bursts\n",
		r.Requests, r.Bursts, r.Concurrency, r.PauseMS)
	if r.URL != "" {
		fmt.Fprintf(b, "server: %s, %s\n", r.URL, r.Protocol)
	} else {
		fmt.Fprintf(b, "server: embedded, answers %d bytes after %g ms, %s\n", r.Size, r.DelayMS, r.Protocol)
	}
	fmt.Fprintf(b, "on: %s %s, %d CPUs\n", r.Go, r.Platform, r.CPUs)
	fmt.Fprintf(b, "TIME_WAITs: as the kernel counts them; %s\n\n", r.CountNote)
}

// table prints the rows.
func (r *report) table(b *bytes.Buffer) {
	lines := [][]string{
		{"", "", "", "connections", "TIME_WAIT", "TIME_WAIT", "", "", "requests", "CPU per", "its"},
		{"client", "requests", "failed", "dialled", "this side", "server", "p50", "p99", "per s", "request", "end"},
	}
	for _, w := range r.Clients {
		lines = append(lines, w.cells())
	}
	lab.Table(b, lines)
}

func (w *row) cells() []string {
	atLeast := ""
	if w.AtLeast {
		atLeast = "≥"
	}
	count := func(n *int) string {
		if n == nil {
			return "n/a"
		}
		return atLeast + strconv.Itoa(*n)
	}
	ms := func(v float64) string {
		if v == 0 {
			return "n/a"
		}
		return strconv.FormatFloat(v, 'f', 1, 64) + " ms"
	}
	cpu := "n/a"
	if w.CPUMicros > 0 {
		cpu = strconv.FormatFloat(w.CPUMicros, 'f', 0, 64) + " µs"
	}
	return []string{
		w.Name, strconv.Itoa(w.Requests), strconv.Itoa(w.Failures), strconv.Itoa(w.Dialled),
		count(w.Here), count(w.There), ms(w.P50MS), ms(w.P99MS),
		strconv.FormatFloat(w.PerSecond, 'f', 0, 64), cpu, ms(w.EndMS),
	}
}

// gone returns how many of the entries that the kernel has counted do not stand
// as TIME_WAITs. In the namespace this side's all do. The server gives one up
// for a new connection from the same port, which is free on this side; and what
// the kernel counts includes orphans in FIN_WAIT_2, which a reset ends.
func (w *row) gone() int {
	if w.Made == 0 || w.Here == nil || w.There == nil || w.AtLeast {
		return 0
	}
	return w.Made - *w.Here - *w.There
}

// notes prints what the table has no place for.
func (r *report) notes(b *bytes.Buffer) {
	var gone []string
	for _, w := range r.Clients {
		if n := w.gone(); n > 0 {
			gone = append(gone, fmt.Sprintf("%s +%d", w.Name, n))
		}
		if w.FirstError != "" {
			fmt.Fprintf(b, "  ! %s: %d failed; the first error: %s\n", w.Name, w.Failures, w.FirstError)
		}
		if w.Unsettled > 0 {
			fmt.Fprintf(b, "  ! %s: %d sockets were still on their way out when they were counted\n", w.Name, w.Unsettled)
		}
		if w.AtLeast {
			fmt.Fprintf(b, "  ! %s: took so long that its first TIME_WAITs were gone when they were counted\n", w.Name)
		}
		if w.Interrupted {
			fmt.Fprintf(b, "  ! %s: interrupted\n", w.Name)
		}
	}
	if len(gone) > 0 {
		fmt.Fprintf(b, "  made by the kernel but standing no more (the server's, replaced when this side used their ports again;\n"+
			"  or FIN_WAIT_2 of either side, which it counts too, ended by a reset): %s\n", strings.Join(gone, ", "))
	}
	if left := len(contenders) - len(r.Clients); r.Interrupted && left > 0 {
		fmt.Fprintf(b, "  ! interrupted: %d clients have not had their turn\n", left)
	}
}

// account prints the last client's own account and whether it is true.
func (r *report) account(b *bytes.Buffer) {
	a, s := r.Account, r.Account.Stats
	var ended []string
	total := uint64(0)
	for _, e := range linger.Endings() {
		if n := s.Ended[e]; n > 0 {
			ended = append(ended, fmt.Sprintf("%s %d", e, n))
			total += n
		}
	}
	fmt.Fprintf(b, "\n%s's own account\n", r.Clients[len(r.Clients)-1].Name)
	fmt.Fprintf(b, "  born %d = resting %d + busy %d + leaving %d + ended %d (%s): ",
		s.Born, s.Resting, s.Busy, s.Leaving, total, strings.Join(ended, ", "))
	if a.Balance == "" {
		b.WriteString("balances\n")
	} else {
		fmt.Fprintf(b, "DOES NOT BALANCE: %s\n", a.Balance)
	}
	fmt.Fprintf(b, "  TIME_WAITs: it says %d, ", s.TimeWaits)
	switch {
	case a.Kernel == nil:
		b.WriteString("the kernel's count is not available\n")
	case a.Agrees == nil:
		fmt.Fprintf(b, "the kernel at least %d\n", *a.Kernel)
	case *a.Agrees:
		fmt.Fprintf(b, "the kernel says %d: they agree\n", *a.Kernel)
	default:
		fmt.Fprintf(b, "the kernel says %d: THEY DO NOT AGREE\n", *a.Kernel)
	}
	if len(s.WouldHave) == 0 {
		return
	}
	b.WriteString("  it says that others would have left, at least:")
	for _, model := range slices.Sorted(maps.Keys(s.WouldHave)) {
		fmt.Fprintf(b, " %s %d", model, s.WouldHave[model])
	}
	b.WriteByte('\n')
}
