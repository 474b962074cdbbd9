package gateway

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// heartbeat is how long a stream may be silent: less than what proxies take for dead, of which half a minute is the
// least that is common.
const heartbeat = 15 * time.Second

// feed is a stream on its way to one client. Every frame has a deadline of its own: a stream lasts as long as its client
// reads, and a client that does not read cannot keep it.
type feed struct {
	w       http.ResponseWriter
	control *http.ResponseController
	format  format
	json    messages
	writing time.Duration
	silence time.Duration // from one heartbeat to the next
	giveUp  func(error)   // ends the stream where a heartbeat finds that the client is gone

	mu     sync.Mutex  // heartbeats come from a timer, which costs less than a goroutine a client
	beat   *time.Timer // nil before the first message, and where the format has no heartbeat
	closed bool
}

// newFeed answers with the header of a stream. The feed must be closed.
func (h *handler) newFeed(w http.ResponseWriter, f format, giveUp func(error)) *feed {
	w.Header().Set("Content-Type", f.media())
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep a message until it has 4 KiB
	w.WriteHeader(http.StatusOK)
	return &feed{
		w: w, control: http.NewResponseController(w), format: f, json: h.messages, writing: h.writing, silence: h.heartbeat,
		giveUp: giveUp,
	}
}

// send sends a message. The first begins the heartbeats.
func (s *feed) send(response *exportgatev1.WatchStatusResponse) error {
	message, err := s.json.parts(response)
	if err != nil {
		return fmt.Errorf("encode a status: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(s.format.response(response.GetCursor(), message...)...); err != nil {
		return err
	}
	if frame := s.format.heartbeat(); frame != nil && s.beat == nil {
		s.beat = time.AfterFunc(s.silence, func() { s.pulse(frame) })
	}
	return nil
}

// fail tells the client why the stream ends, if it still listens.
func (s *feed) fail(st *status.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.write(s.format.failure(st))
}

// pulse sends a heartbeat, and sets the time for the next.
func (s *feed) pulse(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if err := s.write(frame); err != nil {
		s.giveUp(err)
		return
	}
	s.beat.Reset(s.silence)
}

// write is called with the lock held. The deadline is lifted when the frame is out, for the silence after it is not the
// client's doing: HTTP/2 would end the stream.
func (s *feed) write(frame ...[]byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.writing)); err != nil {
		return err
	}
	for _, part := range frame {
		if _, err := s.w.Write(part); err != nil { //nolint:gosec // No media type of a stream is a page, and none is sniffed.
			return err
		}
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	return s.control.SetWriteDeadline(time.Time{})
}

// close ends the heartbeats and waits for one that is being sent. A last deadline is for what net/http has to write to
// end the answer.
func (s *feed) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.beat != nil {
		s.beat.Stop()
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(s.writing))
}
