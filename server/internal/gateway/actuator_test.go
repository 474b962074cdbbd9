package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestSuccessfulPosts(t *testing.T) {
	tests := []struct {
		name     string
		response Response
		prefer   []string
		code     int
		applied  string
	}{
		{"by default", "", nil, 200, ""},
		{"configured with a body", ResponseEnvelope, nil, 200, ""},
		{"configured without a body", ResponseNoContent, nil, 204, ""},
		{"preferred without a body", ResponseEnvelope, []string{"return=minimal"}, 204, "return=minimal"},
		{"preferred with a body", ResponseNoContent, []string{"return=representation"}, 200, "return=representation"},
		{"preferred among others", "", []string{"wait=10; x=1, safe", `Return = "Minimal"; foo`}, 204, "return=minimal"},
		{"the first preference counts", "", []string{"return=representation, return=minimal"}, 200, "return=representation"},
		{"another preference", "", []string{"return=everything, handling=strict"}, 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := openDoor(t, &fake{}, Options{BasePath: "/actuator", Response: test.response})
			var headers []string
			for _, prefer := range test.prefer {
				headers = append(headers, "Prefer", prefer)
			}
			got := send(t, http.MethodPost, d.url+"/actuator/exporting/pause", nil, headers...)
			if got.code != test.code || got.header.Get("Preference-Applied") != test.applied {
				t.Errorf("answer is %d with preference %q, want %d and %q", got.code, got.header.Get("Preference-Applied"),
					test.code, test.applied)
			}
			if test.code == http.StatusNoContent {
				if got.body != "" || got.header.Get("Content-Type") != "" {
					t.Errorf("answer 204 has the body %q of type %q", got.body, got.header.Get("Content-Type"))
				}
				return
			}
			want := map[string]any{
				"body": nil, "status": 204.0, "contentType": nil,
				"report": decode(t, `{
					"hold": {"id": "operator", "uid": "", "phase": "PHASE_PAUSED", "owner": "", "createTime": null,
						"settleTime": null, "reason": "", "expireTime": null, "continuity": "CONTINUITY_UNSPECIFIED",
						"evidence": []},
					"changes": [],
					"status": {"target": "PHASE_UNSPECIFIED", "observed": "PHASE_UNSPECIFIED", "settled": true,
						"unsettledReason": "", "foreign": false, "partitions": [], "holds": [], "cluster": null,
						"events": [], "warnings": [], "history": [], "stale": "", "driver": ""}}`),
			}
			if diff := cmp.Diff(want, decode(t, got.body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			// Scripts that cut Zeebe's answer out of the text expect it to begin like this.
			if !strings.HasPrefix(got.body, `{"body":null,"status":204,"contentType":null`) {
				t.Errorf("body begins with %.60s", got.body)
			}
		})
	}
}

// TestRequestsReachTheService proves that what is asked arrives, and that GET answers with the plain message.
func TestRequestsReachTheService(t *testing.T) {
	service := &fake{}
	d := openDoor(t, service, Options{BasePath: "/actuator", Response: ResponseNoContent})
	send(t, http.MethodPost, d.url+"/actuator/exporting/pause?soft=YES&onFailure=keep&validate_only=1", nil)
	send(t, http.MethodPost, d.url+"/actuator/exporting/resume/?validateOnly=on", nil)
	got := send(t, http.MethodGet, d.url+"/actuator/exporting", nil, "Prefer", "return=minimal")

	want := []any{
		&exportgatev1.PauseRequest{Soft: true, OnFailure: exportgatev1.OnFailure_ON_FAILURE_KEEP, ValidateOnly: true},
		&exportgatev1.ResumeRequest{ValidateOnly: true},
		&exportgatev1.GetStatusRequest{},
	}
	var seen []any
	for _, request := range service.requests() {
		seen = append(seen, request)
	}
	if diff := cmp.Diff(want, seen, protocmp.Transform()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	st, _ := decode(t, got.body)["status"].(map[string]any)
	if got.code != http.StatusOK || st["observed"] != "PHASE_EXPORTING" || st["settled"] != false {
		t.Errorf("GET answered %d %s, want the status with its zero values", got.code, got.body)
	}
	if !strings.Contains(got.body, `"exportedPosition":"42"`) || strings.Contains(got.body, "processedPosition") {
		t.Errorf("GET answered %s, want the position that is known, as a string, and not the one that is not", got.body)
	}
}

func TestFailuresAreTruthful(t *testing.T) {
	st, err := status.New(codes.DeadlineExceeded, "2 of 9 replicas <did> not follow").WithDetails(
		&errdetails.ErrorInfo{
			Reason: "REPLICAS_NOT_SETTLED", Domain: "exportgate", Metadata: map[string]string{"failed": "2"},
		},
		&exportgatev1.ReplicaFailure{Partition: 1, Broker: "2", Role: exportgatev1.Role_ROLE_LEADER, Error: "HTTP 500"},
	)
	if err != nil {
		t.Fatal(err)
	}
	service := &fake{answer: func(context.Context) error { return st.Err() }}
	d := openDoor(t, service, Options{BasePath: "/actuator", Response: ResponseNoContent})
	want := map[string]any{
		"body": map[string]any{"message": "2 of 9 replicas <did> not follow"}, "status": 504.0, "contentType": nil,
		"error": decode(t, `{"code": 4, "message": "2 of 9 replicas <did> not follow", "details": [
			{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "REPLICAS_NOT_SETTLED", "domain": "exportgate",
				"metadata": {"failed": "2"}},
			{"@type": "type.googleapis.com/exportgate.v1.ReplicaFailure", "partition": 1, "tenant": "", "broker": "2",
				"role": "ROLE_LEADER", "phase": "PHASE_UNSPECIFIED", "wanted": "PHASE_UNSPECIFIED", "error": "HTTP 500"}]}`),
	}
	for _, call := range []string{"POST /exporting/pause", "POST /exporting/resume", "GET /exporting"} {
		method, path, _ := strings.Cut(call, " ")
		got := send(t, method, d.url+"/actuator"+path, nil, "Prefer", "return=minimal")
		if got.code != http.StatusGatewayTimeout || got.header.Get("Preference-Applied") != "" {
			t.Errorf("%s: answer is %d, preference %q; want 504 and none", call, got.code, got.header.Get("Preference-Applied"))
		}
		if diff := cmp.Diff(want, decode(t, got.body)); diff != "" {
			t.Errorf("%s: body (-want +got):\n%s", call, diff)
		}
	}
}

// TestCallsEnd proves the deadline of a call, and that a client may ask for less but not for more.
func TestCallsEnd(t *testing.T) {
	tests := []struct {
		name        string
		timeout     time.Duration
		grpcTimeout string
		code        int
		most        time.Duration
	}{
		{"by default", time.Minute, "", 200, time.Minute},
		{"a shorter one", time.Minute, "10S", 200, 10 * time.Second},
		{"a longer one", time.Minute, "2H", 200, time.Minute},
		{"one that passes", time.Minute, "1m", 504, time.Millisecond},
		{"no number", time.Minute, "soonS", 400, 0},
		{"no unit", time.Minute, "10", 400, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			if test.code == http.StatusGatewayTimeout {
				service.answer = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			}
			d := openDoor(t, service, Options{BasePath: "/actuator", Timeout: test.timeout})
			var headers []string
			if test.grpcTimeout != "" {
				headers = []string{"Grpc-Timeout", test.grpcTimeout}
			}
			before := time.Now()
			got := send(t, http.MethodPost, d.url+"/actuator/exporting/pause", nil, headers...)
			if got.code != test.code {
				t.Errorf("answer is %d %s, want %d", got.code, got.body, test.code)
			}
			if test.code == http.StatusBadRequest {
				if len(service.requests()) > 0 {
					t.Error("the service was asked all the same")
				}
				return
			}
			deadline, ok := (<-d.ctxs).Deadline()
			if !ok || deadline.Before(before.Add(test.most)) || deadline.After(time.Now().Add(test.most)) {
				t.Errorf("the deadline is in %s, want %s", deadline.Sub(before), test.most)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := func() Options {
		return Options{
			Conn: dial(t, &fake{}, nil), Timeout: time.Second, Draining: t.Context(), Info: func() Info { return Info{} },
			Health: func(context.Context) Health { return Health{} }, Metrics: http.NotFoundHandler(), Logger: discard(),
		}
	}
	tests := []struct {
		name  string
		spoil func(*Options)
		want  string
	}{
		{"no connection", func(o *Options) { o.Conn = nil }, "required"},
		{"no end of the server", func(o *Options) { o.Draining = nil }, "Draining"},
		{"no timeout", func(o *Options) { o.Timeout = 0 }, "timeout"},
		{"an unknown response", func(o *Options) { o.Response = "xml" }, `"xml"`},
		{"a relative base path", func(o *Options) { o.BasePath = "actuator" }, `"actuator"`},
		{"a base path with dots", func(o *Options) { o.BasePath = "/a/../b" }, `"/a/../b"`},
		{"a base path with an empty part", func(o *Options) { o.BasePath = "/a//b" }, `"/a//b"`},
		{"a base path with a space", func(o *Options) { o.BasePath = "/a b" }, `"/a b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := good()
			if _, err := New(o); err != nil {
				t.Fatalf("the options were bad before: %v", err)
			}
			test.spoil(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one that names %s", err, test.want)
			}
		})
	}
}
