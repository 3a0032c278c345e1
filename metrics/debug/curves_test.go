package debug

import (
	"slices"
	"testing"

	"github.com/lastack/lastack/metrics"
)

func TestWhole(t *testing.T) {
	if all := whole(nil); all != nil {
		t.Errorf("no curve goes on as %v", all)
	}
	short := []metrics.WhatIf{{MaxIdle: 0, Dials: 9, TimeWaits: 9}, {MaxIdle: 1, Dials: 4, TimeWaits: 3}}
	all := whole(short)
	if len(all) != mostKept+1 || !slices.Equal(all[:2], short) {
		t.Errorf("%v goes on as %v", short, all)
	}
	for k, w := range all[1:] {
		if want := (metrics.WhatIf{MaxIdle: k + 1, Dials: 4, TimeWaits: 3}); w != want {
			t.Errorf("it goes on with %+v, want %+v", w, want)
		}
	}
	if again := whole(all); !slices.Equal(again, all) {
		t.Errorf("one that is whole goes on as %v", again)
	}
}
