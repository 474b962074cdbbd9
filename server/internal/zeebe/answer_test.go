package zeebe

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestJudgeChange(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		says   string // empty: it was taken
	}{
		{"8.1 to 8.4 and 8.10", 204, "", ""},
		{"8.5 to 8.9", 200, `{"body":null,"status":204,"contentType":null}`, ""},
		{"nothing in 200", 200, "", ""},
		{"a failure in 200", 200, `{"body":{"message":"Expected 3 members of partition 1 but found 2","cause":null,` +
			`"stackTrace":[{"a":1}]},"status":500,"contentType":null}`, "status 500 in HTTP 200: Expected 3 members"},
		{
			"a failure as text in 200", 200, `{"body":"Timed out waiting for exporter state change 7","status":500}`,
			"status 500 in HTTP 200: Timed out waiting for exporter state change 7",
		},
		{"an unknown operation in 200", 200, `{"body":{"message":null},"status":500}`, "status 500 in HTTP 200"},
		{"a failure of 8.10", 500, `"Timed out waiting for exporter state change 7"`, "answered 500: Timed out"},
		{"a failure of 8.10 without words", 500, ``, "answered 500"},
		{"an unknown tenant", 400, `"Unknown physical tenant"`, "answered 400: Unknown physical tenant"},
		{"a failure of 8.4", 500, `{"message":"Leader 1 of partition 1 is not known","cause":null}`, "500: Leader 1 of"},
		{"a success in a failure", 500, `{"body":null,"status":204,"contentType":null}`, "answered 500"},
		{"Spring's own error", 500, springError, "answered 500: Internal Server Error"},
		{"a problem", 503, `{"title":"x","detail":"no partition leader"}`, "answered 503: no partition leader"},
		{"HTML", 200, html, "management port"},
		{"a text", 200, `"paused"`, "something else"},
		{"another object", 200, `{"ok":true}`, "something else"},
		{"null", 200, `null`, "something else"},
		{"a status that is no number", 200, `{"status":"204"}`, "a string for status"},
		{"a cut", 200, `{"body":null,"status":20`, "cut off"},
		{"a proxy's page", 502, html, `answered 502: "<!DOCTYPE html>`},
		{"something terrible", 500, "\x1b[31mred\x00\r\n" + strings.Repeat("x", 1000), `answered 500: "[31mred xxx`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := judgeChange(answer{status: test.status, body: []byte(test.body)})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, test.says)
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("error %q does not fit a line", err)
			}
		})
	}
}

func TestJudgeChangePending(t *testing.T) {
	for _, a := range []answer{
		{status: 500, body: []byte(`"CONCURRENT_MODIFICATION: another change is in progress"`)},
		{status: 200, body: []byte(`{"body":"CONCURRENT_MODIFICATION: no","status":500}`)},
		{status: 200, body: []byte(`{"body":"no","status":409}`)},
		{status: http.StatusConflict},
	} {
		var pending *exporting.PendingChangeError
		if err := judgeChange(a); !errors.As(err, &pending) {
			t.Errorf("%d %s is %v, want a PendingChangeError", a.status, a.body, err)
		}
	}
}

func TestJudgeOperation(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		says   string
	}{
		{"a status map", 200, newer, ""},
		{"an empty map, because no replica can be told", 200, "{}", ""},
		{"an operation that is not known", 204, "", "does not know the operation"},
		{"the same in 200", 200, "", "does not know the operation"},
		{"no endpoint", 404, springError, "no partitions endpoint"},
		{"8.10", 500, springError, "answered 500"},
		{"HTML", 200, html, "management port"},
		{"a list", 200, "[]", "something else"},
		{"a cut", 200, newer[:50], "cut off"},
		{"a redirect", 302, "", "redirect"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := judgeOperation(answer{status: test.status, body: []byte(test.body)})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, test.says)
		})
	}
}

func TestExcerpt(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"  a\n\t b  ", "a b"},
		{"123456", "12345..."},
		{"12345", "12345"},
		{"1234 6", "1234 ..."},
		{"üüüüüü", "üüüüü..."},
		{"a\xffb\u202ec", "a?b?c"},
	} {
		if got := excerpt(test.text, 5); got != test.want {
			t.Errorf("excerpt(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}
