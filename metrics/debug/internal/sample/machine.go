package sample

import (
	"context"
	"net/netip"
	"time"

	"github.com/lastack/lastack/dialer"
)

// CalmMachine is the report on a machine that is well.
func CalmMachine(context.Context) (dialer.Report, error) {
	return dialer.Report{
		Time: time.Now(), Kernel: "6.18.44",
		Ports:   dialer.PortBudget{Lo: 32768, Hi: 60999, Usable: 28232},
		Sockets: map[string]int{"established": 412, "time_wait": 121, "listen": 9, "close_wait": 0, "fin_wait_2": 3},
		Destinations: []dialer.Destination{
			destination("10.0.3.9:443", 41, 0, 28191, -1), destination("10.0.9.4:5432", 118, 118, 28232-118, -1),
		},
		Holders:  []dialer.Holder{{PID: 4242, Name: "payments", Connections: 41, Ports: 41}},
		Settings: []dialer.Setting{{Name: "net.ipv4.tcp_tw_reuse", Value: "2", Meaning: "TIME_WAITs are lent again to loopback only."}},
		Counters: []dialer.Setting{{Name: "TcpExtTW", Value: "1204", Meaning: "TIME_WAITs that were made."}},
	}, nil
}

// FullMachine is the report on a machine that runs out of ports.
func FullMachine(ctx context.Context) (dialer.Report, error) {
	r, _ := CalmMachine(ctx)
	r.Sockets = map[string]int{"established": 812, "time_wait": 25204, "listen": 9, "close_wait": 214, "fin_wait_2": 31}
	r.Destinations = []dialer.Destination{
		destination("10.0.3.9:443", 25700, 25204, 2532, 6), destination("10.0.9.4:5432", 20890, 20118, 28232-20890, -1),
	}
	r.Holders = []dialer.Holder{
		{PID: 77, Name: "<b>cron\x1b[2J", Connections: 214, Ports: 214, CloseWaits: 214, Stale: 200},
		{PID: 4242, Name: "payments", Connections: 41, Ports: 41},
	}
	r.Advice = []dialer.Advice{
		{
			Code: dialer.AdvicePorts, Urgent: true, Destination: netip.MustParseAddrPort("10.0.3.9:443"),
			Matter: "Of the 28,232 ports to 10.0.3.9:443, 2,532 are left, and at the present rate none in 6 s.",
			Remedies: []dialer.Remedy{
				{Do: "Keep connections and reuse them.", Gain: "25,204 ports"},
				{Do: "Widen net.ipv4.ip_local_port_range to 1024 65535.", Gain: "36,280 ports for every destination"},
			},
		},
		{Code: dialer.AdviceCloseWait, PID: 77, Matter: "Process 77 does not close 200 connections that their peers have closed.", Remedies: []dialer.Remedy{
			{Do: "Close them: in Go, the body of each response.", Gain: "200 connections"},
		}},
	}
	return r, nil
}

func destination(to string, used, waits, free int, out float64) dialer.Destination {
	return dialer.Destination{
		Source: netip.MustParseAddr("10.0.0.7"), Address: netip.MustParseAddrPort(to), Used: used,
		States: map[string]int{"time_wait": waits, "established": used - waits}, Free: free, TimeWaits: waits,
		NextFreeSeconds: 0.2, HalfFreeSeconds: 31, AllFreeSeconds: 59.1, TimeWaitsPerSecond: float64(waits) / 60, OutInSeconds: out,
	}
}
