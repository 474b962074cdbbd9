package exporting_test

import (
	"testing"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestWeaker(t *testing.T) {
	tests := []struct {
		shows, asked exporting.Phase
		want         bool
	}{
		{exporting.PhaseExporting, exporting.PhaseSoftPaused, true},
		{exporting.PhaseExporting, exporting.PhasePaused, true},
		{exporting.PhaseSoftPaused, exporting.PhasePaused, true},
		{exporting.PhaseSoftPaused, exporting.PhaseSoftPaused, false},
		{exporting.PhasePaused, exporting.PhaseSoftPaused, false},
		{exporting.PhasePaused, exporting.PhasePaused, false},
		{exporting.PhaseClosed, exporting.PhasePaused, false},
		{exporting.PhaseUnknown, exporting.PhaseSoftPaused, false},
	}
	for _, test := range tests {
		if got := test.shows.Weaker(test.asked); got != test.want {
			t.Errorf("%v where %v is asked for is weaker: %v", test.shows, test.asked, got)
		}
	}
}
