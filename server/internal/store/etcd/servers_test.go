package etcd

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Stamps that are late make a clock look slow; the one that took the least counts.
func TestWarnings(t *testing.T) {
	s := time.Second
	tests := []struct {
		name   string
		offset time.Duration
		delays []time.Duration
		want   string
	}{
		{"equal", 0, []time.Duration{0, 0}, ""},
		{"all late", 0, []time.Duration{4 * s, 4 * s}, ""},
		{"once in time", 0, []time.Duration{9 * s, 8 * s, 0, 7 * s, 9 * s}, ""},
		{"ahead", 6 * s, []time.Duration{s / 10, s / 2}, "the clock of b is 5.9s ahead of that of a"},
		{"ahead, once in time", 6 * s, []time.Duration{3 * s, s / 10, 3 * s}, "the clock of b is 5.9s ahead"},
		{"a little ahead", 5 * s, []time.Duration{0}, ""},
		{"a little behind", -5 * s, []time.Duration{0}, ""},
		{"behind", -6 * s, []time.Duration{s, s / 5, s}, "the clock of b is 6.2s behind that of a"},
		{"was late long ago", -6 * s, []time.Duration{-6 * s, 0, 0, 0, 0, 0}, "behind"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newElection(nil, &Options{Name: "a", Prefix: "/p", Logger: slog.New(slog.DiscardHandler)})
				for _, delay := range test.delays {
					sent := stamp{"b", time.Now().Add(test.offset).UnixNano()}
					e.servers.saw("/p/election/servers/b-1", []byte(sent.encode()), false, time.Now().Add(delay))
				}
				if len(e.Servers()) != 1 || e.Servers()[0].Name != "b" {
					t.Errorf("servers %v", e.Servers())
				}
				got := strings.Join(e.Warnings(), "\n")
				if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
					t.Errorf("warnings %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestServersComeAndGo(t *testing.T) {
	var s servers
	now := time.Now()
	saw := func(key, value string, gone bool) { s.saw(key, []byte(value), gone, now) }
	at := func(name string) string { return stamp{name, now.UnixNano()}.encode() }
	saw("1", at("b"), false)
	saw("2", at("a"), false)
	for _, nonsense := range []string{"", "{}", "[]", `{"name":7}`, at(""), at(strings.Repeat("x", maxName+1)), at("x") + strings.Repeat(" ", maxStamp)} {
		saw("3", nonsense, false)
	}
	if got := fmt.Sprint(s.list()); got != "[{a 0s} {b 0s}]" {
		t.Errorf("servers %s", got)
	}
	saw("1", "", true)
	saw("1", "", true)
	if got := fmt.Sprint(s.list()); got != "[{a 0s}]" {
		t.Errorf("servers %s after one went", got)
	}
	saw("4", at("c"), false)
	s.reset([]*mvccpb.KeyValue{{Key: []byte("4")}, {Key: []byte("5")}})
	if got := fmt.Sprint(s.list()); got != "[{c 0s}]" {
		t.Errorf("servers %s after a reset", got)
	}
	for i := range 2 * maxServers {
		saw(fmt.Sprint("many-", i), at("many"), false)
	}
	if got := len(s.list()); got != maxServers {
		t.Errorf("%d servers", got)
	}
}

func FuzzStamp(f *testing.F) {
	f.Add([]byte(stamp{"gate-0", 1}.encode()))
	f.Add([]byte(`{"name":"x","time":1e99}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := decodeStamp(data)
		if ok && (s.Name == "" || len(s.Name) > maxName) || !ok && s != (stamp{}) {
			t.Errorf("%q is read as %v, %v", data, s, ok)
		}
	})
}
