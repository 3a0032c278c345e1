package dialer

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// How much of a long list people are shown.
const (
	textDestinations = 10
	textHolders      = 10
)

// String returns the Report as text for people, which may change from version
// to version.
func (r Report) String() string {
	var b bytes.Buffer
	r.WriteTo(&b) // a Buffer fails never
	return b.String()
}

// WriteTo writes the text of [Report.String]. Programs read the JSON.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	r.writeSummary(&b)
	r.writeAdvice(&b)
	r.writeDestinations(&b)
	r.writeHolders(&b)
	writeSettings(&b, "Kernel settings", r.Settings)
	writeSettings(&b, "Counted by the kernel so far", r.Counters)
	if len(r.Unread) > 0 {
		b.WriteString("\nCould not be read\n")
		for _, g := range r.Unread {
			fmt.Fprintf(&b, "  %s: %s\n", g.What, g.Why)
		}
	}
	return b.WriteTo(w)
}

func (r Report) writeSummary(b *bytes.Buffer) {
	urgent := 0
	for _, a := range r.Advice {
		if a.Urgent {
			urgent++
		}
	}
	switch {
	case urgent > 0:
		b.WriteString("Something is RUNNING OUT.\n")
	case len(r.Sockets) == 0 && len(r.Unread) > 0:
		b.WriteString("Whether something is running out cannot be said: see below what could not be read.\n")
	case len(r.Advice) > 0:
		b.WriteString("Nothing is about to run out, but see the advice.\n")
	default:
		b.WriteString("All is well: nothing is about to run out.\n")
	}
	if r.Kernel != "" {
		fmt.Fprintf(b, "Linux %s, %s", r.Kernel, r.Time.Format("2006-01-02 15:04:05 MST"))
	}
	if p := r.Ports; p.Hi != 0 {
		fmt.Fprintf(b, "\nPorts %d-%d: %s for each source and destination", p.Lo, p.Hi, comma(p.Usable))
		if p.Reserved > 0 {
			fmt.Fprintf(b, ", %s reserved", comma(p.Reserved))
		}
		if p.Listening > 0 {
			fmt.Fprintf(b, ", %s listened on", comma(p.Listening))
		}
	}
	if len(r.Sockets) > 0 {
		fmt.Fprintf(b, "\nSockets: %s", byState(r.Sockets))
	}
	b.WriteString("\n")
}

// byState is "established 10, time_wait 950".
func byState(n map[string]int) string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, state+" "+comma(n[state]))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func (r Report) writeAdvice(b *bytes.Buffer) {
	if len(r.Advice) == 0 {
		return
	}
	b.WriteString("\nAdvice, the most useful first\n")
	for i, a := range r.Advice {
		mark := ""
		if a.Urgent {
			mark = "URGENT: "
		}
		fmt.Fprintf(b, "  %d. %s%s\n", i+1, mark, a.Matter)
		for _, remedy := range a.Remedies {
			fmt.Fprintf(b, "     - %s\n       Gain: %s.\n", remedy.Do, remedy.Gain)
		}
	}
}

func (r Report) writeDestinations(b *bytes.Buffer) {
	if len(r.Destinations) == 0 {
		return
	}
	b.WriteString("\nDestinations, those with the fewest ports left first\n")
	t := table(b)
	fmt.Fprintln(t, "  to\tfrom\tleft\tused\tTIME_WAIT\thalf free in\tall free in\tother states")
	for _, d := range r.Destinations[:min(len(r.Destinations), textDestinations)] {
		half, all := "-", "-"
		if d.TimeWaits > 0 {
			half, all = fmt.Sprintf("%.0f s", d.HalfFreeSeconds), fmt.Sprintf("%.0f s", d.AllFreeSeconds)
		}
		others := maps.Clone(d.States)
		delete(others, "time_wait")
		fmt.Fprintf(t, "  %v\t%v\t%s\t%s\t%s\t%s\t%s\t%s\n",
			d.Address, d.Source, comma(d.Left()), comma(d.Used), comma(d.TimeWaits), half, all, byState(others))
	}
	t.Flush()
	more(b, max(0, len(r.Destinations)-textDestinations)+r.MoreDestinations)
}

func (r Report) writeHolders(b *bytes.Buffer) {
	if len(r.Holders) == 0 {
		return
	}
	b.WriteString("\nProcesses with TCP connections\n")
	t := table(b)
	fmt.Fprintln(t, "  pid\tname\tuser\tconnections\tports\tmost to\tCLOSE_WAIT\tdescriptors")
	for _, h := range r.Holders[:min(len(r.Holders), textHolders)] {
		pid, name, to := "?", "not to be looked at", "-"
		if h.PID != 0 {
			pid, name = strconv.Itoa(h.PID), printable(h.Name)
		}
		if h.MostTo.IsValid() {
			to = h.MostTo.String()
		}
		descriptors := "?"
		if h.Descriptors > 0 {
			descriptors = comma(h.Descriptors)
		}
		if h.Descriptors > 0 && h.Limit > 0 {
			descriptors += " of " + comma(h.Limit)
		}
		fmt.Fprintf(t, "  %s\t%s\t%d\t%s%s\t%s\t%s\t%s\t%s\n",
			pid, name, h.UID, h.about(), comma(h.Connections), comma(h.Ports), to, comma(h.CloseWaits), descriptors)
	}
	t.Flush()
	more(b, max(0, len(r.Holders)-textHolders)+r.MoreHolders)
}

func writeSettings(b *bytes.Buffer, title string, list []Setting) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, s := range list {
		fmt.Fprintf(b, "  %s = %s\n      %s\n", s.Name, s.Value, s.Meaning)
	}
}

func table(b *bytes.Buffer) *tabwriter.Writer { return tabwriter.NewWriter(b, 0, 0, 2, ' ', 0) }

func more(b *bytes.Buffer, n int) {
	if n > 0 {
		fmt.Fprintf(b, "  … and %s more\n", comma(n))
	}
}

// printable makes the name of a program fit for a terminal, to which it could
// otherwise give orders.
func printable(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

// comma writes 28232 as 28,232.
func comma(n int) string {
	s := strconv.Itoa(n)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
