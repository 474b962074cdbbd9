package hold

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestClusterOf(t *testing.T) {
	got := ClusterOf(&exporting.Topology{ClusterID: "id", Names: []string{"b", "a", "b"}})
	if diff := compare(Cluster{ID: "id", Names: []string{"a", "b"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A ledger goes with one cluster: by its id where both have one, else by a name in common. What is new of it is
// remembered.
func TestBind(t *testing.T) {
	bound := func(id string, names ...string) Cluster { return Cluster{ID: id, Names: names} }
	tests := []struct {
		name         string
		bound, found Cluster
		want         Cluster // afterwards; the same as before where it is another's
		other        bool
	}{
		{"not bound yet", Cluster{}, bound("x", "a"), bound("x", "a"), false},
		{"the same", bound("x", "a"), bound("x", "a"), bound("x", "a"), false},
		{"another address", bound("x", "a"), bound("x", "b"), bound("x", "a", "b"), false},
		{"another id at the same address", bound("x", "a"), bound("y", "a"), bound("x", "a"), true},
		{"an id at last", bound("", "a"), bound("x", "a", "b"), bound("x", "a", "b"), false},
		{"an id no more", bound("x", "a"), bound("", "a"), bound("x", "a"), false},
		{"an id no more, at another address", bound("x", "a"), bound("", "b"), bound("x", "a"), true},
		{"a name in common", bound("", "a", "b"), bound("", "b", "c"), bound("", "a", "b", "c"), false},
		{"no name in common", bound("", "a"), bound("", "b"), bound("", "a"), true},
		{"nothing tells", bound("x", "a"), Cluster{}, bound("x", "a"), false},
		{"nothing ever told", Cluster{}, Cluster{}, Cluster{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, memory := opened(t)
			if test.bound.bound() {
				if err := l.Bind(t.Context(), &exporting.Topology{ClusterID: test.bound.ID, Names: test.bound.Names}); err != nil {
					t.Fatal(err)
				}
			}
			before := lastIn(t, memory).Revision
			err := l.Bind(t.Context(), &exporting.Topology{ClusterID: test.found.ID, Names: test.found.Names})
			other, is := errors.AsType[*OtherClusterError](err)
			if is != test.other || err != nil && !is {
				t.Fatalf("error %v", err)
			}
			if is && (!strings.Contains(err.Error(), other.Bound.String()) || !strings.Contains(err.Error(), other.Found.String())) {
				t.Errorf("%q does not name both", err)
			}
			state := lastIn(t, memory)
			if diff := compare(test.want, state.Cluster); diff != "" {
				t.Errorf("bound (-want +got):\n%s", diff)
			}
			if wrote := state.Revision > before; wrote != !cmp.Equal(test.want, test.bound) {
				t.Errorf("revision %d after %d", state.Revision, before)
			}
		})
	}
}

// Where names come and go for years those count that the cluster is found by now.
func TestNamesAreBounded(t *testing.T) {
	var c Cluster
	for i := range 3 * maxNames {
		found := Cluster{Names: []string{fmt.Sprintf("10.0.0.%04d", i), "zeebe-0"}}
		if i > 0 && !c.same(found) {
			t.Fatalf("with name %d it is another cluster", i)
		}
		if c, _ = c.join(found); len(c.Names) > maxNames {
			t.Fatalf("%d names", len(c.Names))
		}
		if _, more := c.join(found); more {
			t.Fatal("what is known is told to be more")
		}
	}
}

func TestClusterWords(t *testing.T) {
	tests := map[string]Cluster{
		"cluster x":                    {ID: "x", Names: []string{"a"}},
		"the cluster of a, b":          {Names: []string{"a", "b"}},
		"the cluster of a, b, c, d, e": {Names: []string{"a", "b", "c", "d", "e", "f"}},
	}
	for want, c := range tests {
		if got := c.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
