package exporting

import "slices"

// Goal is what every replica shall show.
type Goal struct {
	// Phase is a settable phase.
	Phase Phase
	// Restore undoes a pause that failed: the settable phase that each broker's replicas go back to. Brokers that are not
	// in it go to Phase. nil for everything but a revert.
	Restore map[BrokerID]Phase
	// AtLeast is for judging alone: SOFT_PAUSED is then given by PAUSED too, which keeps back even more.
	AtLeast bool
}

// Want is what the replicas of a broker shall show.
func (g Goal) Want(broker BrokerID) Phase {
	if phase, ok := g.Restore[broker]; ok {
		return phase
	}
	return g.Phase
}

// Strict reports whether the goal is a pause, which promises that nothing was missed: every replica must be accounted
// for, with one leader a partition. A resume or a revert helps those that it can reach.
func (g Goal) Strict() bool {
	return g.Restore == nil && g.Phase != PhaseExporting
}

// met reports whether every replica on a broker shows what the goal asks of it, at this one reading.
func (g Goal) met(broker BrokerID, readings []Reading) bool {
	return showAll(readings, g.Want(broker))
}

// given reports whether a phase that brokers were asked for, or show, gives what the goal wants of a broker.
func (g Goal) given(phase Phase, broker BrokerID) bool {
	want := g.Want(broker)
	return phase == want || g.AtLeast && want == PhaseSoftPaused && phase == PhasePaused
}

// showAll reports whether every replica gives what want asks for.
func showAll(readings []Reading, want Phase) bool {
	for i := range readings {
		if !readings[i].shows(want) {
			return false
		}
	}
	return true
}

// shows reports whether the replica gives what want asks for.
func (r *Reading) shows(want Phase) bool {
	return r.Phase == want || r.NoExporters
}

// step is the phase to write next to bring a broker from what it shows to what the goal wants. A revert from a soft to a
// hard pause goes by way of EXPORTING where the direct way could damage the pause file (zeebe-facts.md 8.12): the soft
// pause has let records through already, so nothing is lost by it; and so it does where a soft pause may still be on its
// way. A pause never takes that way; there the driver refuses.
func (g Goal) step(broker BrokerID, lever Lever, readings []Reading, maySoften bool) Phase {
	want := g.Want(broker)
	switch {
	case want != PhasePaused || lever.SoftToHard || g.Restore == nil:
		return want
	case maySoften || anySoft(readings):
		return PhaseExporting
	}
	return want
}

// anySoft reports whether a replica shows SOFT_PAUSED.
func anySoft(readings []Reading) bool {
	return slices.ContainsFunc(readings, func(r Reading) bool { return r.Phase == PhaseSoftPaused })
}
