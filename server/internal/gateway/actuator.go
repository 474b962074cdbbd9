package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/exportgate/exportgate/server/internal/reason"
)

// This file is the whole compatibility policy (design.md 3): scripts written for Zeebe's own port read either the HTTP
// status or .status in the body, and both tell the truth here.

// Response is the form of a successful answer to a POST.
type Response string

// The forms. A client chooses the other one with "Prefer: return=minimal" or "Prefer: return=representation".
const (
	// ResponseEnvelope is 200 with the body that Zeebe 8.5 to 8.9 send, and our report in it (zeebe-facts.md 1.1).
	ResponseEnvelope Response = "envelope"
	// ResponseNoContent is 204 without a body, as Zeebe up to 8.4 and from 8.10 on send it (zeebe-facts.md 1.2, 1.3).
	ResponseNoContent Response = "no-content"
)

// envelope is the body of every failure below /exporting. That of a success is written by [report.inEnvelope].
type envelope struct {
	Body        *envelopeBody   `json:"body"`
	Status      int             `json:"status"`
	ContentType *string         `json:"contentType"`
	Error       json.RawMessage `json:"error,omitempty"` // the google.rpc.Status
}

type envelopeBody struct {
	Message string `json:"message"`
}

// answer is the form that one request's success is to have.
type answer struct {
	form    Response // empty for the plain message, as GET sends it
	applied string   // what is to be said of the client's preference; empty if it had none
}

type answerKey struct{}

func withAnswer(ctx context.Context, a answer) context.Context {
	return context.WithValue(ctx, answerKey{}, a)
}

func answerOf(ctx context.Context) answer {
	a, _ := ctx.Value(answerKey{}).(answer)
	return a
}

// chooseAnswer follows the client's preference (RFC 7240, section 4.2), else the configuration.
func (h *handler) chooseAnswer(r *http.Request) answer {
	if r.Method != http.MethodPost {
		return answer{}
	}
	switch preferredReturn(r.Header.Values("Prefer")) {
	case "minimal":
		return answer{form: ResponseNoContent, applied: "return=minimal"}
	case "representation":
		return answer{form: ResponseEnvelope, applied: "return=representation"}
	}
	return answer{form: h.response}
}

// forwardMinimal writes the header of an answer without a body. grpc-gateway then finds that it may not write one.
func forwardMinimal(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	a := answerOf(ctx)
	if a.applied != "" {
		w.Header().Set("Preference-Applied", a.applied)
	}
	if a.form == ResponseNoContent {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// rewriteAnswer puts the answer to a POST into its envelope.
func rewriteAnswer(ctx context.Context, message proto.Message) (any, error) {
	switch answerOf(ctx).form {
	case ResponseEnvelope:
		return report{message}, nil
	case ResponseNoContent:
		return nil, nil
	}
	return message, nil
}

// report is the response message of a success, to be sent in its envelope.
type report struct{ proto.Message }

// inEnvelope encodes the report straight into the envelope: encoding/json would read all of it a second time, and a report
// of a large cluster has a megabyte.
func (r report) inEnvelope() ([]byte, error) {
	body := []byte(`{"body":null,"status":204,"contentType":null,"report":`)
	body, err := protoJSON().MarshalAppend(body, r.Message)
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return append(body, '}', '\n'), nil
}

// callFailed answers for a call that the service refused or failed.
func callFailed(ctx context.Context, _ *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request,
	err error,
) {
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		forwardMetadata(w, md.HeaderMD)
	}
	st := reason.Status(err)
	writeFailure(w, r, m.ContentType(nil), httpStatus(st.Code()), st)
}

// writeFailure answers a failure below /exporting.
func writeFailure(w http.ResponseWriter, r *http.Request, media string, code int, st *status.Status) {
	sayHow(w, r, st)
	writeBody(w, media, code, envelope{
		Body:   &envelopeBody{Message: st.Message()},
		Status: code,
		Error:  statusJSON(st),
	})
}

// protoJSON writes zero values too: a script that asks for .report.status.settled gets false, not null.
func protoJSON() protojson.MarshalOptions {
	return protojson.MarshalOptions{EmitUnpopulated: true}
}

// marshaler is grpc-gateway's, taught the envelope and the name of the media type that was negotiated.
type marshaler struct {
	runtime.JSONPb
	media string
}

func newMarshaler(media string) *marshaler {
	return &marshaler{JSONPb: runtime.JSONPb{MarshalOptions: protoJSON()}, media: media}
}

// ContentType is the negotiated media type.
func (m *marshaler) ContentType(any) string { return m.media }

// Marshal encodes a report in its envelope, or a message.
func (m *marshaler) Marshal(v any) ([]byte, error) {
	if r, ok := v.(report); ok {
		return r.inEnvelope()
	}
	return m.JSONPb.Marshal(v)
}
