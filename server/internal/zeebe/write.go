package zeebe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// clusterLever moves all brokers from 8.10 on. The lever of an older broker has its address for an id.
const clusterLever exporting.LeverID = "cluster"

// Write asks a lever for a phase; see [exporting.Cluster].
func (c *Client) Write(ctx context.Context, lever exporting.Lever, phase exporting.Phase) error {
	switch {
	case !phase.Settable():
		return fmt.Errorf("brokers cannot be asked for the phase %s", phase)
	case lever.Planned:
		return c.writeCluster(ctx, phase)
	}
	return c.writeBroker(ctx, string(lever.ID), phase)
}

// operationOf is the path of a broker's own operation (zeebe-facts.md 4.1).
func operationOf(phase exporting.Phase) string {
	switch phase {
	case exporting.PhasePaused:
		return "/partitions/pauseExporting"
	case exporting.PhaseSoftPaused:
		return "/partitions/softPauseExporting"
	}
	return "/partitions/resumeExporting"
}

// writeBroker asks a broker below 8.10 to take all its replicas to a phase. One write at a time goes to a broker, so that
// the guard's verdict still holds when the write leaves.
func (c *Client) writeBroker(ctx context.Context, address string, phase exporting.Phase) error {
	var slot chan struct{}
	var id exporting.BrokerID
	c.memory.with(address, func(r *record) { slot, id = r.slot, r.id })
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		return of(id, address, fmt.Errorf("another write to it is under way: %w", ctx.Err()))
	}
	if phase == exporting.PhasePaused && !c.allow {
		if err := c.makeSafe(ctx, id, address); err != nil {
			return err
		}
	}
	a, err := c.operate(ctx, address, phase)
	switch {
	case errors.Is(err, errUnknownOperation) && phase == exporting.PhaseSoftPaused:
		return c.withoutSoftPause(address)
	case a.status == http.StatusInternalServerError:
		return of(id, address, c.maybePlanned(ctx, address, err))
	case err != nil:
		return of(id, address, err)
	}
	return nil
}

// operate sends an operation and tells the guard of it, unless it is certain that the broker did not take it: the
// request never left, or was refused as such.
func (c *Client) operate(ctx context.Context, address string, phase exporting.Phase) (answer, error) {
	a, err := c.post(ctx, address, operationOf(phase))
	if err == nil {
		err = judgeOperation(a)
	}
	var silent *silentError
	unsent := errors.As(err, &silent) && silent.unsent
	if !unsent && !errors.Is(err, errUnknownOperation) && a.status/100 != 3 && a.status/100 != 4 {
		c.memory.with(address, func(r *record) { r.guard.wrote(phase, err == nil, time.Now()) })
	}
	return a, err
}

// makeSafe returns nil when PAUSED cannot meet SOFT_PAUSED on a broker. It reads the broker where nobody did lately. A
// soft pause that was sent and never showed is overtaken by a resume, which changes nothing for replicas that export
// anyway: without it a soft pause that got lost would forbid every hard one after it.
func (c *Client) makeSafe(ctx context.Context, id exporting.BrokerID, address string) error {
	v := c.hardPause(address)
	if v == unread {
		if _, err := c.read(ctx, address); err != nil {
			return of(id, address, fmt.Errorf("no hard pause is sent before it is read that no replica is softly paused: %w", err))
		}
		v = c.hardPause(address)
	}
	if v == unseen {
		if _, err := c.operate(ctx, address, exporting.PhaseExporting); err != nil {
			return of(id, address, fmt.Errorf("a soft pause may be on its way, and the resume before a hard one failed: %w", err))
		}
		if _, err := c.read(ctx, address); err != nil {
			return of(id, address, fmt.Errorf("a soft pause may be on its way, and the read before a hard one failed: %w", err))
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

// maybePlanned explains the 500 of a broker whose own operations failed: one of 8.10 or later refuses them all, and has
// changed nothing (zeebe-facts.md 4.1). Its generation is asked for again, as it may have been upgraded.
func (c *Client) maybePlanned(ctx context.Context, address string, refused error) error {
	c.memory.forget(address)
	c.probe(ctx, address)
	var g generation
	var told string
	c.memory.with(address, func(r *record) { g, told = r.learnt, r.told.text })
	switch {
	case told != "":
		return fmt.Errorf("%w: from 8.10 on brokers refuse this for good; if it is, correct the version %s that the gateway or "+
			"zeebe.version tells", refused, told)
	case g == planned:
		return fmt.Errorf("%w: it is 8.10 or later, where the cluster changes its phase as a whole, and changed nothing: "+
			"ask again", refused)
	}
	return refused
}

// changeOf is the path of a change of the whole cluster (zeebe-facts.md 1.3).
func changeOf(phase exporting.Phase) string {
	switch phase {
	case exporting.PhasePaused:
		return "/exporting/pause"
	case exporting.PhaseSoftPaused:
		return "/exporting/pause?soft=true"
	}
	return "/exporting/resume"
}

// writeCluster asks the brokers from 8.10 on to carry out a change together. Any of them takes it; the first is asked
// that tells that nothing is pending, because a change on top of another is refused, or worse, decided by chance.
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
	var id exporting.BrokerID
	c.memory.with(address, func(r *record) { id = r.id })
	// The answer comes when the plan is carried out, which may be a minute: only the caller knows how long to wait.
	a, err := c.send(ctx, http.MethodPost, address+changeOf(phase), 0, address)
	if err != nil {
		return of(id, address, err)
	}
	if a.status == http.StatusNotFound {
		c.memory.forget(address)
		return of(id, address, errors.New("it has no exporting endpoint (404): is management.endpoint.exporting switched off?"))
	}
	if err := judgeChange(a); err != nil {
		return of(id, address, err)
	}
	return nil
}
