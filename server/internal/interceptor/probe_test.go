package interceptor

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/limits"
)

// Anybody may watch the health, and nobody so often that others cannot.
func TestHealthWatchesAreBounded(t *testing.T) {
	guard, _ := lock(t)
	var refused []string
	c := New(Options{Logger: discard(), Guard: guard, Refused: func(reason string) { refused = append(refused, reason) }})
	var open int
	var last error
	// begin opens one more inside of all that are open, until one is refused.
	var begin func(address func(int) string, most int)
	begin = func(address func(int) string, most int) {
		if open == most {
			return
		}
		last = watch(from(t.Context(), address(open), ""), c, grpc_health_v1.Health_Watch_FullMethodName, func(context.Context) error {
			open++
			begin(address, most)
			return nil
		})
	}
	one := func(int) string { return "192.0.2.7:1" }
	begin(one, healthWatches)
	if open != healthWatches || last != nil || len(refused) != 0 {
		t.Errorf("%d streams are open: %v, %v", open, last, refused)
	}
	for _, test := range []struct {
		name    string
		address func(int) string
		want    int
	}{
		{"of an address", one, healthWatches},
		{"in all", func(i int) string { return fmt.Sprintf("198.51.%d.7:1", i/healthWatches) }, allHealthWatches},
	} {
		open, refused = 0, nil
		begin(test.address, test.want+1)
		if open != test.want || !slices.Equal(refused, []string{"TOO_MANY_CALLS"}) {
			t.Errorf("%s: %d streams are open, and refused is %v", test.name, open, refused)
		}
	}
	if err := (&limits.ExceededError{Limit: limits.HealthWatches}).Error(); err == (&limits.ExceededError{Limit: limits.Watchers}).Error() {
		t.Error("the refusal names a limit that can be configured")
	}
	open = 0
	if begin(one, healthWatches); open != healthWatches {
		t.Errorf("%d streams may be open after all have ended", open)
	}
	// What is no stream, and what is another's, is not touched.
	if _, err := c.probes.begin("192.0.2.7:1"); err != nil {
		t.Errorf("after all have ended: %v", err)
	}
	err := watch(from(t.Context(), "192.0.2.7:1", ""), c, grpc_health_v1.Health_Check_FullMethodName, func(context.Context) error { return nil })
	if status.Code(err) != codes.OK {
		t.Error(err)
	}
}
