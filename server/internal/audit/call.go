package audit

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reason"
)

// Call is a call as the log tells of it. Nothing of it is a secret: credentials have no place here.
type Call struct {
	Caller caller.Caller
	// Address is where it comes from, as host:port; UserAgent what it says it is.
	Address, UserAgent string
	// Door is "grpc" or "http". Operation is a gRPC full method, or an HTTP method and path.
	Door, Operation string
	// RequestID and TraceID find it in logs and traces; either may be empty.
	RequestID, TraceID string
	// Request is what it asks for; nil where that is no message.
	Request proto.Message
	// Changes is true if it may change something.
	Changes bool

	began  time.Time
	before *Snapshot
}

// UnavailableError refuses a pause because the log could not be written.
type UnavailableError struct{ Err error }

// Error tells what is wrong and what works all the same.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the audit log cannot be written, and a pause that nobody could account for is not begun, nothing was touched: "+
		"%v; a resume works all the same", e.Err)
}

// Unwrap returns what went wrong.
func (e *UnavailableError) Unwrap() error { return e.Err }

type callKey struct{}

// Intent logs that a call is about to change something, and returns when the disk has that. The context is for all that is
// done for the call: changes of the ledger name the call by it. Of a call that changes nothing it logs nothing.
//
// It fails, with an [*UnavailableError], only for a pause that would place a hold, and only where such pauses are to be
// refused: then nothing may be touched, and there is no outcome. Otherwise a line that cannot be written goes to standard
// error.
func (l *Log) Intent(ctx context.Context, c *Call) (context.Context, error) {
	if !c.Changes {
		return ctx, nil
	}
	c.began, c.before = time.Now(), l.snapshot()
	line := c.line(KindIntent)
	line.Before = c.before
	if err := l.await(line); err != nil && l.opts.RefusePauses && places(c.Request) {
		return ctx, &UnavailableError{err}
	}
	return context.WithValue(ctx, callKey{}, c), nil
}

// Outcome logs what came of a call whose intent was logged, and returns when the disk has that; err is what the call is
// answered with. A line that cannot be written goes to standard error.
func (l *Log) Outcome(c *Call, err error) {
	if !c.Changes {
		return
	}
	line := c.line(KindOutcome)
	line.answer(err)
	line.Seconds = time.Since(c.began).Seconds()
	line.Before, line.After = c.before, l.snapshot()
	_ = l.await(line) // It is on standard error then, and there is nobody to refuse any more.
}

// Refused logs that a call was turned away, whether it would have changed something or not; err is what it is answered with.
// It does not wait for the disk. Of a flood of such calls only the first of each minute have lines, by address; the others
// are counted.
func (l *Log) Refused(c *Call, err error) {
	if !l.admitRefused(c.Address) {
		return
	}
	line := c.line(KindRefused)
	line.answer(err)
	line.shorten()
	l.put(line)
}

func (l *Log) snapshot() *Snapshot {
	if l.opts.Snapshot == nil {
		return nil
	}
	return new(l.opts.Snapshot())
}

// places reports whether a request would place a hold. A renewal by uid only prolongs one, and must not be kept from it.
func places(request proto.Message) bool {
	pause, is := request.(*exportgatev1.PauseRequest)
	return is && !pause.GetValidateOnly() && pause.GetRenew() == ""
}

// line tells of the call.
func (c *Call) line(kind Kind) *Line {
	line := &Line{
		Kind: kind, RequestID: clip(c.RequestID), TraceID: clip(c.TraceID), Caller: clip(c.Caller.Name), Role: c.Caller.Role.String(),
		Address: clip(c.Address), UserAgent: clip(c.UserAgent), Door: c.Door, Operation: clip(c.Operation),
	}
	switch r := c.Request.(type) {
	case *exportgatev1.PauseRequest:
		line.Hold, line.Reason = clip(r.GetHold()), clip(r.GetReason())
		if r.GetRenew() == "" {
			line.Hold = cmp.Or(line.Hold, hold.Operator)
		}
		line.Parameters = &Parameters{Soft: r.GetSoft(), Renew: clip(r.GetRenew()), ValidateOnly: r.GetValidateOnly()}
		if ttl := r.GetTtl(); ttl != nil {
			line.Parameters.TTL = ttl.AsDuration().String()
		}
		if on := r.GetOnFailure(); on != exportgatev1.OnFailure_ON_FAILURE_UNSPECIFIED {
			line.Parameters.OnFailure = strings.TrimPrefix(on.String(), "ON_FAILURE_")
		}
	case *exportgatev1.ResumeRequest:
		line.Hold = clip(r.GetHold())
		if !r.GetForce() {
			line.Hold = cmp.Or(line.Hold, hold.Operator)
		}
		line.Parameters = &Parameters{Force: r.GetForce(), ValidateOnly: r.GetValidateOnly()}
	}
	if line.Parameters != nil && *line.Parameters == (Parameters{}) {
		line.Parameters = nil
	}
	return line
}

// answer says what a call is answered with, as a gRPC server would send it.
func (line *Line) answer(err error) {
	st := reason.Status(err)
	line.Code, line.Message = code.Code(st.Code()).String(), clip(st.Message()) //nolint:gosec // There are 17 codes.
	line.ErrorReason = clip(reason.Of(st).GetReason())
}

// maxText is how many bytes of what a caller says are kept. What is valid is shorter.
const maxText = 1000

// maxRefusedText is as much of it as is kept of a call that was turned away: the name of any hold is shorter. Who has proved
// nothing could else push the lines that count out of the files that are kept within hours.
const maxRefusedText = 128

// shorten cuts what a caller says of itself and asks for.
func (line *Line) shorten() {
	texts := []*string{&line.UserAgent, &line.Hold, &line.Reason}
	if line.Parameters != nil {
		texts = append(texts, &line.Parameters.Renew)
	}
	for _, text := range texts {
		*text = cut(*text, maxRefusedText)
	}
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// clip makes what a caller says fit to be read: it is neither endless, nor can it command a terminal.
func clip(text string) string {
	text = cut(text, maxText)
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
