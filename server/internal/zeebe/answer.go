package zeebe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// concurrentModification is how 8.10 refuses a change while another one goes on (zeebe-facts.md 2.5).
const concurrentModification = "CONCURRENT_MODIFICATION"

// envelope is what some versions put around the answer to a change (zeebe-facts.md 1.1 to 1.3): HTTP says 200 and
// Status says what happened.
type envelope struct {
	Status *int            `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// judgeChange tells whether POST exporting/... was taken. Both forms of the answer are known, the plain one and the
// envelope, and a success must be one in every respect.
func judgeChange(a answer) error {
	switch {
	case a.status == http.StatusNotFound:
		return errNoExporting
	case a.status/100 != 2:
		return changeRefusal(a.status, refusal(a))
	}
	if len(bytes.TrimSpace(a.body)) == 0 {
		return nil
	}
	var e envelope
	if err := json.Unmarshal(a.body, &e); err != nil {
		return misread(err, a.body)
	}
	switch {
	case e.Status == nil:
		return misread(nil, a.body)
	case *e.Status/100 == 2:
		return nil
	}
	return changeRefusal(*e.Status, refused("it answered status %d in HTTP %d%s", *e.Status, a.status, saying(e.Body)))
}

// changeRefusal picks out the refusal that means that another change goes on.
func changeRefusal(status int, err error) error {
	if status == http.StatusConflict || strings.Contains(err.Error(), concurrentModification) {
		return &exporting.PendingChangeError{Change: "another change of their configuration (" + err.Error() + ")"}
	}
	return err
}

// judgeOperation tells whether POST partitions/... was taken: the answer to an operation that is known is the map of
// the broker's partitions, still as they were before, or empty where they cannot be told. To another it is
// errUnknownOperation. The map says nothing that a read does not say better, so it is not decoded.
func judgeOperation(a answer) error {
	switch {
	case a.status == http.StatusNotFound:
		return errNoPartitions
	case a.status/100 != 2:
		return refusal(a)
	}
	text := bytes.TrimSpace(a.body)
	switch {
	case len(text) == 0:
		return errUnknownOperation
	case text[0] != '{' || text[len(text)-1] != '}':
		return misread(json.Unmarshal(text, new(map[string]json.RawMessage)), a.body)
	}
	return nil
}

// errNoExporting is the answer of something that does not drive the cluster.
var errNoExporting = refused("it has no exporting endpoint (404): is management.endpoint.exporting switched off?")

// errNoPartitions is the answer of something that is no broker, or of one that does not want to tell.
var errNoPartitions = refused("it has no partitions endpoint (404): check the base path, that it is a broker, and " +
	"that management.endpoint.partitions is not switched off")

// errUnknownOperation is the answer of a broker that does not know an operation: success without a status map.
var errUnknownOperation = refused("it does not know the operation (success without a status map)")

// refusedError is an answer that says no.
type refusedError struct{ words string }

func (e *refusedError) Error() string { return e.words }

func refused(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

// refusal turns an answer that is not a success into an error, with the broker's own words where it has any.
func refusal(a answer) error {
	if a.status/100 == 3 {
		return refused("it answered %d, a redirect to %q: check the address", a.status, excerpt(a.location, shortExcerpt))
	}
	return refused("it answered %d%s", a.status, saying(a.body))
}

// saying is ": <message>" of an error body, empty where there is none. The forms are a string, a Throwable or a problem
// as an object, the same in an envelope, and Spring's own error object.
func saying(body []byte) string {
	text := bytes.TrimSpace(body)
	if len(text) == 0 || string(text) == "null" {
		return ""
	}
	if message := messageOf(text); message != "" {
		return ": " + excerpt(message, longExcerpt)
	}
	return ": " + quoted(text)
}

func messageOf(body []byte) string {
	var e envelope
	if json.Unmarshal(body, &e) == nil {
		if message := plainMessage(e.Body); message != "" {
			return message
		}
	}
	return plainMessage(body)
}

func plainMessage(body []byte) string {
	var text string
	if json.Unmarshal(body, &text) == nil {
		return text
	}
	var object struct {
		Message string `json:"message"`
		Detail  string `json:"detail"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	return cmp.Or(object.Message, object.Detail, object.Error)
}
