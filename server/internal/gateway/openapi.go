package gateway

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// generatedDocument is what the generator makes of the contract (buf.gen.yaml).
//
//go:embed openapi/generated/exportgate.swagger.json
var generatedDocument []byte

// documentOverlay is what the generator cannot know: the answers' form over HTTP, their statuses, examples, and the
// endpoints that are no calls. It is merged into the generated document (RFC 7396).
//
//go:embed openapi/overlay.json
var documentOverlay []byte

// document is the API's description in OpenAPI 2.0, which is what the generator writes. It holds what encoding/json makes of
// JSON.
type document map[string]any

// newDocument describes what there is at this door.
func newDocument(h *handler, bearer bool) (document, error) {
	var d, overlay document
	if err := json.Unmarshal(generatedDocument, &d); err != nil {
		return nil, fmt.Errorf("the generated document: %w", err)
	}
	if err := json.Unmarshal(documentOverlay, &overlay); err != nil {
		return nil, fmt.Errorf("the overlay: %w", err)
	}
	merge(d, overlay)
	paths := map[string]any{}
	for path, operations := range object(d["paths"]) {
		path = strings.TrimPrefix(path, generatedBase)
		if id, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); id == "" || h.has(id) {
			paths["/"+strings.TrimPrefix(path, "/")] = operations
			describeRefusals(object(operations))
		}
	}
	d["paths"] = paths
	d["basePath"] = cmp.Or(h.base, "/")
	if bearer {
		d["securityDefinitions"] = map[string]any{"bearer": map[string]any{
			"type": "apiKey", "in": "header", "name": headerAuthorization,
			"description": "The word Bearer, a space, and a token: a static one, or a JWT of the provider that the server is configured with.",
		}}
		d["security"] = []any{map[string]any{"bearer": []any{}}}
	}
	return d, nil
}

// describeRefusals adds to the operations at a path what everything but health may be answered before it begins. What an
// operation says of a status itself says more.
func describeRefusals(operations map[string]any) {
	for _, each := range operations {
		operation := object(each)
		refusals := map[string]string{"421": "Misdirected"}
		if _, open := operation["security"]; !open {
			maps.Copy(refusals, map[string]string{
				"401": "Unauthenticated", "403": "Denied", "429": "TooMany", "503": "Unavailable",
			})
		}
		responses := object(operation["responses"])
		for code, name := range refusals {
			if responses[code] == nil {
				responses[code] = map[string]any{"$ref": "#/responses/" + name}
			}
		}
	}
}

// merge changes an object by a patch, as RFC 7396 has it: null takes away, objects are merged, all else is replaced.
func merge(target, patch map[string]any) {
	for key, value := range patch {
		below, ok := value.(map[string]any)
		switch {
		case value == nil:
			delete(target, key)
		case ok:
			if _, ok := target[key].(map[string]any); !ok {
				target[key] = map[string]any{}
			}
			merge(object(target[key]), below)
		default:
			target[key] = value
		}
	}
}

// object is a value that is a JSON object; of another, an empty one.
func object(value any) map[string]any {
	if o, ok := value.(map[string]any); ok {
		return o
	}
	return map[string]any{}
}

// text is a value that is a JSON string; of another, an empty one.
func text(value any) string {
	s, _ := value.(string)
	return s
}

// serveOpenAPI answers with the description: to a browser as a page, else as JSON.
func (h *handler) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	if choose(r.Header.Values("Accept"), append(offered(), mediaPage)) == mediaPage {
		h.servePage(w, r)
		return
	}
	writeJSON(w, r, http.StatusOK, h.document)
}
