package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// claim is the hold of a guarded command, from its placing to its release.
type claim struct {
	*guarded

	service exportgatev1.ExportingServiceClient
	hold    *exportgatev1.Hold
	// lifetime is the time to live that the server granted; 0 if it granted the hold for ever. Both ends of it are by the
	// server's clock, which need not be ours.
	lifetime time.Duration
	// renewal is when the hold is due to be renewed, and expiry when it must have expired, by this machine's clock.
	renewal, expiry time.Time
	// lost is why what is done under the hold is worth nothing, nil as far as is known. If the hold is gone, too, there
	// is nothing left to release, but perhaps a later one of the same name, which is not ours.
	lost error
	gone bool
}

// place places the hold and waits until it is settled. After an error none of ours is left, as far as can be known.
func (c *claim) place(ctx context.Context) error {
	if err := c.refuseTaken(ctx); err != nil {
		return err
	}
	sent := time.Now()
	_, err := c.client.ask(ctx, c.service, operation{
		verb: "hold", waits: true, reached: pausedAtLeast(c.soft),
		call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
			response, err := service.Pause(ctx, &exportgatev1.PauseRequest{
				Hold: c.name.String(), Soft: c.soft, Ttl: c.ttl.proto(), Reason: c.reason,
				OnFailure: exportgatev1.OnFailure_ON_FAILURE_REVERT,
			})
			c.hold = response.GetHold()
			if err == nil && (c.hold.GetId() != c.name.String() || c.hold.GetUid() == "") {
				// To renew what has no uid would be a pause of its own, and a hard one.
				err = status.Error(codes.Unimplemented, "the server does not know holds with names: it is too old")
			}
			return answer{}, err
		},
	})
	if err == nil && ctx.Err() == nil {
		if end := c.hold.GetExpireTime(); end != nil {
			c.lifetime = end.AsTime().Sub(c.hold.GetCreateTime().AsTime())
		}
		c.renewal, c.expiry = sent.Add(c.lifetime/3), time.Now().Add(c.lifetime)
		return nil
	}
	explained := c.explain(err)
	if ctx.Err() != nil {
		explained = fmt.Errorf("hold %s: interrupted before the command was run", c.name)
	}
	if err == nil || mayLive(status.Convert(err)) {
		return errors.Join(explained, c.withdraw(context.WithoutCancel(ctx)))
	}
	return explained
}

// refuseTaken refuses a name under which a hold lives: it would only be renewed, and its owner and we would release it
// under each other.
func (c *claim) refuseTaken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.client.timeout))
	defer cancel()
	response, err := c.service.GetStatus(ctx, &exportgatev1.GetStatusRequest{})
	if err != nil {
		return c.explain(err)
	}
	for _, hold := range response.GetStatus().GetHolds() {
		if hold.GetId() != c.name.String() {
			continue
		}
		hold := printableCopy(hold)
		return fmt.Errorf("hold %s lives already: %s placed it %s ago (reason: %s), and it %s\n"+
			"  next     take another name, or, if nobody needs it any more, run 'exportgate resume --hold %s' first", c.name,
			hold.GetOwner(), since(hold.GetCreateTime(), c.client.con.now()), cmp.Or(hold.GetReason(), "none given"),
			lasts(hold, c.client.con.now()), c.name)
	}
	return nil
}

// mayLive reports whether a pause that failed may have left its hold behind.
func mayLive(st *status.Status) bool {
	reason, particulars := reasonOf(st)
	outcome, written := particulars["outcome"], particulars["written"]
	switch {
	case reason == exportgatev1.ErrorReason_ERROR_REASON_REPLICAS_NOT_SETTLED:
		return outcome != "reverted" && outcome != "reverting"
	case reason == exportgatev1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE:
		return written == "unknown"
	case st.Code() == codes.Unauthenticated || st.Code() == codes.PermissionDenied:
		return false
	}
	return reason == exportgatev1.ErrorReason_ERROR_REASON_UNSPECIFIED // It is not the service's own answer.
}

// withdraw releases a hold that may have been placed, and of which nobody asks how it was.
func (c *claim) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.client.timeout))
	defer cancel()
	err := c.persist(ctx, func() error {
		_, err := c.service.Resume(ctx, &exportgatev1.ResumeRequest{Hold: c.name.String()})
		return err
	})
	if err == nil || ended(status.Convert(err)) {
		return nil
	}
	return fmt.Errorf("it is not known whether the hold was placed; if so it ends by itself, or with "+
		"'exportgate resume --hold %s': %w", c.name, c.explain(err))
}

// keep renews the hold, at a third of its lifetime, until ctx ends. It reports false, and c.lost says why, once what is
// done under the hold is worth nothing. A renewal that fails otherwise is tried again until the hold must have expired.
func (c *claim) keep(ctx context.Context) bool {
	if c.lifetime <= 0 {
		return true
	}
	told := false
	for wait := time.Until(c.renewal); ; {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(wait):
		}
		// A machine that slept wakes up after the hold's end: the server shall say so, not the clock.
		calling, cancel := context.WithTimeout(ctx, max(time.Until(c.expiry), connectTimeout))
		err := c.renew(calling)
		cancel()
		switch {
		case ctx.Err() != nil:
			return true // The release finds out what this renewal did not.
		case c.lost != nil:
			return false
		case err == nil:
			told = false
			wait = time.Until(c.renewal)
			continue
		case !time.Now().Before(c.expiry):
			c.lost = fmt.Errorf("hold %s could not be renewed, and must have expired: %s\n  next     what was done under it is "+
				"worth nothing: do it again under a new hold", c.name, printable(status.Convert(err).Message()))
			return false
		}
		if !told {
			c.notice("cannot be renewed, and is tried again until it expires: %s", printable(status.Convert(err).Message()))
			told = true
		}
		wait = min(c.lifetime/30, maxReconnectDelay, time.Until(c.expiry))
	}
}

// renew prolongs the hold once. If the answer is that what is done under it is worth nothing, c.lost says so.
func (c *claim) renew(ctx context.Context) error {
	sent := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.client.timeout))
	defer cancel()
	response, err := c.service.Pause(ctx, &exportgatev1.PauseRequest{Renew: c.hold.GetUid(), Ttl: c.ttl.proto()})
	st := status.Convert(err)
	reason, _ := reasonOf(st)
	if reason == exportgatev1.ErrorReason_ERROR_REASON_REPLICAS_NOT_SETTLED {
		err = nil // A renewal is written before the replicas are looked at. What became of them, the release tells.
	}
	switch {
	case err == nil:
		c.renewal, c.expiry = sent.Add(c.lifetime/3), time.Now().Add(c.lifetime)
		if hold := response.GetHold(); hold.GetContinuity() == exportgatev1.Continuity_CONTINUITY_BROKEN {
			c.lost = fmt.Errorf("hold %s is broken: %s", c.name, printable(fmt.Sprint(hold.GetEvidence())))
		}
	case reason == exportgatev1.ErrorReason_ERROR_REASON_HOLD_NOT_FOUND: // What a release leaves of a uid that was ours.
		c.lost, c.gone = fmt.Errorf("hold %s was released by somebody else while the command ran: what it made is worth nothing\n"+
			"  next     'exportgate status --history' tells by whom", c.name), true
	case ended(st):
		c.lost, c.gone = c.explain(err), true
	}
	return err
}

// ended reports whether a call failed because its hold does not live any more.
func ended(st *status.Status) bool {
	reason, _ := reasonOf(st)
	return slices.Contains([]exportgatev1.ErrorReason{
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_EXPIRED, exportgatev1.ErrorReason_ERROR_REASON_HOLD_BROKEN,
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_NOT_FOUND, exportgatev1.ErrorReason_ERROR_REASON_SUPERSEDED,
	}, reason)
}

// persist repeats a call while the server is away and nothing was touched, until ctx ends.
func (c *claim) persist(ctx context.Context, call func() error) error {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval = firstReconnectDelay
	for {
		err := call()
		if status.Code(err) != codes.Unavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// explain is an error of the hold, for people.
func (c *claim) explain(err error) error {
	return errors.New(c.client.explain("hold "+c.name.String(), status.Convert(err)))
}
