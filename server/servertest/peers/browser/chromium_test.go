package browser_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/exportgate/exportgate/server/servertest/peers"
)

// Names that the browser believes to be this machine's.
const (
	evil     = "evil.example"
	attacker = "attacker.localhost"
)

// patience is how long a browser may take for everything that a test does with it.
const patience = 8 * time.Minute

// tab is a tab of a browser, and the test that looks at it.
type tab struct {
	*testing.T

	ctx context.Context
}

// open starts a Chromium with a profile of its own, and returns its first tab. It ends with the test.
func open(t *testing.T) tab {
	t.Helper()
	path := peers.Program(t, "chromium", "chromium", "chromium-browser", "google-chrome")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}
	for name, value := range map[string]any{
		"headless": true, "no-sandbox": true, // Tests may run as root, whom Chromium's sandbox does not take.
		"disable-gpu": true, "disable-dev-shm-usage": true, "disable-quic": true, "no-first-run": true, "no-proxy-server": true,
		"disable-background-networking": true, "disable-component-update": true, "disable-sync": true, "disable-extensions": true,
		"host-resolver-rules": "MAP " + evil + " 127.0.0.1, MAP " + attacker + " 127.0.0.1",
		// Newer browsers ask their user before a page may reach into the local network. Users click it away, and other browsers
		// do not ask: the server has to be safe without.
		"disable-features": "LocalNetworkAccessChecks",
	} {
		options = append(options, chromedp.Flag(name, value))
	}
	allocator, closeAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Errorf("the browser does not end well: %v", err)
		}
		closeBrowser()
		closeAllocator()
	})
	first := tab{t, browser}
	first.do()
	return first
}

// another opens a further tab of the browser, which ends with the test that it is for.
func (b tab) another(t *testing.T) tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	t.Cleanup(closeTab)
	further := tab{t, ctx}
	further.do()
	return further
}

// do does things in the tab, one after another.
func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// get does one thing in a tab that has a result.
func get[T any](b tab, action chromedp.Action[T]) T {
	b.Helper()
	result, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// evaluate runs JavaScript in a tab as if its user had done something, waits for what it promises, and returns that.
func evaluate[T any](b tab, script string) T {
	b.Helper()
	gesture := func(p *runtime.EvaluateParams) { p.UserGesture = new(true) }
	return get(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise, gesture))
}

// call is a command of the browser's own protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[R] {
	return func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	}
}
