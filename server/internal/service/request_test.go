package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestFromPause(t *testing.T) {
	tests := map[string]struct {
		req  *exportgatev1.PauseRequest
		want reconcile.PauseRequest
		bad  string // the parameter that is refused
	}{
		"plain": {req: &exportgatev1.PauseRequest{}, want: reconcile.PauseRequest{Phase: exporting.PhasePaused}},
		"all": {
			req: &exportgatev1.PauseRequest{
				Soft: true, Hold: "backup-42", Ttl: durationpb.New(time.Hour), Reason: "naïve, nightly", ValidateOnly: true,
				OnFailure: exportgatev1.OnFailure_ON_FAILURE_KEEP,
			},
			want: reconcile.PauseRequest{
				Phase: exporting.PhaseSoftPaused, Hold: "backup-42", TTL: time.Hour, Reason: "naïve, nightly", ValidateOnly: true,
				OnFailure: reconcile.Keep,
			},
		},
		"renewal": {
			req:  &exportgatev1.PauseRequest{Renew: "ABC", Ttl: durationpb.New(time.Minute)},
			want: reconcile.PauseRequest{Phase: exporting.PhasePaused, Renew: "ABC", TTL: time.Minute},
		},
		"longest name":         {req: &exportgatev1.PauseRequest{Hold: strings.Repeat("a", 128)}, want: reconcile.PauseRequest{Phase: exporting.PhasePaused, Hold: strings.Repeat("a", 128)}},
		"too long a name":      {req: &exportgatev1.PauseRequest{Hold: strings.Repeat("a", 129)}, bad: "hold"},
		"name with a space":    {req: &exportgatev1.PauseRequest{Hold: "a b"}, bad: "hold"},
		"name with a line":     {req: &exportgatev1.PauseRequest{Hold: "a\n"}, bad: "hold"},
		"name that is a flag":  {req: &exportgatev1.PauseRequest{Hold: "-f"}, bad: "hold"},
		"no time":              {req: &exportgatev1.PauseRequest{Ttl: durationpb.New(0)}, bad: "ttl"},
		"time gone by":         {req: &exportgatev1.PauseRequest{Ttl: durationpb.New(-time.Second)}, bad: "ttl"},
		"time of nonsense":     {req: &exportgatev1.PauseRequest{Ttl: &durationpb.Duration{Seconds: 1, Nanos: -1}}, bad: "ttl"},
		"endless time":         {req: &exportgatev1.PauseRequest{Ttl: &durationpb.Duration{Seconds: 300_000_000_000}}, bad: "ttl"},
		"long reason":          {req: &exportgatev1.PauseRequest{Reason: strings.Repeat("a", 1001)}, bad: "reason"},
		"reason of two lines":  {req: &exportgatev1.PauseRequest{Reason: "a\nb"}, bad: "reason"},
		"reason that is bytes": {req: &exportgatev1.PauseRequest{Reason: "\xff"}, bad: "reason"},
		"renewal of nonsense":  {req: &exportgatev1.PauseRequest{Renew: "a b"}, bad: "renew"},
		"renewal by name":      {req: &exportgatev1.PauseRequest{Renew: "ABC", Hold: "a"}, bad: "renew"},
		"renewal to soft":      {req: &exportgatev1.PauseRequest{Renew: "ABC", Soft: true}, bad: "renew"},
		"renewal for a reason": {req: &exportgatev1.PauseRequest{Renew: "ABC", Reason: "why"}, bad: "renew"},
		"unknown on failure":   {req: &exportgatev1.PauseRequest{OnFailure: 7}, bad: "on_failure"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := fromPause(test.req)
			if invalid, is := errors.AsType[*invalidError](err); is {
				if invalid.parameter != test.bad {
					t.Errorf("refused for %s: %v", invalid.parameter, err)
				}
				return
			}
			if err != nil || test.bad != "" || got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestFromResume(t *testing.T) {
	tests := map[string]struct {
		req  *exportgatev1.ResumeRequest
		want reconcile.ResumeRequest
		bad  string
	}{
		"plain":            {req: &exportgatev1.ResumeRequest{}},
		"by name":          {req: &exportgatev1.ResumeRequest{Hold: "a"}, want: reconcile.ResumeRequest{Hold: "a"}},
		"force":            {req: &exportgatev1.ResumeRequest{Force: true}, want: reconcile.ResumeRequest{Force: true}},
		"force and a name": {req: &exportgatev1.ResumeRequest{Force: true, Hold: "a"}, bad: "force"},
		"no name":          {req: &exportgatev1.ResumeRequest{Hold: "/"}, bad: "hold"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := fromResume(test.req)
			invalid, refused := errors.AsType[*invalidError](err)
			if refused != (test.bad != "") || refused && invalid.parameter != test.bad || !refused && got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestFromCursor(t *testing.T) {
	if _, err := fromCursor(strings.Repeat("a", 101)); err == nil {
		t.Error("a long cursor was taken")
	}
	if got, err := fromCursor("x.1"); got != "x.1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
