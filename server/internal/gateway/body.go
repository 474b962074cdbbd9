package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// maxDrain is how many bytes are read of a body that was refused.
const maxDrain = 16 << 20

// announceEnd lets the connection of a request with a body end with its answer, whatever that is. Hardly any
// endpoint takes one, so there is seldom a reason to wait for it; but net/http would read a quarter of a megabyte of it before
// it sends the answer, however slowly it comes, if the connection were to live on.
func announceEnd(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
}

// emptyBody reports whether a request has no body. Of one of unknown length it reads a byte to find out, for as long as
// the server's ReadTimeout lets it.
func emptyBody(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength == 0
	}
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return false
	}
	w.Header().Del("Connection")
	return true
}

// drainBody reads what a client still sends after it was answered. Many read no answer before they have sent
// everything, and would lose it to the reset that closing the connection now would be. ReadTimeout ends it.
func drainBody(w http.ResponseWriter, r *http.Request) {
	waitsForLeave := r.Header.Get("Expect") != ""
	if r.ContentLength == 0 || waitsForLeave || http.NewResponseController(w).Flush() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
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
