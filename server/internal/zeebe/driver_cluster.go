package zeebe

import (
	"context"
	"errors"
	"fmt"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// changeOf is the path of a change of the whole cluster (zeebe-facts.md 1.3).
func changeOf(phase exporting.Phase) string {
	return "/exporting/" + map[exporting.Phase]string{
		exporting.PhaseExporting:  "resume",
		exporting.PhaseSoftPaused: "pause?soft=true",
		exporting.PhasePaused:     "pause",
	}[phase]
}

// writeCluster asks the brokers from 8.10 on to carry out a change together. Any of them takes it; the first is asked
// that tells that nothing is pending, because a change that meets another one is refused, or comes out of order; and the
// next in turn where that one did not take the last change.
func (c *Client) writeCluster(ctx context.Context, phase exporting.Phase) error {
	addresses := c.memory.ofGeneration(planned)
	if len(addresses) == 0 {
		return errors.New("no broker of 8.10 or later is known: read the topology first")
	}
	config, address, err := c.configuration(ctx, addresses)
	if err != nil {
		return fmt.Errorf("whether a change is pending is not known, so none was sent: %w", err)
	}
	if words, members := config.describe(); words != "" {
		return &exporting.PendingChangeError{Change: words, Members: members}
	}
	// The answer comes when the plan is carried out, which may be a minute. But the plan goes on without anybody waiting,
	// and GET cluster shows it: a broker that says nothing for long may not have begun one, and another is asked next.
	address = c.memory.inTurn(addresses, address)
	_, err = call(ctx, c, toPhase(phase, address, changeOf(phase)), func(a answer) (answer, error) { return a, judgeChange(a) })
	if errors.Is(err, errNoExporting) { // Brokers before 8.10 that are no gateways have no such endpoint either.
		c.memory.forget(address)
	}
	if err != nil {
		c.memory.passTurn()
		return located(c.memory.id(address), address, err)
	}
	return nil
}
