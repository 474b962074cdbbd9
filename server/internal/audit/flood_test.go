package audit

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func refuse(l *Log, address string) {
	l.Refused(&Call{Operation: "GET /", Address: address}, status.Error(codes.Unauthenticated, "who are you?"))
}

// Whoever is turned away again and again has few lines a minute, and the rest is counted; others still have theirs.
func TestFloodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := options(t)
		l := opening(t, o)
		began := time.Now()
		for i := range 1000 {
			refuse(l, fmt.Sprint("192.0.2.7:", i))
		}
		refuse(l, "192.0.2.8:1")
		<-time.After(floodWindow + time.Second)
		refuse(l, "192.0.2.7:1")
		<-time.After(floodWindow)
		closing(t, l)
		lines := read(t, o.Path)
		if len(lines) != refusedByOne+3 {
			t.Fatalf("%d lines, want %d: %v", len(lines), refusedByOne+3, kinds(lines))
		}
		summary := lines[refusedByOne+1]
		if diff := compare(map[string]uint64{"192.0.2.7": 1000 - refusedByOne}, summary.Suppressed); diff != "" || !summary.Since.Equal(began) {
			t.Errorf("since %v, want %v; (-want +got):\n%s", summary.Since, began, diff)
		}
		if last := lines[refusedByOne+2]; last.Address != "192.0.2.7:1" || last.Suppressed != nil {
			t.Errorf("in the next minute: %+v", last)
		}
	})
}

// A million addresses neither fill the disk nor the memory, and every call is counted.
func TestFloodFromEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, b := options(t)
		l := opening(t, o)
		const calls = 50_000
		for i := range calls {
			refuse(l, fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff))
		}
		if n := len(l.flood.addresses); n > maxFlooders+1 {
			t.Errorf("%d addresses are remembered", n)
		}
		closing(t, l)
		lines := read(t, o.Path)
		summary := lines[len(lines)-1].Suppressed
		counted := uint64(len(lines) - 1)
		for _, n := range summary {
			counted += n
		}
		if len(lines) != refusedByAll+1 || len(summary) != maxSuppressed+1 && len(summary) != maxSuppressed || counted != calls {
			t.Errorf("%d lines, %d addresses in the summary, %d of %d calls counted; standard error %q", len(lines), len(summary), counted,
				calls, b.stderr.String())
		}
		if info, err := os.Stat(o.Path); err != nil || info.Size() > 200_000 {
			t.Errorf("%v, %d bytes", err, info.Size())
		}
	})
}

// What is no address is told in a line too, and must be fit for that.
func TestFloodFromNowhere(t *testing.T) {
	l := &Log{}
	for _, address := range []string{"pipe\n", "192.0.2.7:80", "192.0.2.7:81"} {
		l.admitRefused(address)
	}
	if diff := cmp.Diff([]string{"192.0.2.7", "pipe\ufffd"}, slices.Sorted(maps.Keys(l.flood.addresses))); diff != "" {
		t.Error(diff)
	}
}

// Whatever one is turned away with, a line is short: 20 of them a minute are less than 50 MB a day.
func TestRefusedLinesAreShort(t *testing.T) {
	long := strings.Repeat("\"\x1b", 500)
	for name, request := range map[string]proto.Message{
		"pause":  &exportgatev1.PauseRequest{Hold: long, Reason: long, Renew: long},
		"resume": &exportgatev1.ResumeRequest{Hold: long},
		"none":   nil,
	} {
		o, _ := options(t)
		l := opening(t, o)
		l.Refused(&Call{Operation: "GET /", Address: "192.0.2.7:1", UserAgent: long, Request: request}, status.Error(codes.Unauthenticated, "who are you?"))
		closing(t, l)
		content, err := os.ReadFile(o.Path)
		if err != nil {
			t.Fatal(err)
		}
		if most := 50_000_000 / (24 * 60 * refusedByOne); len(content) > most || !strings.Contains(string(content), `\"`) {
			t.Errorf("%s: the line has %d bytes, want at most %d: %s", name, len(content), most, content)
		}
	}
}
