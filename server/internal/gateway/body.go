package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// bodyTimeout is how long anything is read of a body.
	bodyTimeout = 5 * time.Second
	// maxDrain is how many bytes are read of a body that was refused.
	maxDrain = 16 << 20
)

// boundBody bounds what a body can cost, whatever becomes of the request. No endpoint takes one, so there is never a
// reason to wait for it; but net/http would read a quarter of a megabyte of it before it sends the answer, however
// slowly it comes, if the connection were to live on.
func (h *handler) boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	h.setReadDeadline(w, r, time.Now().Add(h.bodyTimeout))
}

// drainBody reads what a client still sends after it was answered. Many read no answer before they have sent
// everything, and would lose it to the reset that closing the connection now would be.
func drainBody(w http.ResponseWriter, r *http.Request) {
	waitsForLeave := r.Header.Get("Expect") != ""
	if r.ContentLength == 0 || waitsForLeave || http.NewResponseController(w).Flush() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
}

// emptyBody reports whether a request has no body. Of one of unknown length it reads a byte to find out.
func (h *handler) emptyBody(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength == 0
	}
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return false
	}
	// The body is at its end: the call may now take as long as it takes. A deadline that passed meanwhile would look to
	// net/http like a client that went away.
	w.Header().Del("Connection")
	h.setReadDeadline(w, r, time.Time{})
	return true
}

func (h *handler) setReadDeadline(w http.ResponseWriter, r *http.Request, deadline time.Time) {
	if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
		h.logger.DebugContext(r.Context(), "cannot bound the reading of a body", "error", err)
	}
}

// writeJSON answers with the negotiated media type.
func writeJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	writeBody(w, negotiate(r.Header.Values("Accept")), code, v)
}

// writeBody answers with JSON. A client that does not take the answer is no concern of ours.
func writeBody(w http.ResponseWriter, media string, code int, v any) {
	body, err := encode(v)
	if err != nil {
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(code)
	_, _ = body.WriteTo(w)
}

// encode writes JSON without the escapes for HTML: messages are for people, and no answer is a page.
func encode(v any) (*bytes.Buffer, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	return &b, encoder.Encode(v)
}
