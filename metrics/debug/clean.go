package debug

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// How many characters of one string are shown, and how many an attribute may
// have. Names come from whoever made the requests.
const (
	maxString    = 1000
	maxAttribute = 4000
)

// clean makes a string from elsewhere fit to be shown: what has no shape, what
// moves other characters about (so that one name can look like another), and
// what gives orders to a terminal becomes visible, or the replacement
// character.
func clean(s string) string { return cleanTo(maxString, s) }

func cleanTo(most int, s string) string {
	if len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s // as nearly all are
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError:
			b.WriteRune(utf8.RuneError)
		case r < ' ':
			b.WriteRune('␀' + r) // the picture of the control character
		case r == 0x7f:
			b.WriteRune('␡')
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
			b.WriteRune(r)
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		default:
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}
