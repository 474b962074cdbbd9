package proxies

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model must refuse what a ledger must not do, or the test finds nothing.
func TestModel(t *testing.T) {
	t.Parallel()
	type op struct {
		in  input
		out output
	}
	keep := input{verb: place, keep: true}
	revert := input{verb: place}
	brief := input{verb: place, keep: true, ttl: time.Second}
	free, forced, look := input{verb: release}, input{verb: force}, input{verb: read}
	again := func(uid string) input { return input{verb: renew, uid: uid} }
	tests := map[string]struct {
		ops  []op // a second after one another
		want bool
	}{
		"placed, renewed, released": {[]op{
			{keep, output{done, "a"}},
			{keep, output{done, "a"}},
			{again("a"), output{done, "a"}},
			{free, output{done, "a"}},
			{free, output{done, "a"}},
			{again("a"), output{notFound, ""}},
			{keep, output{done, "b"}},
		}, true},
		"a release without an answer comes late": {[]op{
			{keep, output{done, "a"}},
			{free, output{nothing, ""}},
			{look, output{done, "a"}},
			{look, output{done, ""}},
			{free, output{done, "a"}},
		}, true},
		"a release without an answer comes twice": {[]op{
			{keep, output{done, "a"}},
			{free, output{nothing, ""}},
			{look, output{done, ""}},
			{keep, output{done, "b"}},
			{look, output{done, ""}},
		}, false},
		"a placing without an answer comes late": {[]op{
			{keep, output{nothing, ""}}, {look, output{done, ""}}, {keep, output{done, "a"}}, {free, output{done, "a"}},
		}, true},
		"a placing without an answer comes twice": {[]op{
			{keep, output{nothing, ""}}, {look, output{done, "a"}}, {free, output{done, "a"}}, {look, output{done, "b"}},
		}, false},
		"placed twice": {[]op{
			{keep, output{done, "a"}}, {keep, output{done, "b"}},
		}, false},
		"placed again with an old uid": {[]op{
			{keep, output{done, "a"}}, {free, output{done, "a"}}, {keep, output{done, "a"}},
		}, false},
		"a stale release finds nothing": {[]op{
			{keep, output{done, "a"}}, {free, output{notFound, ""}},
		}, false},
		"a stale renewal finds nothing": {[]op{
			{keep, output{done, "a"}}, {again("a"), output{notFound, ""}},
		}, false},
		"renewed when released": {[]op{
			{keep, output{done, "a"}}, {free, output{done, "a"}}, {again("a"), output{done, "a"}},
		}, false},
		"released by nobody": {[]op{
			{keep, output{done, "a"}}, {look, output{done, ""}},
		}, false},
		"a release that is forgotten": {[]op{
			{keep, output{done, "a"}}, {free, output{effective, ""}}, {look, output{done, "a"}},
		}, false},
		"withdrawn": {[]op{
			{revert, output{effective, ""}}, {free, output{broken, ""}}, {keep, output{done, "b"}},
		}, true},
		"withdrawn, and kept": {[]op{
			{revert, output{effective, ""}}, {keep, output{effective, ""}}, {look, output{done, ""}},
		}, false},
		"withdrawn when settled": {[]op{
			{revert, output{done, "a"}}, {look, output{done, ""}},
		}, false},
		"forced": {[]op{
			{keep, output{done, "a"}},
			{forced, output{done, "a"}},
			{free, output{broken, ""}},
			{again("a"), output{broken, ""}},
		}, true},
		"forced, and not told": {[]op{
			{keep, output{done, "a"}}, {forced, output{done, ""}},
		}, false},
		"forced, and released well": {[]op{
			{keep, output{done, "a"}}, {forced, output{done, "a"}}, {free, output{done, "a"}},
		}, false},
		"expired": {[]op{
			{brief, output{done, "a"}},
			{look, output{done, "a"}},
			{free, output{expired, ""}},
			{again("a"), output{expired, ""}},
		}, true},
		"expired too soon": {[]op{
			{keep, output{done, "a"}}, {free, output{expired, ""}},
		}, false},
		"never expired": {[]op{
			{brief, output{done, "a"}}, {look, output{done, "a"}}, {look, output{done, "a"}},
		}, false},
		"the answer to a release changes": {[]op{
			{keep, output{done, "a"}}, {free, output{done, "a"}}, {free, output{broken, ""}},
		}, false},
		"held by what was released": {[]op{
			{keep, output{done, "a"}}, {free, output{done, "a"}}, {free, output{othersLive, ""}},
		}, false},
		"not held by what lives": {[]op{
			{keep, output{done, "a"}}, {free, output{othersDone, ""}},
		}, false},
		"what nobody was told": {[]op{
			{keep, output{effective, ""}}, {again("a"), output{notFound, ""}},
		}, false},
		"a uid that is told late": {[]op{
			{keep, output{effective, ""}}, {keep, output{done, "a"}}, {free, output{done, "a"}},
		}, true},
		"a uid that is told at the release": {[]op{
			{keep, output{effective, ""}},
			{free, output{effective, ""}},
			{free, output{done, "a"}},
			{free, output{done, "b"}},
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			for i, op := range test.ops {
				at := time.Duration(i) * time.Second
				op.in.from, op.in.by = at, at+time.Millisecond
				history = append(history, porcupine.Operation{
					Input: op.in, Output: op.out, Call: int64(op.in.from), Return: int64(op.in.by),
				})
			}
			if got := porcupine.CheckOperations(model(), history); got != test.want {
				t.Errorf("linearizable: %t, want %t", got, test.want)
			}
		})
	}
}
