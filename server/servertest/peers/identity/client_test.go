package identity_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/servertest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
)

// credential is what a client shows. The zero value is nothing.
type credential struct {
	certificate *tls.Certificate
	headers     http.Header // of each call, over gRPC as metadata
}

// with is the same credential and a header beside it, which is how one is forged.
func (c credential) with(name string, values ...string) credential {
	headers := c.headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	headers[http.CanonicalHeaderKey(name)] = values
	return credential{c.certificate, headers}
}

// client calls the server through one door, from an address of its own.
type client struct {
	world   *world
	door    servertest.Door
	shows   credential
	conn    *grpc.ClientConn
	http    *http.Client
	base    string
	address string
}

// dial makes a client, which ends with the test.
func (w *world) dial(t *testing.T, door servertest.Door, shows credential) *client {
	t.Helper()
	from := w.nextAddress()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	c := &client{world: w, door: door, shows: shows, address: from.String()}
	if door == servertest.HTTP {
		c.base = "https://" + w.server.HTTPAddr().String() + "/actuator"
		transport := &http.Transport{TLSClientConfig: w.trusting(shows.certificate), DialContext: dialer.DialContext, ForceAttemptHTTP2: true}
		c.http = &http.Client{Transport: transport}
		t.Cleanup(transport.CloseIdleConnections)
		return c
	}
	var err error
	c.conn, err = grpc.NewClient(w.server.GRPCAddr().String(), grpc.WithTransportCredentials(credentials.NewTLS(w.trusting(shows.certificate))),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

// answer is what a call was told. The code of an HTTP answer that has no gRPC code in it is the one that its status stands
// for.
type answer struct {
	code      codes.Code
	reason    string
	message   string
	http      int           // 0 over gRPC
	bare      bool          // it is of a form that has no reason
	challenge string        // WWW-Authenticate
	retry     time.Duration // RetryInfo, or Retry-After
	response  proto.Message // of a success, where there is one
	err       error         // there was no answer
}

// String is the answer for the messages of tests.
func (a answer) String() string {
	return fmt.Sprintf("%d %s %s: %s%v", a.http, a.code, a.reason, a.message, a.err)
}

// hold is the hold of an answer to a pause.
func (a answer) hold() *exportgatev1.Hold {
	response, _ := a.response.(*exportgatev1.PauseResponse)
	return response.GetHold()
}

// failed is the answer of a status.
func (a answer) failed(st *status.Status) answer {
	a.code, a.message = st.Code(), st.Message()
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			a.reason = d.GetReason()
		case *errdetails.RetryInfo:
			a.retry = d.GetRetryDelay().AsDuration()
		}
	}
	return a
}

// invoke calls a method over gRPC, of which nothing is known but its name. Of a stream it waits for the first message.
func (c *client) invoke(t *testing.T, method string, request proto.Message) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	sent := metadata.MD{}
	for name, values := range c.shows.headers {
		sent.Append(name, values...)
	}
	ctx = metadata.NewOutgoingContext(ctx, sent)
	described := methodOf(t, method)
	response := newMessage(t, described.Output())
	var err error
	if described.IsStreamingServer() {
		err = c.first(ctx, method, request, response)
	} else {
		err = c.conn.Invoke(ctx, method, request, response)
	}
	_, _ = fmt.Fprintln(c.world.told, response, err, status.Convert(err).Details())
	a := answer{response: response}
	if err != nil {
		return a.failed(status.Convert(err))
	}
	return a
}

func (c *client) first(ctx context.Context, method string, request, response proto.Message) error {
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil && err != io.EOF { //nolint:errorlint // That is what gRPC says where the answer has more.
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(response)
}

func methodOf(t *testing.T, method string) protoreflect.MethodDescriptor {
	t.Helper()
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "."))
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	described, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		t.Fatalf("%s is no method", name)
	}
	return described
}

func newMessage(t *testing.T, described protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(described.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

// get asks for a path below the base path.
func (c *client) get(t *testing.T, path string) answer {
	t.Helper()
	return c.do(t, http.MethodGet, path, nil, "")
}

// do sends a request and reads its answer as far as it can be understood; of a stream the beginning.
func (c *client) do(t *testing.T, method, path string, response proto.Message, accept string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	var body io.Reader = http.NoBody
	if strings.HasPrefix(path, "/loggers/") && method == http.MethodPost {
		body = strings.NewReader(`{"configuredLevel":"TRACE"}`)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, c.shows.headers)
	if body != http.NoBody {
		request.Header.Set("Content-Type", "application/json")
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	got, err := c.http.Do(request)
	if err != nil {
		return answer{code: codes.Unavailable, err: err}
	}
	defer func() { _ = got.Body.Close() }()
	a := answer{http: got.StatusCode, challenge: got.Header.Get("Www-Authenticate"), response: response}
	if wait, err := time.ParseDuration(got.Header.Get("Retry-After") + "s"); err == nil {
		a.retry = wait
	}
	var text []byte
	if got.StatusCode == http.StatusOK && strings.HasSuffix(path, "/watch") {
		text = make([]byte, 1<<10)
		n, err := io.ReadAtLeast(got.Body, text, 1)
		text, a.err = text[:n], err
	} else {
		text, a.err = io.ReadAll(io.LimitReader(got.Body, 16<<20))
	}
	_, _ = fmt.Fprintf(c.world.told, "%v\n%s\n", got.Header, text)
	return a.read(t, text)
}

// read understands the body of an HTTP answer.
func (a answer) read(t *testing.T, body []byte) answer {
	t.Helper()
	var e struct {
		Error  json.RawMessage `json:"error"`
		Report json.RawMessage `json:"report"`
	}
	known := json.Unmarshal(body, &e) == nil
	var st rpcstatus.Status
	switch {
	case known && len(e.Error) > 0 && protojson.Unmarshal(e.Error, &st) == nil:
		wait := a.retry
		a = a.failed(status.FromProto(&st))
		if want := statusOf(a.code); a.http != want {
			t.Errorf("HTTP %d was answered for %v, want %d", a.http, a.code, want)
		}
		if a.retry > 0 && wait < a.retry {
			t.Errorf("Retry-After is %v, the details say %v", wait, a.retry)
		}
	case known && len(e.Report) > 0 && a.response != nil:
		if err := protojson.Unmarshal(e.Report, a.response); err != nil {
			a.err = err
		}
	default:
		a.bare, a.code = true, codeOf(a.http)
		a.message = string(bytes.TrimSpace(body[:min(len(body), 200)]))
	}
	return a
}

// doors' words for the same: what design.md says of those that say who is let in.
var statuses = map[codes.Code]int{
	codes.OK: http.StatusOK, codes.InvalidArgument: http.StatusBadRequest, codes.Unauthenticated: http.StatusUnauthorized,
	codes.PermissionDenied: http.StatusForbidden, codes.NotFound: http.StatusNotFound, codes.FailedPrecondition: http.StatusConflict,
	codes.ResourceExhausted: http.StatusTooManyRequests, codes.Unavailable: http.StatusServiceUnavailable,
}

func statusOf(code codes.Code) int { return statuses[code] }

func codeOf(status int) codes.Code {
	if status == http.StatusNoContent {
		return codes.OK
	}
	for code, each := range statuses {
		if each == status {
			return code
		}
	}
	return codes.Unknown
}

// query is a request as query parameters.
func query(request proto.Message) string {
	values := url.Values{}
	request.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		text := value.String()
		if field.Kind() == protoreflect.MessageKind {
			if ttl, ok := value.Message().Interface().(*durationpb.Duration); ok {
				text = ttl.AsDuration().String()
			}
		}
		values.Set(string(field.Name()), text)
		return true
	})
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// raw is the body of a page, which there must be.
func (c *client) raw(t *testing.T, path string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = c.shows.headers.Clone()
	got, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(got.Body, 16<<20))
	if err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v", path, got.Status, err)
	}
	return body
}
