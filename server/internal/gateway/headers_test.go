package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TestWhatTheServiceSees proves that the peer and the allowed headers reach the service, and that no other does.
func TestWhatTheServiceSees(t *testing.T) {
	tests := []struct {
		name    string
		headers []string
		want    metadata.MD
	}{
		{
			"what is allowed",
			[]string{
				"User-Agent", "curl/8", "X-Request-Id", "req-1", "Authorization", "Bearer abc", "Traceparent", "00-1-2-01",
				"Tracestate", "a=1", "Tracestate", "b=2",
			},
			metadata.MD{
				"user-agent": {"curl/8"}, "x-request-id": {"req-1"}, "authorization": {"Bearer abc"}, "traceparent": {"00-1-2-01"},
				"tracestate": {"a=1,b=2"},
			},
		},
		{"what is not", []string{
			"User-Agent", "curl/8", "Grpc-Metadata-Authorization", "Bearer stolen", "Grpcgateway-Host", "evil",
			"Grpc-Metadata-User-Agent", "evil", "X-Forwarded-For", "10.0.0.1", "X-Forwarded-Host", "evil", "Cookie", "a=b",
			"Grpc-Metadata-X-Bin", "!!!", "X-Forwarded-Client-Cert", "URI=spiffe://evil", "X-Exportgate-Caller", "evil", "Connection", "keep-alive", "TE", "trailers",
			"Content-Type", "no / type ;;",
		}, metadata.MD{"user-agent": {"curl/8"}}},
		{"what cannot travel", []string{"User-Agent", "tésteur", "X-Request-Id", "\xff"}, metadata.MD{}},
	}
	d := openDoor(t, &fake{}, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := send(t, http.MethodPost, d.url+"/exporting/pause", nil, test.headers...); got.code != http.StatusOK {
				t.Fatalf("answer is %d %s", got.code, got.body)
			}
			ctx := <-d.ctxs
			md, _ := metadata.FromOutgoingContext(ctx)
			if md == nil {
				md = metadata.MD{}
			}
			if diff := cmp.Diff(test.want, md); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			if host, _, err := net.SplitHostPort(peerIn(ctx)); err != nil || host != "127.0.0.1" {
				t.Errorf("the peer is %q, want the client", peerIn(ctx))
			}
		})
	}
}

// TestWhatTheClientSees proves which headers an answer has, whether the call succeeds, fails, or is refused.
func TestWhatTheClientSees(t *testing.T) {
	service := &fake{}
	d := openDoor(t, service, Options{})
	tests := []struct {
		name      string
		query     string
		answer    error
		requestID string
	}{
		{"success", "", nil, "id-of-the-server"},
		{"failure", "", status.Error(codes.Unauthenticated, "who are you?"), "id-of-the-server"},
		{"refusal", "?soff=true", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service.answer = func(context.Context) error { return test.answer }
			got := send(t, http.MethodPost, d.url+"/exporting/pause"+test.query, nil, "TE", "trailers")
			if id := got.header.Get("X-Request-Id"); id != test.requestID {
				t.Errorf("X-Request-Id is %q, want %q", id, test.requestID)
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Grpc") || name == "X-Secret" || name == "Trailer" || strings.HasPrefix(name, "Access-Control") {
					t.Errorf("the answer has the header %s: %q", name, got.header[name])
				}
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
				if got.header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
				}
			}
		})
	}
}

// TestNothingIsLoggedForStrangeHeaders proves that grpc-gateway, which logs what it cannot forward or parse, never sees
// it.
func TestNothingIsLoggedForStrangeHeaders(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/exporting/pause", nil)
	r.Header = http.Header{
		"User-Agent": {"tésteur"}, "X-Request-Id": {"\xff"}, "Content-Type": {"no / type ;;"}, "Accept": {"//"},
		"Grpc-Timeout": {"5S"}, "Grpc-Metadata-X-Bin": {"!!!"},
	}
	want := http.Header{"Accept": {mediaJSON}, "Content-Type": {mediaJSON}, "Grpc-Timeout": {"5S"}}
	if diff := cmp.Diff(want, innerHeaders(r)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}
