package embedded

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAStoppedBrokerRefusesConnectionsAndComesBackAtItsAddress(t *testing.T) {
	c := start(t, Options{})
	b := c.Broker(1)
	address := b.Address()
	for range 3 {
		b.Stop()
		b.Stop() // it is
		if b.Up() {
			t.Error("the broker is up")
		}
		if _, err := call(t.Context(), t, http.MethodGet, address+"/partitions"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("GET from a stopped broker: %v, want a refused connection", err)
		}
		for range 2 { // the second finds it up
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := get(t, b, "/partitions"); got.Status != http.StatusOK || b.Address() != address {
			t.Errorf("GET from %s, which was %s: %+v", b.Address(), address, got)
		}
	}
}

func TestAStoppedBrokersPortIsKept(t *testing.T) {
	c := start(t, single("8.9"))
	c.Broker(0).Stop()
	_, kept, err := net.SplitHostPort(c.Broker(0).address)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // enough to meet a free port often: the system chooses at random
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err := errors.Join(err, listener.Close()); err != nil {
			t.Fatal(err)
		}
		if port == kept {
			t.Fatal("the port was given to somebody else")
		}
	}
}

func TestAClosedClusterStartsNoBroker(t *testing.T) {
	c := start(t, single("8.9"))
	stop(t, c)
	if err := c.Broker(0).Start(t.Context()); err == nil {
		t.Error("the broker started")
	}
}

func TestBrokersMayHaveHostsOfTheirOwn(t *testing.T) {
	c := start(t, Options{DistinctHosts: true})
	ports := map[string]bool{}
	for i, address := range c.Addresses() {
		host, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/actuator"), ":")
		if want := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}[i]; host != want {
			t.Errorf("broker %d is at %s, want %s", i, host, want)
		}
		ports[port] = true
		if got := get(t, c.Broker(i), "/partitions"); got.Status != http.StatusOK {
			t.Errorf("GET from broker %d: %+v", i, got)
		}
	}
	if len(ports) != 1 {
		t.Errorf("ports %v, want the same of all", ports)
	}
}

func TestRequestsAreRememberedWhateverIsAnswered(t *testing.T) {
	c := start(t, Options{Partitions: 1})
	b := c.Broker(0)
	get(t, b, "/partitions")
	b.SetFaults(Status(500))
	post(t, b, "/exporting/pause?soft=true")
	get(t, b, "/nowhere")
	want := []Request{
		{Method: "GET", Path: "/actuator/partitions"},
		{Method: "POST", Path: "/actuator/exporting/pause", Query: "soft=true"},
		{Method: "GET", Path: "/actuator/nowhere"},
	}
	if diff := cmp.Diff(want, b.Requests(), cmpopts.IgnoreFields(Request{}, "Time")); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	post(t, c.Broker(2), "/partitions/resumeExporting")
	want = append(want[1:2:2], Request{Method: "POST", Path: "/actuator/partitions/resumeExporting"})
	if diff := cmp.Diff(want, c.Writes(), cmpopts.IgnoreFields(Request{}, "Time")); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestTheRequestLogIsBounded(t *testing.T) {
	var log requestLog
	for i := range 2*rememberedRequests + 3 {
		log.add(Request{Method: "POST", Query: strings.Repeat("x", i%10)})
	}
	got := log.list()
	if len(got) != rememberedRequests {
		t.Fatalf("%d requests, want %d", len(got), rememberedRequests)
	}
	first, last := (rememberedRequests+3)%10, (2*rememberedRequests+2)%10
	if len(got[0].Query) != first || len(got[rememberedRequests-1].Query) != last {
		t.Errorf("the oldest is %q and the newest %q, want %d and %d letters",
			got[0].Query, got[rememberedRequests-1].Query, first, last)
	}
}

func TestBrokersAndPartitionsThatAreNotThere(t *testing.T) {
	c := start(t, Options{})
	if c.Broker(-1) != nil || c.Broker(3) != nil || c.Partition(0) != nil || c.Partition(4) != nil {
		t.Error("something is there that should not be")
	}
	if err := c.Partition(1).TransferLeader(7); err == nil {
		t.Error("a broker that is not there leads")
	}
	if err := c.Broker(0).SetVersion("newest"); err == nil {
		t.Error("a broker has no version")
	}
}
