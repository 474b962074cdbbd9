package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mediaPage is the media type of the one page that there is.
const mediaPage = "text/html"

// pageSource is the page. It works without scripts, and its style is in it, so that it is one answer to one request.
//
//go:embed openapi/page.html
var pageSource string

// page is the API's description for people.
type page struct {
	template *template.Template
	policy   string // its Content-Security-Policy
	fixed    pageContent
}

// pageContent is what the template is given.
type pageContent struct {
	Title, Description, Server, Base string
	Bearer                           bool
	Operations                       []operation
}

// operation is one method at one path.
type operation struct {
	ID, Method, Path, Summary string
	Description               []string // paragraphs
	Parameters                []parameter
	Responses                 []response
	arguments, example        string // of curl, and the path that it is given
	open                      bool   // needs no credentials
	server                    string
	bearer                    bool
}

type parameter struct{ Name, In, Type, Description string }

type response struct{ Code, Description string }

// newPage makes a page of a document.
func newPage(d document) (page, error) {
	parsed, err := template.New("page").Parse(pageSource)
	if err != nil {
		return page{}, err
	}
	_, style, _ := strings.Cut(pageSource, "<style>")
	style, _, ok := strings.Cut(style, "</style>")
	if !ok {
		return page{}, errors.New("the page has no style")
	}
	hash := sha256.Sum256([]byte(style))
	info, base := object(d["info"]), strings.TrimSuffix(text(d["basePath"]), "/")
	p := page{
		template: parsed,
		policy:   contentPolicy + "; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'",
		fixed: pageContent{
			Title: text(info["title"]), Description: text(info["description"]), Base: base, Bearer: d["security"] != nil,
		},
	}
	for path, methods := range object(d["paths"]) {
		for method, described := range object(methods) {
			p.fixed.Operations = append(p.fixed.Operations, newOperation(d, base+strings.TrimSuffix(path, "/"), method, object(described)))
		}
	}
	slices.SortFunc(p.fixed.Operations, func(a, b operation) int { // What the server is for comes first.
		return cmp.Or(strings.Compare(a.rank(base), b.rank(base)), strings.Compare(a.Method, b.Method))
	})
	for i := range p.fixed.Operations {
		o := &p.fixed.Operations[i]
		o.example, o.bearer = base+o.example, p.fixed.Bearer && !o.open
	}
	return p, nil
}

func newOperation(d document, path, method string, described map[string]any) operation {
	example := object(described["x-example"])
	o := operation{
		ID: text(described["operationId"]), Method: strings.ToUpper(method), Path: cmp.Or(path, "/"),
		Summary: text(described["summary"]), arguments: text(example["arguments"]), example: text(example["path"]),
	}
	if description := text(described["description"]); description != "" {
		o.Description = strings.Split(description, "\n\n")
	}
	_, o.open = described["security"]
	parameters, _ := described["parameters"].([]any)
	for _, each := range parameters {
		p := object(each)
		o.Parameters = append(o.Parameters, parameter{
			text(p["name"]), text(p["in"]), cmp.Or(text(p["type"]), "JSON"), unwrap(text(p["description"])),
		})
	}
	responses := object(described["responses"])
	for _, code := range slices.Sorted(maps.Keys(responses)) {
		answer := object(responses[code])
		if name, ok := strings.CutPrefix(text(answer["$ref"]), "#/responses/"); ok {
			answer = object(object(d["responses"])[name])
		}
		if number, err := strconv.Atoi(code); err == nil {
			code += " " + http.StatusText(number)
		} else {
			code = "any other"
		}
		o.Responses = append(o.Responses, response{code, text(answer["description"])})
	}
	return o
}

// unwrap takes out the line breaks that a comment in a proto file has because it is long, and keeps those of its lists.
func unwrap(comment string) string {
	return regexp.MustCompile(`([^\n])\n([^ \n])`).ReplaceAllString(comment, "$1 $2")
}

// rank sorts the exporting service before the endpoints of the server itself.
func (o operation) rank(base string) string {
	if isExporting(strings.TrimPrefix(o.Path, base)) {
		return "0" + o.Path
	}
	return "1" + o.Path
}

// Curl is a command that calls the operation.
func (o operation) Curl() string {
	words := []string{"curl", "-fsS"}
	if o.arguments != "" {
		words = append(words, o.arguments)
	}
	if o.bearer {
		words = append(words, `-H "Authorization: Bearer $TOKEN"`)
	}
	return strings.Join(append(words, fmt.Sprintf("'%s%s'", o.server, o.example)), " ")
}

// servePage answers with the page.
func (h *handler) servePage(w http.ResponseWriter, r *http.Request) {
	content := h.page.fixed
	content.Server = "http://localhost:9600"
	if hostName(r.Host) != "" { // People paste it into a shell.
		content.Server = baseURL(r)
	}
	content.Operations = slices.Clone(content.Operations)
	for i := range content.Operations {
		content.Operations[i].server = content.Server
	}
	var body bytes.Buffer
	if err := h.page.template.Execute(&body, content); err != nil {
		h.logger.ErrorContext(r.Context(), "the API page cannot be made", "error", err)
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", h.page.policy)
	w.Header().Set("Content-Type", mediaPage+"; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = body.WriteTo(w)
}
