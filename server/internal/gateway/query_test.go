package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestParseQuery(t *testing.T) {
	const revert, keep = exportgatev1.OnFailure_ON_FAILURE_REVERT, exportgatev1.OnFailure_ON_FAILURE_KEEP
	tests := []struct {
		query string
		want  *exportgatev1.PauseRequest
	}{
		{"", &exportgatev1.PauseRequest{}},
		{"&&", &exportgatev1.PauseRequest{}},
		{"soft=true", &exportgatev1.PauseRequest{Soft: true}},
		{"soft=On", &exportgatev1.PauseRequest{Soft: true}},
		{"soft=YES", &exportgatev1.PauseRequest{Soft: true}},
		{"soft=1", &exportgatev1.PauseRequest{Soft: true}},
		{"soft=%74rue", &exportgatev1.PauseRequest{Soft: true}},
		{"soft=false", &exportgatev1.PauseRequest{}},
		{"soft=OFF", &exportgatev1.PauseRequest{}},
		{"soft=no", &exportgatev1.PauseRequest{}},
		{"soft=0", &exportgatev1.PauseRequest{}},
		{"on_failure=revert", &exportgatev1.PauseRequest{OnFailure: revert}},
		{"on_failure=Keep", &exportgatev1.PauseRequest{OnFailure: keep}},
		{"onFailure=ON_FAILURE_REVERT", &exportgatev1.PauseRequest{OnFailure: revert}},
		{"on_failure=on_failure_unspecified", &exportgatev1.PauseRequest{}},
		{"validate_only=true&soft=yes", &exportgatev1.PauseRequest{ValidateOnly: true, Soft: true}},
		{"validateOnly=true", &exportgatev1.PauseRequest{ValidateOnly: true}},
		{"hold=backup-42&renew=u", &exportgatev1.PauseRequest{Hold: "backup-42", Renew: "u"}},
		{"reason=%20n%C3%A4chtliche+Sicherung%20", &exportgatev1.PauseRequest{Reason: " nächtliche Sicherung "}},
		{"reason=" + strings.Repeat("%C3%A4", 500), &exportgatev1.PauseRequest{Reason: strings.Repeat("ä", 500)}},
		{"hold=%22%3Ctrue%3E%26", &exportgatev1.PauseRequest{Hold: `"<true>&`}}, // a name is for the service to judge
		{"ttl=90s", &exportgatev1.PauseRequest{Ttl: durationpb.New(90 * time.Second)}},
		{"ttl=2h", &exportgatev1.PauseRequest{Ttl: durationpb.New(2 * time.Hour)}},
		{"ttl=1h30m", &exportgatev1.PauseRequest{Ttl: durationpb.New(90 * time.Minute)}},
		{"ttl=1.5h", &exportgatev1.PauseRequest{Ttl: durationpb.New(90 * time.Minute)}},
		{"ttl=1ms500us", &exportgatev1.PauseRequest{Ttl: durationpb.New(1500 * time.Microsecond)}},
		{"ttl=2562047h", &exportgatev1.PauseRequest{Ttl: durationpb.New(2562047 * time.Hour)}},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			got := &exportgatev1.PauseRequest{}
			if st := parseQuery(test.query, got); st != nil {
				t.Fatal(st)
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBadQueries sends over the wire what must never become a pause.
func TestBadQueries(t *testing.T) {
	tests := []struct {
		target    string
		parameter string // as the ErrorInfo names it
		message   string // a part of it
	}{
		{"POST /exporting/pause?soff=true", "soff", `unknown parameter "soff": soft, on_failure, validate_only, hold, ttl, reason, renew are`},
		{"POST /exporting/pause?Soft=true", "Soft", `unknown parameter "Soft"`},
		{"POST /exporting/pause?soft=maybe", "soft", `soft is "maybe", but takes true (on, yes, 1) or false (off, no, 0)`},
		{"POST /exporting/pause?soft=ture", "soft", `"ture"`},
		{"POST /exporting/pause?soft=", "soft", `""`},
		{"POST /exporting/pause?soft", "soft", `""`},
		{"POST /exporting/pause?soft=true%20", "soft", `"true "`},
		{"POST /exporting/pause?soft=t", "soft", `"t"`},
		{"POST /exporting/pause?soft=true&soft=false", "soft", "more than once"},
		{"POST /exporting/pause?soft=true&soft=true", "soft", "more than once"},
		{"POST /exporting/pause?on_failure=keep&onFailure=keep", "on_failure", "more than once"},
		{"POST /exporting/pause?on_failure=1", "on_failure", "takes revert or keep"},
		{"POST /exporting/pause?on_failure=", "on_failure", "takes revert or keep"},
		{"POST /exporting/pause?on-failure=keep", "on-failure", "unknown"},
		{"POST /exporting/pause?soft=true;validate_only=true", "", "semicolon"},
		{"POST /exporting/pause?soft=%zz", "", "%zz"},
		{"POST /exporting/pause?%zz=true", "", "%zz"},
		{"POST /exporting/pause?=true", "", `unknown parameter ""`},
		{"POST /exporting/pause?soft[]=true", "soft[]", "unknown"},
		{"POST /exporting/pause?soft.x=true", "soft.x", "unknown"},
		{"POST /exporting/pause?physicalTenant=a", "physicalTenant", "unknown"},
		{"POST /exporting/resume?soft=true", "soft", "validate_only, hold, force are taken here"},
		{"POST /exporting/pause?hold=", "hold", "leave it out to give none"},
		{"POST /exporting/pause?hold=a&hold=a", "hold", "more than once"},
		{"POST /exporting/pause?Hold=a", "Hold", "unknown"},
		{"POST /exporting/pause?hold=a%00", "hold", `"a\x00", but takes 1 to 1000 bytes`},
		{"POST /exporting/pause?hold=%ff", "hold", "UTF-8"},
		{"POST /exporting/pause?reason=two%0alines", "reason", `"two\nlines"`},
		{"POST /exporting/pause?reason=two%0dlines", "reason", "on one line"},
		{"POST /exporting/pause?reason=%1b%5b2J", "reason", "without control characters"},
		{"POST /exporting/pause?reason=%7f", "reason", "without control characters"},
		{"POST /exporting/pause?reason=%c2%85", "reason", "without control characters"},
		{"POST /exporting/pause?reason=a%e2%80%a8b", "reason", "on one line"},
		{"POST /exporting/pause?reason=a%e2%80%a9b", "reason", "on one line"},
		{"POST /exporting/pause?reason=" + strings.Repeat("a", 1001), "reason", "1 to 1000 bytes"},
		{"POST /exporting/pause?renew", "renew", "leave it out to give none"},
		{"POST /exporting/pause?force=true", "force", "unknown"},
		{"POST /exporting/pause?ttl=90", "ttl", `ttl is "90", but takes a time above zero with its unit, like 90s`},
		{"POST /exporting/pause?ttl=", "ttl", "90s, 30m, 2h or 1h30m"},
		{"POST /exporting/pause?ttl=0", "ttl", "above zero"},
		{"POST /exporting/pause?ttl=0s", "ttl", "above zero"},
		{"POST /exporting/pause?ttl=-1h", "ttl", "above zero"},
		{"POST /exporting/pause?ttl=+1h", "ttl", `" 1h"`},
		{"POST /exporting/pause?ttl=1d", "ttl", "with its unit"},
		{"POST /exporting/pause?ttl=1%20h", "ttl", "with its unit"},
		{"POST /exporting/pause?ttl=2562048h", "ttl", "with its unit"},
		{"POST /exporting/pause?ttl=P1D", "ttl", "with its unit"},
		{"POST /exporting/pause?ttl=never", "ttl", "with its unit"},
		{"POST /exporting/pause?ttl.seconds=90", "ttl.seconds", "unknown"},
		{"POST /exporting/resume?hold=", "hold", "leave it out to give none"},
		{"POST /exporting/resume?force=", "force", "true (on, yes, 1)"},
		{"POST /exporting/resume?ttl=1h", "ttl", "unknown"},
		{"GET /exporting/watch?from=1", "from", "only cursor is taken here"},
		{"GET /exporting/watch?cursor=", "cursor", "leave it out to give none"},
		{"GET /exporting/watch?cursor=a%0a", "cursor", "on one line"},
		{"GET /exporting?pretty=true", "pretty", "none is taken here"},
		{"HEAD /exporting?pretty", "", ""},
	}
	service := &fake{}
	d := openDoor(t, service, Options{BasePath: "/actuator"})
	for _, test := range tests {
		t.Run(test.target, func(t *testing.T) {
			method, path, _ := strings.Cut(test.target, " ")
			got := send(t, method, d.url+"/actuator"+path, nil)
			if got.code != http.StatusBadRequest {
				t.Fatalf("answer is %d %s, want 400", got.code, got.body)
			}
			if method == http.MethodHead {
				return
			}
			body := decode(t, got.body)
			inner, _ := body["body"].(map[string]any)
			if message, _ := inner["message"].(string); !strings.Contains(message, test.message) {
				t.Errorf("the message is %q, want one with %q", message, test.message)
			}
			failure, _ := body["error"].(map[string]any)
			details, _ := failure["details"].([]any)
			metadata := map[string]any{}
			if test.parameter != "" {
				metadata["parameter"] = test.parameter
			}
			want := []any{map[string]any{
				"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_ARGUMENT", "domain": "exportgate",
				"metadata": metadata,
			}}
			if diff := cmp.Diff(want, details); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
		})
	}
	if n := len(service.requests()); n > 0 {
		t.Errorf("%d of these requests reached the service", n)
	}
}

func TestLongNamesAreClipped(t *testing.T) {
	st := parseQuery(strings.Repeat("x", 10_000)+"=1", &exportgatev1.PauseRequest{})
	if st == nil || proto.Size(st.Proto()) > 500 {
		t.Errorf("the refusal is %v, want a short one", st)
	}
}

// TestCheckParameters proves that a request which a query cannot carry does not get as far as a route.
func TestCheckParameters(t *testing.T) {
	for _, good := range []proto.Message{
		&exportgatev1.PauseRequest{}, &exportgatev1.ResumeRequest{}, &exportgatev1.GetStatusRequest{},
		&exportgatev1.WatchStatusRequest{},
	} {
		if err := checkParameters(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []proto.Message{&wrapperspb.BytesValue{}, &exportgatev1.Change{}, &exportgatev1.Cluster{}, &exportgatev1.EndedHold{}} {
		if err := checkParameters(bad); err == nil {
			t.Errorf("%T is taken for a request with parameters", bad)
		}
	}
}

// FuzzQuery proves that whatever is accepted means the same when it reaches grpc-gateway's own parser.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "soft=true", "soft=off&on_failure=KEEP", "onFailure=on_failure_revert&validateOnly=1", "soff=true", "soft=%zz",
		"soft=true;x", "soft=true&soft=true", "%73oft=on", "soft=1&&=", "soft[a]=true", "soft\xff=\xff",
		"hold=backup-42&ttl=1h30m&reason=why+not&renew=u", "hold=&ttl=&cursor=", "ttl=1ns", "ttl=2562047h47m16.854775807s",
		"ttl=-1h", "ttl=90", "ttl=1.000000001s", "reason=%00", "reason=%ff", "reason=%e2%80%a8", "hold=%25&force=on", "cursor=a:7",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, request := range []proto.Message{
			&exportgatev1.PauseRequest{}, &exportgatev1.ResumeRequest{}, &exportgatev1.GetStatusRequest{},
			&exportgatev1.WatchStatusRequest{},
		} {
			if st := parseQuery(query, request); st != nil {
				if st.Message() == "" {
					t.Error("refused without a word")
				}
				continue
			}
			again, theirs := request.ProtoReflect().New().Interface(), request.ProtoReflect().New().Interface()
			canonical := encodeQuery(request)
			if st := parseQuery(canonical, again); st != nil || !proto.Equal(request, again) {
				t.Errorf("%q became %q, which is %v (%v), not %v", query, canonical, again, st, request)
			}
			values, err := url.ParseQuery(canonical)
			if err != nil {
				t.Fatal(err)
			}
			err = (&runtime.DefaultQueryParser{}).Parse(theirs, values, utilities.NewDoubleArray(nil))
			if err != nil || !proto.Equal(request, theirs) {
				t.Errorf("grpc-gateway reads %q as %v (%v), not %v", canonical, theirs, err, request)
			}
		}
	})
}
