package netlab

import "testing"

// The load generators count what they are sent, and what they are not.
func TestTally(t *testing.T) {
	Run(t, func(lab *Lab) {
		srv := lab.Start(t, Nginx, Config{})
		for name, test := range map[string]struct {
			program ClientProgram
			args    []string
			refused bool
		}{
			"wrk":            {Wrk, []string{"-t1", "-c2", "-d1s", "http://" + srv.Plain.String() + "/64k"}, false},
			"wrk 404":        {Wrk, []string{"-t1", "-c2", "-d1s", "http://" + srv.Plain.String() + "/none"}, true},
			"h2load":         {H2load, []string{"-n20", "-c2", "http://" + srv.H2C.String() + "/64k"}, false},
			"h2load h1":      {H2load, []string{"-n20", "-c2", "--h1", "http://" + srv.Plain.String() + "/64k"}, false},
			"h2load 404":     {H2load, []string{"-n20", "-c2", "http://" + srv.H2C.String() + "/none"}, true},
			"h2load, nobody": {H2load, []string{"-n20", "-c2", "http://127.0.0.1:1/"}, false},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				out, _ := lab.Client(t, test.program, test.args...).Output()
				tally, err := ReadTally(test.program, out)
				if err != nil {
					t.Fatal(err)
				}
				if name == "h2load, nobody" {
					if tally.Whole != 0 || tally.Broken != 20 {
						t.Errorf("%+v", tally)
					}
					return
				}
				wantRefused := 0
				if test.refused {
					wantRefused = tally.Whole
				}
				if tally.Whole == 0 || tally.Refused != wantRefused || tally.Broken != 0 || tally.PerSecond <= 0 {
					t.Errorf("%+v from:\n%s", tally, out)
				}
			})
		}
	})
}

func TestTallyOfNothing(t *testing.T) {
	for _, p := range []ClientProgram{Wrk, H2load, Curl} {
		if tally, err := ReadTally(p, []byte("nothing")); err == nil {
			t.Errorf("%s: %+v from nothing", p.Name, tally)
		}
	}
}

func TestCurl(t *testing.T) {
	Run(t, func(lab *Lab) {
		srv := lab.Start(t, Nginx, Config{})
		out, err := lab.Client(t, Curl, "-sS", "http://"+srv.Plain.String()+"/64k").Output()
		if err != nil || len(out) != FileSize {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}
