package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// gone is the connection of a client that takes nothing more.
type gone struct{ *httptest.ResponseRecorder }

func (gone) Write([]byte) (int, error) { return 0, errors.New("the client is gone") }

// TestUnheededAnswers proves that grpc-gateway has nothing to complain of where a client does not take its answer, and can
// still flush.
func TestUnheededAnswers(t *testing.T) {
	w := unheeded{gone{httptest.NewRecorder()}}
	if n, err := w.Write([]byte("answer")); n != len("answer") || err != nil {
		t.Errorf("%d bytes were written, error %v", n, err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Error(err)
	}
}
