package dialer

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullReport has something in every field.
func fullReport() Report {
	v4, v6 := netip.MustParseAddrPort("10.0.0.7:443"), netip.MustParseAddrPort("[2001:db8::7]:443")
	return Report{
		Time:   time.Date(2026, 11, 21, 12, 0, 0, 123e6, time.UTC),
		Kernel: "6.18.44",
		Ports:  PortBudget{Lo: 40000, Hi: 40999, Reserved: 10, Listening: 1, Usable: 989},
		Sockets: map[string]int{
			"listen": 1, "established": 70, "time_wait": 955, "close_wait": 14,
		},
		Destinations: []Destination{
			{
				Source: netip.MustParseAddr("10.0.0.1"), Address: v4,
				Used: 980, States: map[string]int{"established": 30, "time_wait": 950},
				Free: 9, TimeWaits: 950, NextFreeSeconds: 0.75, HalfFreeSeconds: 31, AllFreeSeconds: 59.4,
				TimeWaitsPerSecond: 16.2, OutInSeconds: 4,
			},
			{
				Source: netip.MustParseAddr("2001:db8::1"), Address: v6,
				Used: 40, States: map[string]int{"established": 35, "time_wait": 5},
				Free: 949, Reusable: 5, TimeWaits: 5, NextFreeSeconds: 3, HalfFreeSeconds: 4, AllFreeSeconds: 5,
				OutInSeconds: -1,
			},
		},
		MoreDestinations: 12,
		Holders: []Holder{
			{
				PID: 4242, UID: 1000, Name: "billing", Connections: 44, Ports: 30, MostTo: v4,
				CloseWaits: 14, Stale: 12, EndUnread: 10, OldestSeconds: 612.5, Descriptors: 60, Limit: 1024,
			},
			{PID: 77, UID: 33, Name: "\x1b[2Jproxy", Connections: 40, Ports: 35, MostTo: v6, Descriptors: 19000, Limit: 65536, Sampled: true},
			{UID: 999, Connections: 3},
		},
		MoreHolders: 2,
		Settings:    []Setting{{"net.ipv4.tcp_tw_reuse", "0", "What it means."}},
		Counters:    []Setting{{"TcpExtTW", "123456", "What was counted."}},
		Advice: []Advice{
			{
				Code: AdvicePorts, Urgent: true, Matter: "9 of 989 ports are left.",
				Source: netip.MustParseAddr("10.0.0.1"), Destination: v4,
				Remedies: []Remedy{{"Keep connections.", "950 ports"}, {"Widen the range.", "63,523 ports for every destination"}},
			},
			{Code: AdviceCloseWait, Matter: "Process 4242 leaks.", PID: 4242, Remedies: []Remedy{{"Close them.", "14 connections"}}},
		},
		Unread: []Gap{{"some of the processes", "they are another user's"}},
	}
}

// TestReportJSON: the names are stable. Who has to change the golden file breaks
// programs that read them.
func TestReportJSON(t *testing.T) {
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetIndent("", "  ")
	if err := e.Encode(fullReport()); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", got.String())
	var again Report
	if err := json.Unmarshal(got.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if want := fullReport(); !reflect.DeepEqual(again, want) {
		t.Errorf("read again:\n%+v\nwant\n%+v", again, want)
	}
}

func TestReportText(t *testing.T) {
	golden(t, "report.txt", fullReport().String())
	if s := fullReport().String(); strings.ContainsRune(s, '\x1b') {
		t.Error("a program's name can give orders to the terminal")
	}
}

// TestReportFields: every field of the report that is full is, so that the
// golden files have all of them.
func TestReportFields(t *testing.T) {
	var visit func(path string, v reflect.Value, seen map[string]bool)
	visit = func(path string, v reflect.Value, seen map[string]bool) {
		switch {
		case v.Kind() == reflect.Struct && v.NumField() > 0 && v.Type().Field(0).IsExported():
			for i := range v.NumField() {
				visit(path+"."+v.Type().Field(i).Name, v.Field(i), seen)
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				visit(path, v.Index(i), seen)
			}
		default:
			seen[path] = seen[path] || !v.IsZero()
		}
	}
	seen := map[string]bool{}
	visit("Report", reflect.ValueOf(fullReport()), seen)
	for path, full := range seen {
		if !full {
			t.Errorf("%s is empty everywhere", path)
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d fields seen", len(seen))
	}
}

func TestReportSummary(t *testing.T) {
	sockets := map[string]int{"listen": 1}
	for _, tt := range []struct {
		r    Report
		want string
	}{
		{Report{Sockets: sockets}, "All is well: nothing is about to run out."},
		{Report{Sockets: sockets, Advice: []Advice{{}}}, "Nothing is about to run out, but see the advice."},
		{Report{Sockets: sockets, Advice: []Advice{{}, {Urgent: true}}}, "Something is RUNNING OUT."},
		{Report{Unread: []Gap{{"the TCP sockets", "no"}}}, "Whether something is running out cannot be said: see below what could not be read."},
		{Report{}, "All is well: nothing is about to run out."},
	} {
		if got, _, _ := strings.Cut(tt.r.String(), "\n"); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestComma(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 28232: "28,232", 1234567: "1,234,567", -1: "-1", -123: "-123", -1234: "-1,234"} {
		if got := comma(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestShortened(t *testing.T) {
	if got := shortened("8080,9000-9010"); got != "8080,9000-9010" {
		t.Error(got)
	}
	if got := shortened(strings.Repeat("10000,", 1000)); len(got) > 210 || !strings.HasSuffix(got, "10000,…") {
		t.Error(got)
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("not as in %s:\n%s", path, got)
	}
}
