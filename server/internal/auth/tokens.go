package auth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// maxTokenFile is room for thousands of tokens.
	maxTokenFile = 1 << 20
	// lookInterval is how soon a token that was taken out of the file is of no use any more. A look reads a few kilobytes.
	lookInterval = time.Second
)

// tokens are those of a file, which is read again while the server runs.
type tokens struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	content []byte // that entries were read from
	entries []entry
	problem error // why what the file holds now is not in use; nil where it is
}

func openTokens(path string, log *slog.Logger) (*tokens, error) {
	t := &tokens{path: path, log: log}
	content, entries, err := t.read()
	if err != nil {
		return nil, err
	}
	t.content, t.entries = content, entries
	return t, nil
}

func (t *tokens) run(ctx context.Context) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look takes what the file holds, if it is new and can be read. A file that cannot be read leaves the old tokens in use: to
// lock everybody out because of a slip of the pen would be worse.
func (t *tokens) look(ctx context.Context) {
	content, entries, err := t.read()
	t.mu.Lock()
	before, changed := t.problem, err == nil && !bytes.Equal(content, t.content)
	t.problem = err
	if changed {
		t.content, t.entries = content, entries
	}
	t.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		t.log.ErrorContext(ctx, "the token file cannot be used: the tokens that were read before stay in use", "error", err)
	case changed:
		t.log.InfoContext(ctx, "the token file was read again", "count", len(entries))
	case err == nil && before != nil:
		t.log.InfoContext(ctx, "the token file holds again what is in use")
	}
}

func (t *tokens) read() ([]byte, []entry, error) {
	// A pipe would keep whoever opens it waiting, and with it the start of the server, or its end.
	if info, err := os.Stat(t.path); err != nil {
		return nil, nil, fmt.Errorf("auth.tokens-file: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("auth.tokens-file: %s is not a file, and tokens are read from it again and again", t.path)
	}
	file, err := os.Open(t.path)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.tokens-file: %w", err)
	}
	defer func() { _ = file.Close() }() // It was only read.
	content, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("auth.tokens-file: %w", err)
	case len(content) > maxTokenFile:
		return nil, nil, fmt.Errorf("auth.tokens-file: %s is larger than %d bytes", t.path, maxTokenFile)
	}
	entries, err := parseTokens(content)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.tokens-file: %s: %w", t.path, err)
	}
	return content, entries, nil
}

func (t *tokens) state() (count int, problem error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries), t.problem
}

// identify is whose a static token is.
func (t *tokens) identify(token string) (identity, error) {
	t.mu.Lock()
	entries := t.entries // It is replaced, never changed.
	t.mu.Unlock()
	if e, found := find(entries, token); found {
		return identity{names: []string{prefixToken + e.name}}, nil
	}
	return identity{}, unauthenticated("the static token is not in the token file")
}
