package pool

import "testing"

func TestIsCloseFrame(t *testing.T) {
	key := "\x01\x02\x03\x04"
	for frame, want := range map[string]bool{
		"\x88\x80" + key:              true, // without a status
		"\x88\x82" + key + "ab":       true,
		"\x88\x85" + key + "abcde":    true,
		"\x88\x85" + key + "abcd":     false, // a part of one
		"\x88\x82" + key + "ab\x88":   false, // and the beginning of another
		"\x88\x02ab":                  false, // a server's
		"\x88\xfe\x00\x02" + key:      false, // control frames are short
		"\x89\x80" + key:              false, // a ping
		"\x08\x80" + key:              false, // not final
		"\x82\x82" + key + "ab":       false, // a message
		"":                            false,
		"\x88":                        false,
		"\x82\x80" + key + "\x88\x80": false,
	} {
		if got := isCloseFrame([]byte(frame)); got != want {
			t.Errorf("%q: got %t", frame, got)
		}
	}
}
