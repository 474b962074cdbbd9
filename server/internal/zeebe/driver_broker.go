package zeebe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// operationOf is the path of a broker's own operation (zeebe-facts.md 4.1).
func operationOf(phase exporting.Phase) string {
	return "/partitions/" + map[exporting.Phase]string{
		exporting.PhaseExporting:  "resumeExporting",
		exporting.PhaseSoftPaused: "softPauseExporting",
		exporting.PhasePaused:     "pauseExporting",
	}[phase]
}

// writeBroker asks a broker below 8.10 to take all its replicas to a phase. One write at a time goes to a broker, so
// that the guard's verdict still holds when the write leaves.
func (c *Client) writeBroker(ctx context.Context, address string, phase exporting.Phase) error {
	id, slot := c.memory.id(address), c.memory.slot(address)
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		return located(id, address, fmt.Errorf("another write to it is under way: %w", ctx.Err()))
	}
	if phase == exporting.PhasePaused && !c.allow {
		if err := c.makeSafe(ctx, id, address); err != nil {
			return err
		}
	}
	return c.operate(ctx, id, address, phase)
}

// makeSafe returns nil when PAUSED cannot meet SOFT_PAUSED on a broker. It reads the broker where nobody did lately.
func (c *Client) makeSafe(ctx context.Context, id exporting.BrokerID, address string) error {
	v := c.hardPause(address)
	if v == unread {
		if _, err := c.read(ctx, address); err != nil {
			return located(id, address, fmt.Errorf("not paused hard, as it may be paused softly: %w", err))
		}
		v = c.hardPause(address)
	}
	if v != safe {
		return &exporting.UnsafeTransitionError{Brokers: []exporting.BrokerID{id}}
	}
	return nil
}

// hardPause asks the guard of a broker. A broker that has no soft pause needs none.
func (c *Client) hardPause(address string) (v verdict) {
	c.memory.with(address, func(r *record) {
		if r.softPause() {
			v = r.guard.hardPause(time.Now())
		}
	})
	return v
}

// operate sends an operation and tells the guard of it, unless it is certain that the broker did not take it: the
// request never left, or was refused as such.
func (c *Client) operate(ctx context.Context, id exporting.BrokerID, address string, phase exporting.Phase) error {
	a, err := call(ctx, c, toPhase(phase, address, operationOf(phase)), func(a answer) (answer, error) { return a, judgeOperation(a) })
	var silent *silentError
	unsent := errors.As(err, &silent) && silent.unsent
	if !unsent && !errors.Is(err, errUnknownOperation) && a.status/100 != 3 && a.status/100 != 4 {
		c.memory.with(address, func(r *record) { r.guard.wrote(phase, err == nil, time.Now()) })
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknownOperation) && phase == exporting.PhaseSoftPaused:
		return c.withoutSoftPause(address)
	case a.status == http.StatusInternalServerError:
		err = c.maybePlanned(ctx, address, err)
	}
	return located(id, address, err)
}

// withoutSoftPause remembers that a broker has no soft pause, and says so.
func (c *Client) withoutSoftPause(address string) error {
	unsupported := &exporting.SoftPauseUnsupportedError{}
	c.memory.with(address, func(r *record) {
		r.noSoft = true
		unsupported.Brokers = []exporting.BrokerID{r.id}
		unsupported.Version = r.versionText()
	})
	return unsupported
}

// maybePlanned explains the 500 of a broker whose own operation failed: one of 8.10 or later refuses them all, and has
// changed nothing (zeebe-facts.md 4.1). It is asked again what it is, as it may have been upgraded.
func (c *Client) maybePlanned(ctx context.Context, address string, refused error) error {
	c.memory.forget(address)
	c.probe(ctx, address)
	var told string
	var learnt generation
	c.memory.with(address, func(r *record) { told, learnt = r.told.text, r.learnt })
	switch {
	case told != "":
		return fmt.Errorf("%w: brokers from 8.10 on refuse this for good; if it is one, correct the version %s that the "+
			"gateway or zeebe.version tells", refused, told)
	case learnt == planned:
		return fmt.Errorf("%w: it is 8.10 or later, where the cluster changes its phase as a whole, and changed nothing: "+
			"ask again", refused)
	}
	return refused
}
