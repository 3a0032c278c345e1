package debug

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// count writes 28232 as 28,232.
func count[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	if uint64(n) > math.MaxInt64 && n > 0 {
		s = strconv.FormatUint(uint64(n), 10)
	}
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short writes a number for an axis: 900, 28k, 1.5M.
func short(f float64) string {
	unit := ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if math.Abs(f) < 1000 {
			break
		}
		f, unit = f/1000, u
	}
	return strconv.FormatFloat(f, 'f', decimals(f), 64) + unit
}

// decimals is how many places behind the point a number deserves.
func decimals(f float64) int {
	switch f = math.Abs(f); {
	case f == math.Trunc(f) || f >= 100:
		return 0
	case f >= 1:
		return 1
	default:
		return 2
	}
}

// seconds writes a time that is given in seconds.
func seconds(s float64) string {
	switch a := math.Abs(s); {
	case s == 0:
		return "0 s"
	case a < 1e-3:
		return trim(s*1e6) + " µs"
	case a < 1:
		return trim(s*1e3) + " ms"
	case a < 120 && a != 60:
		return trim(s) + " s"
	case a < 2*3600:
		return trim(s/60) + " min"
	default:
		return trim(s/3600) + " h"
	}
}

// trim writes a number with no more than three digits that matter.
func trim(f float64) string {
	switch a := math.Abs(f); {
	case a >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a >= 10:
		return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
	default:
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 2, 64), "0"), ".")
	}
}

// lasting writes how long something took, as people say it: 12 s, 3 min 31 s,
// 2 h 5 min.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return seconds(d.Seconds())
	case d < 2*time.Minute && d != time.Minute:
		return trim(math.Round(d.Seconds()*10)/10) + " s"
	case d < time.Hour:
		return pair(d.Round(time.Second), time.Minute, " min", time.Second, " s")
	default:
		return pair(d.Round(time.Minute), time.Hour, " h", time.Minute, " min")
	}
}

// pair writes d in two units, without the second if there is nothing of it.
func pair(d, large time.Duration, first string, small time.Duration, second string) string {
	s := count(int64(d/large)) + first
	if rest := d % large / small; rest > 0 {
		s += " " + strconv.FormatInt(int64(rest), 10) + second
	}
	return s
}

// soon writes a number of seconds in which something will happen. A fraction
// of one is none to wait for.
func soon(s float64) string { return lasting(time.Duration(math.Ceil(s)) * time.Second) }

// part writes a share as per cent. What is not all is not rounded to 100 %.
func part(share float64) string {
	percent := share * 100
	switch {
	case share >= 1:
		return "100 %"
	case percent > 0 && percent < 0.05:
		return "< 0.1 %"
	case percent > 99:
		return strconv.FormatFloat(math.Floor(percent*100+1e-6)/100, 'f', 2, 64) + " %"
	default:
		return strconv.FormatFloat(percent, 'f', 1, 64) + " %"
	}
}

// perSecond writes a rate, without its unit.
func perSecond(n uint64, over time.Duration) string {
	if over <= 0 {
		return "0"
	}
	return trim(float64(n) / over.Seconds())
}

// largest lists the counts of m, the largest first, the first few of them.
func largest[K ~string](m map[K]uint64, few int) []string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		if c := cmp.Compare(m[b], m[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	var parts []string
	for i, name := range names {
		if m[name] == 0 {
			break
		}
		if i == few {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, string(name)+" "+count(m[name]))
	}
	return parts
}

// plural is "1 body", "2 bodies".
func plural[N int | int64 | uint64](n N, one, more string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", one)
	}
	return count(n) + " " + more
}
