package servertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server"
)

// Door is one of the server's two doors.
type Door string

// The doors.
const (
	GRPC Door = "gRPC"
	HTTP Door = "HTTP"
)

// Doors are both.
func Doors() []Door { return []Door{GRPC, HTTP} }

// Route is a client of the service at one door. Its methods may be called by many goroutines at once.
type Route interface {
	Pause(ctx context.Context, request *exportgatev1.PauseRequest) Outcome
	Resume(ctx context.Context, request *exportgatev1.ResumeRequest) Outcome
	GetStatus(ctx context.Context) Outcome

	// Close ends its connections. Calls that are under way fail.
	Close()
}

// Outcome is what a call was told, the same through both doors.
type Outcome struct {
	// Code of the answer. It is Unknown with an Err.
	Code codes.Code
	// HTTP is the status of the HTTP answer; 0 through the other door.
	HTTP int
	// Reason and Metadata of a failure's ErrorInfo; Message is for people.
	Reason   string
	Metadata map[string]string
	Message  string
	// Retry is when to try again, as a failure's RetryInfo has it; 0 where it says nothing.
	Retry time.Duration
	// Failures are the replicas that a failure names.
	Failures []*exportgatev1.ReplicaFailure
	// Status, Hold (placed or released) and Changes of a success.
	Status  *exportgatev1.Status
	Hold    *exportgatev1.Hold
	Changes []*exportgatev1.Change
	// Forced has the holds that a resume by force ended, and Unrecorded those of them of which the ledger does not say so yet.
	Forced, Unrecorded []*exportgatev1.Hold
	// Err is that no answer came, or one that contradicts itself.
	Err error
}

// OK reports whether the call was told that all is well.
func (o Outcome) OK() bool { return o.Err == nil && o.Code == codes.OK }

// String is the outcome without the status, for the messages of tests.
func (o Outcome) String() string {
	switch {
	case o.Err != nil:
		return "no answer: " + o.Err.Error()
	case o.OK():
		return fmt.Sprintf("%d %s (%v changes)", o.HTTP, o.Code, len(o.Changes))
	}
	return fmt.Sprintf("%d %s %s: %s %v (%d replicas named)", o.HTTP, o.Code, o.Reason, o.Message, o.Metadata, len(o.Failures))
}

// address is where a server's door listens.
func address(s *server.Server, door Door) string {
	if door == GRPC {
		return s.GRPCAddr().String()
	}
	return s.HTTPAddr().String()
}

// Dial opens a route through the door that listens at an address, such as "127.0.0.1:34567", in plaintext and as nobody.
// Whoever opened it closes it.
func Dial(door Door, address string) (Route, error) { return DialAs(door, address, Identity{}) }

// DialAs is [Dial] for a client that speaks TLS or proves who it is.
func DialAs(door Door, address string, who Identity) (Route, error) {
	switch door {
	case GRPC:
		conn, err := grpc.NewClient(address, who.dialOptions()...)
		if err != nil {
			return nil, fmt.Errorf("dial the gRPC door: %w", err)
		}
		return &grpcRoute{conn, exportgatev1.NewExportingServiceClient(conn)}, nil
	case HTTP:
		client, scheme := who.Client()
		return &httpRoute{scheme + "://" + address + "/actuator/exporting", client}, nil
	}
	return nil, fmt.Errorf("there is no door %q", door)
}

// grpcRoute speaks gRPC.
type grpcRoute struct {
	conn   *grpc.ClientConn
	client exportgatev1.ExportingServiceClient
}

func (r *grpcRoute) Close() { _ = r.conn.Close() }

func (r *grpcRoute) Pause(ctx context.Context, request *exportgatev1.PauseRequest) Outcome {
	response, err := r.client.Pause(ctx, request)
	return outcome(response, err)
}

func (r *grpcRoute) Resume(ctx context.Context, request *exportgatev1.ResumeRequest) Outcome {
	response, err := r.client.Resume(ctx, request)
	return outcome(response, err)
}

func (r *grpcRoute) GetStatus(ctx context.Context) Outcome {
	response, err := r.client.GetStatus(ctx, &exportgatev1.GetStatusRequest{})
	return outcome(response, err)
}

// outcome reads a response, or the error in its place.
func outcome(response proto.Message, err error) Outcome {
	if err != nil {
		return failure(status.Convert(err))
	}
	switch r := response.(type) {
	case *exportgatev1.PauseResponse:
		return Outcome{Status: r.GetStatus(), Hold: r.GetHold(), Changes: r.GetChanges()}
	case *exportgatev1.ResumeResponse:
		return Outcome{
			Status: r.GetStatus(), Hold: r.GetReleased(), Changes: r.GetChanges(),
			Forced: r.GetForced(), Unrecorded: r.GetUnrecorded(),
		}
	case *exportgatev1.GetStatusResponse:
		return Outcome{Status: r.GetStatus()}
	}
	return Outcome{Code: codes.Unknown, Err: fmt.Errorf("a response of an unknown type: %T", response)}
}

func failure(st *status.Status) Outcome {
	o := Outcome{Code: st.Code(), Message: st.Message()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			o.Reason, o.Metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RetryInfo:
			o.Retry = d.GetRetryDelay().AsDuration()
		case *exportgatev1.ReplicaFailure:
			o.Failures = append(o.Failures, d)
		}
	}
	return o
}

// httpRoute speaks HTTP as scripts do: parameters in the query, and no body.
type httpRoute struct {
	base   string
	client *http.Client
}

func (r *httpRoute) Close() { r.client.CloseIdleConnections() }

func (r *httpRoute) Pause(ctx context.Context, request *exportgatev1.PauseRequest) Outcome {
	return r.call(ctx, http.MethodPost, "/pause", request, &exportgatev1.PauseResponse{})
}

func (r *httpRoute) Resume(ctx context.Context, request *exportgatev1.ResumeRequest) Outcome {
	return r.call(ctx, http.MethodPost, "/resume", request, &exportgatev1.ResumeResponse{})
}

func (r *httpRoute) GetStatus(ctx context.Context) Outcome {
	return r.call(ctx, http.MethodGet, "", &exportgatev1.GetStatusRequest{}, &exportgatev1.GetStatusResponse{})
}

func (r *httpRoute) call(ctx context.Context, method, path string, request, response proto.Message) Outcome {
	code, body, err := r.exchange(ctx, method, r.base+path+query(request))
	if err != nil {
		return Outcome{Code: codes.Unknown, Err: err}
	}
	o, err := readAnswer(method, code, body, response)
	if err != nil {
		return Outcome{Code: codes.Unknown, HTTP: code, Err: fmt.Errorf("%w: %d %s", err, code, body)}
	}
	o.HTTP = code
	return o
}

func (r *httpRoute) exchange(ctx context.Context, method, target string) (code int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		return 0, nil, fmt.Errorf("make the request: %w", err)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("send the request: %w", err)
	}
	const enough = 16 << 20
	body, err = io.ReadAll(io.LimitReader(answer.Body, enough))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer.StatusCode, body, nil
}

// query is a request as query parameters: booleans that are true, and enums that are given, without their prefix.
func query(request proto.Message) string {
	values := url.Values{}
	request.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		text := value.String()
		if field.Kind() == protoreflect.MessageKind { // the ttl
			if d, ok := value.Message().Interface().(*durationpb.Duration); ok {
				text = d.AsDuration().String()
			}
		}
		if field.Kind() == protoreflect.EnumKind {
			word := strings.TrimPrefix(string(field.Enum().Values().ByNumber(value.Enum()).Name()), "ON_FAILURE_")
			text = strings.ToLower(word)
		}
		values.Set(string(field.Name()), text)
		return true
	})
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// envelope is the body of an answer below /exporting, but for the plain message of a GET that succeeded.
type envelope struct {
	Body *struct {
		Message string `json:"message"`
	} `json:"body"`
	Status int             `json:"status"`
	Report json.RawMessage `json:"report"`
	Error  json.RawMessage `json:"error"`
}

// readAnswer reads an answer as scripts do, and refuses one that tells them different things in different places.
func readAnswer(method string, code int, body []byte, response proto.Message) (Outcome, error) {
	if code == http.StatusOK && method == http.MethodGet {
		return outcome(response, protojson.Unmarshal(body, response)), nil
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return Outcome{}, fmt.Errorf("the answer is not an envelope: %w", err)
	}
	if code == http.StatusOK {
		if e.Status != http.StatusNoContent || e.Body != nil || e.Error != nil {
			return Outcome{}, errors.New("the HTTP status says success, and the body does not")
		}
		return outcome(response, protojson.Unmarshal(e.Report, response)), nil
	}
	var st rpcstatus.Status
	if err := protojson.Unmarshal(e.Error, &st); err != nil {
		return Outcome{}, fmt.Errorf("the error is not a google.rpc.Status: %w", err)
	}
	switch {
	case e.Status != code || st.GetCode() == 0:
		return Outcome{}, errors.New("the body does not say the same as HTTP status " + strconv.Itoa(code))
	case e.Body == nil || e.Body.Message != st.GetMessage():
		return Outcome{}, errors.New("the message in the body is not the error's")
	}
	return failure(status.FromProto(&st)), nil
}
