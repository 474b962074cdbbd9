package zeebe

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// TestSilenceIsRecognised proves that errors keep their cause and their kind through all wrapping.
func TestSilenceIsRecognised(t *testing.T) {
	err := located("0", "http://a", fmt.Errorf("outer: %w", &silentError{words: "closed", err: io.ErrUnexpectedEOF}))
	if !isSilence(err) || !errors.Is(err, io.ErrUnexpectedEOF) || isSilence(errors.New("answered 500")) {
		t.Errorf("%v is not recognised", err)
	}
}
