package browser_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/exportgate/exportgate/server/servertest"
)

// complaints is what a tab has complained of: errors, warnings, and what a policy did not let it do.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.list, "\n")
}

// listen gathers a tab's complaints from now on.
func listen(b tab) *complaints {
	b.Helper()
	c := &complaints{}
	err := chromedp.Listen(b.ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			for _, arg := range e.Args {
				c.add("console.%s: %s", e.Type, arg.Value)
			}
		case *runtime.EventExceptionThrown:
			c.add("exception: %s", e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			c.add("%s of %s: %s (%v)", e.Entry.Level, e.Entry.Source, e.Entry.Text, e.Entry.URL)
		case *audits.EventIssueAdded:
			details, _ := json.Marshal(e.Issue.Details)
			c.add("issue %s: %s", e.Issue.Code, details)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	get(b, call(audits.Enable, cdp.Empty{}))
	return c
}

// fetch is what the server answers to a client that is no browser.
func fetch(t *testing.T, url string, headers http.Header) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, headers)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", url, response.Status, err, body)
	}
	return string(body)
}

// operations are those of a server's OpenAPI document, as "GET /actuator/health".
func operations(t *testing.T, base string) []string {
	t.Helper()
	var document struct {
		BasePath string
		Paths    map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(fetch(t, base+"/openapi", nil)), &document); err != nil {
		t.Fatal(err)
	}
	var all []string
	for path, methods := range document.Paths {
		for method := range methods {
			all = append(all, strings.ToUpper(method)+" "+strings.TrimSuffix(document.BasePath, "/")+strings.TrimSuffix(path, "/"))
		}
	}
	slices.Sort(all)
	return all
}

// look is how somebody looks at a page.
type look struct {
	scheme        string
	width, height int64
}

func (l look) String() string { return fmt.Sprintf("%s-%d", l.scheme, l.width) }

// The page of the API opens without a complaint of the browser's, has every operation, and can be read and walked through by
// keyboard, in light and dark, on a phone and on a wide screen. With -artifacts, pictures of it are kept.
func TestThePageOfTheAPI(t *testing.T) {
	t.Parallel()
	browser := open(t)
	h := servertest.Start(t, servertest.Options{})
	base := "http://" + h.Server.HTTPAddr().String() + "/actuator"
	want := operations(t, base)
	backgrounds := map[string]string{}
	for _, look := range []look{{"light", 1400, 900}, {"light", 400, 800}, {"dark", 1400, 900}, {"dark", 400, 800}} {
		t.Run(look.String(), func(t *testing.T) {
			tab := browser.another(t)
			complaints := listen(tab)
			get(tab, call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}},
			}))
			tab.do(chromedp.EmulateViewport(look.width, look.height), chromedp.Navigate(base+"/openapi/ui"))
			shown := evaluate[[]string](tab, `[...document.querySelectorAll("section h2")].map(h => h.innerText.replace(/\s+/g, " ").trim())`)
			slices.Sort(shown)
			if !slices.Equal(shown, want) {
				t.Errorf("the page has the operations\n%s\nand the server\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
			}
			if over := evaluate[[]string](tab, tooWide); len(over) > 0 {
				t.Errorf("the page has to be moved sideways for %s", strings.Join(over, "; "))
			}
			if faint := evaluate[[]string](tab, tooFaint); len(faint) > 0 {
				t.Errorf("too little contrast: %s", strings.Join(faint, "; "))
			}
			walk(tab)
			backgrounds[look.scheme] = evaluate[string](tab, `getComputedStyle(document.body).backgroundColor`)
			takePicture(tab, look.String()+".png")
			if said := complaints.String(); said != "" {
				t.Errorf("the browser complains:\n%s", said)
			}
		})
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Errorf("light and dark are the same: %v", backgrounds)
	}
}

// tooWide lists elements that stick out of the page's width.
const tooWide = `
	[...document.querySelectorAll("body, body *")]
		.filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
		.map(e => e.outerHTML.slice(0, 80))
		.concat(document.documentElement.scrollWidth > document.documentElement.clientWidth ? ["the whole page"] : [])`

// tooFaint lists texts whose contrast with what is behind them is under 4.5:1, which WCAG asks of text.
const tooFaint = `
	(() => {
		const numbers = color => color.match(/[\d.]+/g).map(Number)
		const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
		const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
		const behind = e => {
			for (; e; e = e.parentElement) {
				const color = numbers(getComputedStyle(e).backgroundColor)
				if (color[3] !== 0) return color
			}
			return [255, 255, 255]
		}
		return [...document.querySelectorAll("body *")]
			.filter(e => [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim()))
			.filter(e => {
				const [dark, bright] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => a - b)
				return (bright + 0.05) / (dark + 0.05) < 4.5
			})
			.map(e => e.outerHTML.slice(0, 80))
	})()`

// walk goes through the page by keyboard, as far as it takes to see one of everything: where one is has to be visible.
func walk(b tab) {
	b.Helper()
	type place struct {
		What, Outline string
		Width         float64
		InView        bool
	}
	kinds := map[string]bool{}
	for range 40 {
		b.do(chromedp.KeyEvent(kb.Tab))
		at := evaluate[place](b, `
			(() => {
				const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect()
				return {
					What: e.matches(".skip") ? "skip" : e.tagName.toLowerCase(), Outline: style.outlineStyle, Width: parseFloat(style.outlineWidth),
					InView: box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight,
				}
			})()`)
		if at.What == "body" {
			break
		}
		if at.Outline == "none" || at.Width < 1 || !at.InView {
			b.Errorf("where the keyboard is cannot be seen: %+v", at)
		}
		kinds[at.What] = true
	}
	for _, kind := range []string{"skip", "a"} {
		if !kinds[kind] {
			b.Errorf("the keyboard does not lead to any %s", kind)
		}
	}
}

// takePicture keeps a picture of a whole page.
func takePicture(b tab, name string) {
	b.Helper()
	picture := get(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(b.ArtifactDir(), name), picture, 0o600); err != nil {
		b.Fatal(err)
	}
}
