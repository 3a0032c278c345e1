package main

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, exitWell, "-json"},
		{[]string{"-nope"}, exitUsage, "-nope"},
		{[]string{"10.0.0.7"}, exitUsage, `what is "10.0.0.7"?`},
		{[]string{"-json=maybe"}, exitUsage, "maybe"},
	} {
		var out, errs bytes.Buffer
		if code := run(tt.args, &out, &errs); code != tt.code || !strings.Contains(errs.String(), tt.says) || out.Len() != 0 {
			t.Errorf("%v: %d, said %q and printed %q", tt.args, code, errs.String(), out.String())
		}
	}
}

func TestElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("this is Linux")
	}
	var out, errs bytes.Buffer
	if code := run(nil, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "only Linux") || out.Len() != 0 {
		t.Errorf("%d, said %q", code, errs.String())
	}
}
