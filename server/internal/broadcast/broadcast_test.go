package broadcast

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whole is a response that has every field.
func whole(tb testing.TB) *exportgatev1.WatchStatusResponse {
	tb.Helper()
	response := &exportgatev1.WatchStatusResponse{
		Status: &exportgatev1.Status{
			Target: exportgatev1.Phase_PHASE_PAUSED, Holds: []*exportgatev1.Hold{{Id: "backup-1", Evidence: []string{"a", "b"}}},
		},
		Events:       []*exportgatev1.Event{{Message: "one"}, {Message: "two"}},
		MissedEvents: true,
		Cursor:       "a.7",
	}
	fields := response.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !response.ProtoReflect().Has(fields.Get(i)) {
			tb.Fatalf("%s is not set: it is new, and none of these tests would notice if it were lost", fields.Get(i).FullName())
		}
	}
	return response
}

func TestRest(t *testing.T) {
	response := whole(t)
	rest := Rest(response)
	if rest.GetStatus() != nil || response.GetStatus() == nil {
		t.Error("it is not the status that is left out, or it is gone from the response too")
	}
	rest.Status = response.GetStatus()
	if diff := cmp.Diff(response, rest, protocmp.Transform()); diff != "" {
		t.Errorf("with the status it is another response (-want +got):\n%s", diff)
	}
}

// TestEncodedOnce proves that a status is encoded once, however many ask at once, until another one takes its place.
func TestEncodedOnce(t *testing.T) {
	const many = 100
	var made atomic.Int64
	e := NewEncoding(func(status *exportgatev1.Status) ([]byte, error) {
		made.Add(1)
		return []byte(status.GetUnsettledReason()), nil
	})
	one, two := &exportgatev1.Status{UnsettledReason: "one"}, &exportgatev1.Status{UnsettledReason: "two"}
	for i, status := range []*exportgatev1.Status{one, two, one, nil} {
		var asking sync.WaitGroup
		for range many {
			asking.Go(func() {
				if got, err := e.Of(status); string(got) != status.GetUnsettledReason() || err != nil {
					t.Errorf("encoding is %q, %v", got, err)
				}
			})
		}
		asking.Wait()
		if got := made.Load(); got != int64(i+1) {
			t.Errorf("after status %d there were %d encodings", i, got)
		}
	}
}

// TestMixedStatuses proves that streams at different places each get the bytes of their own status.
func TestMixedStatuses(t *testing.T) {
	e := NewEncoding(func(status *exportgatev1.Status) ([]byte, error) { return []byte(status.GetUnsettledReason()), nil })
	var asking sync.WaitGroup
	for _, text := range []string{"one", "two", "three", "four"} {
		status := &exportgatev1.Status{UnsettledReason: text}
		asking.Go(func() {
			for range 1000 {
				if got, err := e.Of(status); string(got) != text || err != nil {
					t.Errorf("encoding of %q is %q, %v", text, got, err)
					return
				}
			}
		})
	}
	asking.Wait()
}

// TestOtherStatusesDoNotWait proves that a status whose encoding takes long holds up none but those who want it.
func TestOtherStatusesDoNotWait(t *testing.T) {
	slow, quick := new(exportgatev1.Status), new(exportgatev1.Status)
	began, goOn := make(chan struct{}), make(chan struct{})
	e := NewEncoding(func(status *exportgatev1.Status) ([]byte, error) {
		if status == slow {
			close(began)
			<-goOn
		}
		return nil, nil
	})
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = e.Of(slow) })
	<-began
	if _, err := e.Of(quick); err != nil { // If it waited, so would the test, for ever.
		t.Error(err)
	}
	close(goOn)
	asking.Wait()
}

func TestEncodingThatFails(t *testing.T) {
	failure, made := errors.New("no"), 0
	e := NewEncoding(func(*exportgatev1.Status) ([]byte, error) { made++; return nil, failure })
	status := new(exportgatev1.Status)
	for range 3 {
		if _, err := e.Of(status); !errors.Is(err, failure) {
			t.Errorf("error is %v", err)
		}
	}
	if made != 1 {
		t.Errorf("it was tried %d times", made)
	}
}

func TestCloner(t *testing.T) {
	response := whole(t)
	clone, err := Cloner{}.Clone(response)
	if err != nil || clone != any(response) {
		t.Errorf("clone is %p, %v, want the response %p itself", clone, err, response)
	}
	received := &exportgatev1.WatchStatusResponse{Cursor: "an earlier one", MissedEvents: true}
	for _, sent := range []*exportgatev1.WatchStatusResponse{response, {Status: response.GetStatus()}} {
		if err := (Cloner{}).Copy(received, sent); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent, received, protocmp.Transform()); diff != "" {
			t.Errorf("received (-sent +received):\n%s", diff)
		}
		if received.GetStatus() != sent.GetStatus() {
			t.Error("the status was copied")
		}
	}
}

// TestClonerCopiesTheRest proves that nothing but the messages of a watch is shared.
func TestClonerCopiesTheRest(t *testing.T) {
	response := &exportgatev1.GetStatusResponse{Status: whole(t).GetStatus()}
	made, err := Cloner{}.Clone(response)
	clone, ok := made.(*exportgatev1.GetStatusResponse)
	if err != nil || !ok {
		t.Fatalf("clone is %T, %v", made, err)
	}
	received := new(exportgatev1.GetStatusResponse)
	if err := (Cloner{}).Copy(received, response); err != nil {
		t.Fatal(err)
	}
	for name, copied := range map[string]*exportgatev1.GetStatusResponse{"Clone": clone, "Copy": received} {
		if diff := cmp.Diff(response, copied, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if copied.GetStatus() == response.GetStatus() {
			t.Errorf("%s shares the status", name)
		}
	}
	if err := (Cloner{}).Copy(new(exportgatev1.GetStatusResponse), whole(t)); err == nil {
		t.Error("a response was taken for one of another type")
	}
}
