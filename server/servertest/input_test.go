package servertest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// Whatever nonsense comes in by HTTP is answered with a clear 4xx, and no broker is asked to change.
func TestNonsenseTouchesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, target, body string
		code                       int
		says                       string
	}{
		{"a boolean that is none", "POST", "/actuator/exporting/pause?soft=maybe", "", 400, `soft is \"maybe\"`},
		{"a boolean without a value", "POST", "/actuator/exporting/pause?soft=", "", 400, "soft"},
		{"a parameter that is mistyped", "POST", "/actuator/exporting/pause?soff=true", "", 400, `soff`},
		{"a parameter twice", "POST", "/actuator/exporting/pause?soft=true&soft=false", "", 400, "more than once"},
		{"a parameter of another call", "POST", "/actuator/exporting/resume?soft=true", "", 400, "soft"},
		{"a failure policy that is none", "POST", "/actuator/exporting/pause?on_failure=pray", "", 400, "revert or keep"},
		{"a query that is malformed", "POST", "/actuator/exporting/pause?soft=%zz", "", 400, "malformed"},
		{"a JSON body", "POST", "/actuator/exporting/pause", `{"soft":true}`, 400, "no body is taken"},
		{"a JSON body of old instructions", "POST", "/actuator/exporting/pause", `{"desiredStatus":"ENABLED"}`, 400, "no body is taken"},
		{"a body of 10 MB", "POST", "/actuator/exporting/pause", strings.Repeat("x", 10<<20), 400, "no body is taken"},
		{"GET on pause", "GET", "/actuator/exporting/pause", "", 405, "POST"},
		{"PUT on resume", "PUT", "/actuator/exporting/resume", "", 405, "POST"},
		{"POST on the status", "POST", "/actuator/exporting", "", 405, "GET"},
		{"an operation that is none", "POST", "/actuator/exporting/softPause", "", 404, "there is no such operation"},
		{"another base path", "POST", "/exporting/pause", "", 404, "/actuator"},
		{"a path that climbs", "POST", "/actuator/x/../exporting/pause", "", 404, ""},
	}
	h := servertest.Start(t, servertest.Options{})
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	defer client.CloseIdleConnections()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+h.Server.HTTPAddr().String()+test.target,
				strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != test.code || !bytes.Contains(body, []byte(test.says)) {
				t.Errorf("got %d %s, %v; want %d and %q", answer.StatusCode, body, err, test.code, test.says)
			}
			if test.code == http.StatusMethodNotAllowed && answer.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	try{T: t}.expectUntouched(h)
	if !h.AllIn(embedded.Exporting) {
		t.Errorf("astray: %+v", h.Astray(embedded.Exporting))
	}
}

// A header that trickles in, and one that is too large, are refused, and the server goes on serving others.
func TestHeadersThatAreNone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		send func(net.Conn) error
		code int
	}{
		"slow loris": {func(c net.Conn) error {
			_, err := io.WriteString(c, "POST /actuator/exporting/pause HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
			return err
		}, http.StatusRequestTimeout},
		"too large": {func(c net.Conn) error {
			_, err := fmt.Fprintf(c, "POST /actuator/exporting/pause HTTP/1.1\r\nHost: localhost\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 1<<20))
			return err
		}, http.StatusRequestHeaderFieldsTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := servertest.Start(t, servertest.Options{})
			var dialer net.Dialer
			c, err := dialer.DialContext(t.Context(), "tcp", h.Server.HTTPAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			go func() { _ = test.send(c) }()
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || answer.StatusCode != test.code {
				t.Fatalf("got %v, %v, want %d", answer, err, test.code)
			}
			_ = answer.Body.Close()
			if o := h.Route(t, servertest.HTTP).GetStatus(t.Context()); !o.OK() {
				t.Errorf("the server does not serve others any more: %v", o)
			}
			try{T: t}.expectUntouched(h)
		})
	}
}

// A value that the contract does not know is refused by gRPC too.
func TestUnknownFailurePolicyByGRPC(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{})
	o := h.Route(t, servertest.GRPC).Pause(t.Context(), &exportgatev1.PauseRequest{OnFailure: 42})
	if o.Code != codes.InvalidArgument || o.Reason != "INVALID_ARGUMENT" || o.Metadata["parameter"] != "on_failure" {
		t.Errorf("got %v", o)
	}
	large := &exportgatev1.PauseRequest{}
	large.ProtoReflect().SetUnknown(bytes.Repeat([]byte{0xf8, 0x07, 0x01}, 1<<20))
	if o := h.Route(t, servertest.GRPC).Pause(t.Context(), large); o.Code != codes.ResourceExhausted {
		t.Errorf("a request of 3 MB got %v", status.Code(o.Err))
	}
	try{T: t}.expectUntouched(h)
}
