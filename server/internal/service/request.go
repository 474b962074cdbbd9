package service

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// The bounds of what a request may say.
const (
	maxReason = 1000
	maxCursor = 100
	maxTTL    = 100 * 365 * 24 * time.Hour // what more than that means nobody knows
)

// name is what a hold may be called, and what uids look like: it can go into logs, URLs and file names as it is.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

func fromPause(req *exportgatev1.PauseRequest) (reconcile.PauseRequest, error) {
	onFailure, err := fromOnFailure(req.GetOnFailure())
	if err != nil {
		return reconcile.PauseRequest{}, err
	}
	asked := reconcile.PauseRequest{
		Hold: req.GetHold(), Phase: exporting.PhasePaused, Reason: req.GetReason(), Renew: req.GetRenew(), OnFailure: onFailure,
		ValidateOnly: req.GetValidateOnly(),
	}
	if req.GetSoft() {
		asked.Phase = exporting.PhaseSoftPaused
	}
	if req.GetTtl() != nil {
		if asked.TTL, err = fromTTL(req); err != nil {
			return reconcile.PauseRequest{}, err
		}
	}
	switch {
	case asked.Hold != "" && !name.MatchString(asked.Hold):
		return reconcile.PauseRequest{}, &invalidError{"hold", notAName}
	case asked.Renew != "" && !name.MatchString(asked.Renew):
		return reconcile.PauseRequest{}, &invalidError{"renew", "not the uid of a hold"}
	case asked.Renew != "" && (asked.Hold != "" || req.GetSoft() || asked.Reason != ""):
		return reconcile.PauseRequest{}, &invalidError{"renew", "a renewal by uid goes with a ttl alone: it changes nothing else"}
	}
	return asked, checkReason(asked.Reason)
}

const notAName = "not a name of 1 to 128 letters, digits, dots, dashes, underscores or colons that begins with a letter or a digit"

func fromTTL(req *exportgatev1.PauseRequest) (time.Duration, error) {
	if err := req.GetTtl().CheckValid(); err != nil {
		return 0, &invalidError{"ttl", err.Error()}
	}
	ttl := req.GetTtl().AsDuration()
	if ttl <= 0 || ttl > maxTTL {
		return 0, &invalidError{"ttl", fmt.Sprintf("%s is not a time that lies ahead", ttl)}
	}
	return ttl, nil
}

func checkReason(reason string) error {
	switch {
	case len(reason) > maxReason:
		return &invalidError{"reason", fmt.Sprintf("longer than %d bytes", maxReason)}
	case !utf8.ValidString(reason), strings.ContainsFunc(reason, unicode.IsControl):
		return &invalidError{"reason", "not one line of text"}
	}
	return nil
}

func fromResume(req *exportgatev1.ResumeRequest) (reconcile.ResumeRequest, error) {
	asked := reconcile.ResumeRequest{Hold: req.GetHold(), Force: req.GetForce(), ValidateOnly: req.GetValidateOnly()}
	switch {
	case asked.Hold != "" && !name.MatchString(asked.Hold):
		return asked, &invalidError{"hold", notAName}
	case asked.Hold != "" && asked.Hold != hold.Operator && asked.Force:
		return asked, &invalidError{"force", "it ends every hold: do not name one"}
	}
	return asked, nil
}

func fromCursor(cursor string) (string, error) {
	if len(cursor) > maxCursor {
		return "", &invalidError{"cursor", fmt.Sprintf("longer than %d bytes", maxCursor)}
	}
	return cursor, nil
}

func fromOnFailure(f exportgatev1.OnFailure) (reconcile.OnFailure, error) {
	switch f {
	case exportgatev1.OnFailure_ON_FAILURE_UNSPECIFIED:
		return reconcile.OnFailureDefault, nil
	case exportgatev1.OnFailure_ON_FAILURE_REVERT:
		return reconcile.Revert, nil
	case exportgatev1.OnFailure_ON_FAILURE_KEEP:
		return reconcile.Keep, nil
	}
	return 0, &invalidError{"on_failure", fmt.Sprintf("%d is not known", f)}
}
