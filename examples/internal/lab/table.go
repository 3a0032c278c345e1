package lab

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Table prints lines of as many cells each: names to the left, numbers to the
// right.
func Table(b *bytes.Buffer, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, cell := range l {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, l := range lines {
		fmt.Fprintf(b, "%-*s", widths[0], l[0])
		for i, cell := range l[1:] {
			fmt.Fprintf(b, "  %*s", widths[i+1], cell)
		}
		b.WriteByte('\n')
	}
}
