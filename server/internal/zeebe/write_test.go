package zeebe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// leverOf is the only lever of a client's topology.
func leverOf(t *testing.T, c *Client) exporting.Lever {
	t.Helper()
	topology := topologyOf(t, c)
	if len(topology.Levers) != 1 {
		t.Fatalf("levers are %v, want one", topology.Levers)
	}
	return topology.Levers[0]
}

func wantPosts(t *testing.T, b *fakeBroker, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, b.posts(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changes asked for differ (-want +got):\n%s", diff)
	}
}

func TestWriteUnsettable(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	c := newClient(t, nil, b)
	lever := leverOf(t, c)
	for _, phase := range []exporting.Phase{exporting.PhaseUnknown, exporting.PhaseClosed, exporting.PhaseMixed} {
		wantError(t, c.Write(t.Context(), lever, phase), phase.String())
	}
	wantPosts(t, b)
}
