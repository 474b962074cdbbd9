package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// routeOf is where the test's map of paths has a path of the document.
func routeOf(path string) string {
	path = strings.TrimSuffix(path, "/")
	return strings.NewReplacer("{component}", "ping", "{name}", "ROOT").Replace(path)
}

// TestDocument proves that the description has every path and method that there is, and no other, at any base path, and
// that whatever it refers to is there.
func TestDocument(t *testing.T) {
	for _, base := range []string{"", "/orchestration/actuator"} {
		for _, bearer := range []bool{false, true} {
			d := openDoor(t, &fake{}, Options{BasePath: base, Bearer: bearer})
			got := send(t, http.MethodGet, d.url+base+"/openapi", nil)
			if got.header.Get("Content-Type") != mediaJSON {
				t.Errorf("the type is %s", got.header.Get("Content-Type"))
			}
			document := decode(t, got.body)
			if want := base; document["basePath"] != want && (base != "" || document["basePath"] != "/") {
				t.Errorf("basePath is %v, want %q", document["basePath"], want)
			}
			if _, secured := document["security"]; secured != bearer {
				t.Errorf("with bearer: %t, it has security: %t", bearer, secured)
			}
			described := map[string][]string{}
			for path, operations := range object(document["paths"]) {
				for method, operation := range object(operations) {
					described[routeOf(path)] = append(described[routeOf(path)], strings.ToUpper(method))
					checkOperation(t, path, object(operation))
				}
			}
			want := map[string][]string{}
			for path, methods := range paths() {
				want[path] = slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == http.MethodHead })
			}
			for _, methods := range described {
				slices.Sort(methods)
			}
			if diff := cmp.Diff(want, described); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			checkReferences(t, document, document)
		}
	}
}

// checkOperation proves that an operation says what it is for, and what it may be answered.
func checkOperation(t *testing.T, path string, operation map[string]any) {
	t.Helper()
	responses := object(operation["responses"])
	if text(operation["summary"]) == "" || text(operation["operationId"]) == "" || object(operation["x-example"])["path"] == nil {
		t.Errorf("%s: there is no summary, id or example", path)
	}
	wanted := []string{"421"}
	if !strings.HasPrefix(path, "/health") {
		wanted = append(wanted, "401", "403", "429", "503")
	}
	for _, code := range wanted {
		if responses[code] == nil {
			t.Errorf("%s: there is no answer %s", path, code)
		}
	}
}

// checkReferences proves that each $ref leads somewhere.
func checkReferences(t *testing.T, document map[string]any, value any) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, each := range value {
			checkReferences(t, document, each)
		}
	case map[string]any:
		if ref, ok := value["$ref"].(string); ok {
			kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/"), "/")
			if object(document[kind])[name] == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, each := range value {
			checkReferences(t, document, each)
		}
	}
}

func TestDocumentHasOnlyWhatIsExposed(t *testing.T) {
	d := openDoor(t, &fake{}, Options{Exposure: Exposure{Include: []string{"openapi", "info"}}})
	var got []string
	for path := range object(decode(t, send(t, http.MethodGet, d.url+"/openapi", nil).body)["paths"]) {
		got = append(got, path)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"/", "/info", "/openapi", "/openapi/ui"}, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestMerge(t *testing.T) {
	tests := []struct{ target, patch, want string }{
		{`{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		{`{"a":1}`, `{"a":null}`, `{}`},
		{`{"a":{"b":1,"c":2}}`, `{"a":{"b":null,"d":3}}`, `{"a":{"c":2,"d":3}}`},
		{`{"a":[1]}`, `{"a":[2]}`, `{"a":[2]}`},
		{`{"a":"x"}`, `{"a":{"b":1,"c":null}}`, `{"a":{"b":1}}`},
	}
	for _, test := range tests {
		target, patch := decode(t, test.target), decode(t, test.patch)
		if merge(target, patch); !cmp.Equal(target, decode(t, test.want)) {
			t.Errorf("%s with %s is %v, want %s", test.target, test.patch, target, test.want)
		}
	}
}

func TestUnwrap(t *testing.T) {
	if got, want := unwrap("a\nb.\n\n - c\nd\n - e"), "a b.\n\n - c d\n - e"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPage proves that the page has every operation, with what a reader needs, and needs nothing that its policy forbids.
func TestPage(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	d := openDoor(t, &fake{}, Options{BasePath: "/actuator", Bearer: true})
	for path, accept := range map[string]string{"/openapi/ui": "*/*", "/openapi": browser} {
		got := send(t, http.MethodGet, d.url+"/actuator"+path, nil, "Accept", accept)
		if got.code != http.StatusOK || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: answer is %d with the type %s", path, got.code, got.header.Get("Content-Type"))
		}
		style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(got.body, -1)
		if len(style) != 1 {
			t.Fatalf("there are %d styles", len(style))
		}
		hash := sha256.Sum256([]byte(style[0][1]))
		want := contentPolicy + "; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
		if policy := got.header.Get("Content-Security-Policy"); policy != want {
			t.Errorf("the policy is %q, want %q", policy, want)
		}
		for _, want := range []string{
			"/actuator/exporting/pause", "onFailure", "409 Conflict", "421 Misdirected Request", "any other",
			"curl -fsS -X POST -H &#34;Authorization: Bearer $TOKEN&#34; &#39;" + d.url + "/actuator/exporting/pause?hold=backup-42&amp;ttl=2h",
			"curl -fsS &#39;" + d.url + "/actuator/health/liveness&#39;", "curl -fsS &#39;" + d.url + "/actuator/health&#39;",
			"/actuator/loggers/{name}", "curl -fsS -N -H",
		} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: the page does not have %q", path, want)
			}
		}
		checkPage(t, got.body)
	}
}

// checkPage proves that a page works without scripts and from this one answer, and is in order: each id once, each link
// within the page leads somewhere, each table has headers.
func checkPage(t *testing.T, body string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(body))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	ids, links, headings := map[string]int{}, []string{}, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		node, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch node.Name.Local {
		case "script", "link", "img", "iframe", "object", "form", "base":
			t.Errorf("the page has a %s", node.Name.Local)
		case "h1":
			headings++
		}
		for _, attr := range node.Attr {
			switch {
			case attr.Name.Local == "id":
				ids[attr.Value]++
			case attr.Name.Local == "href":
				links = append(links, attr.Value)
			case attr.Name.Local == "style" || strings.HasPrefix(attr.Name.Local, "on") || attr.Name.Local == "src":
				t.Errorf("<%s> has the attribute %s", node.Name.Local, attr.Name.Local)
			case node.Name.Local == "html" && attr.Name.Local == "lang" && attr.Value == "":
				t.Error("the page has no language")
			}
		}
	}
	if headings != 1 {
		t.Errorf("there are %d main headings", headings)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("the id %s is there %d times", id, n)
		}
	}
	if len(links) < len(paths()) {
		t.Errorf("there are only %d links", len(links))
	}
	for _, link := range links {
		if id, ok := strings.CutPrefix(link, "#"); !ok || ids[id] == 0 {
			t.Errorf("the link %s leads nowhere in the page", link)
		}
	}
}

// TestPageIsSafeToPaste proves that no host that a client names ends up in a command.
func TestPageIsSafeToPaste(t *testing.T) {
	d := openDoor(t, &fake{}, Options{})
	c := dialRaw(t, d)
	write(t, c, "GET /openapi/ui HTTP/1.1\r\nHost: $(id)';id;'\r\n\r\n")
	if got, _ := readAnswer(t, c); got.code == http.StatusOK && (strings.Contains(got.body, "id;") || !strings.Contains(got.body, "http://localhost:9600/")) {
		t.Errorf("the page has a hostile host: %s", got.body)
	}
}
