package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// release ends the hold. The error is why what was done under it is worth nothing, or may be.
func (c *claim) release(ctx context.Context) error {
	calling, cancel := context.WithTimeout(ctx, time.Duration(c.client.timeout))
	defer cancel()
	c.prove(calling)
	if c.gone {
		return c.lost
	}
	var response *exportgatev1.ResumeResponse
	err := c.persist(calling, func() error {
		var err error
		response, err = c.service.Resume(calling, &exportgatev1.ResumeRequest{Hold: c.name.String()})
		return err
	})
	switch {
	case err != nil && ended(status.Convert(err)):
		return c.explain(err)
	case err != nil:
		return c.lookBack(ctx, err)
	case c.lost != nil:
		return c.lost
	case response.GetReleased().GetUid() != c.hold.GetUid():
		return fmt.Errorf("hold %s was ended, and placed again, by somebody else: see 'exportgate status --history'", c.name)
	}
	c.caution(response.GetReleased())
	return nil
}

// prove renews the hold a last time, to know that it lived until now. The release alone would not tell: one that somebody
// else made before answers just like the first. Nor would it spare a later hold of the same name.
func (c *claim) prove(ctx context.Context) {
	if c.lost != nil {
		return
	}
	err := c.persist(ctx, func() error { return c.renew(ctx) })
	if err != nil && c.lost == nil {
		c.lost = fmt.Errorf("%w\n  (it is not known whether the hold lived until the command ended)", c.explain(err))
	}
}

// lookBack finds out how the hold ended, after a release that failed for reasons which do not tell, such as a broker that
// does not follow: that exporting cannot be resumed everywhere does not spoil what was done before.
func (c *claim) lookBack(ctx context.Context, failure error) error {
	explained := c.explain(failure)
	if c.lost != nil {
		return fmt.Errorf("%w\n%w", c.lost, explained)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.client.timeout))
	defer cancel()
	response, err := c.service.GetStatus(ctx, &exportgatev1.GetStatusRequest{})
	if err != nil {
		return explained
	}
	for _, past := range response.GetStatus().GetHistory() {
		hold := past.GetHold()
		intact := hold.GetContinuity() == exportgatev1.Continuity_CONTINUITY_INTACT ||
			hold.GetContinuity() == exportgatev1.Continuity_CONTINUITY_PENDING
		if hold.GetUid() == c.hold.GetUid() && past.GetEnd() == exportgatev1.HoldEnd_HOLD_END_RELEASED && intact {
			c.notice("it is released, and exporting stood still under it, but what followed failed:\n%s", explained)
			c.caution(hold)
			return nil
		}
	}
	return explained
}

// caution tells of a hold that was released before it could be judged.
func (c *claim) caution(hold *exportgatev1.Hold) {
	if hold.GetContinuity() == exportgatev1.Continuity_CONTINUITY_PENDING {
		c.notice("the command ended before it could be judged whether exporting stands still: what exporters had buffered may " +
			"still have reached the stored positions")
	}
}
