package telemetry

import (
	"strings"
	"sync"
)

// vocabulary is the values that a label may have. It keeps a mistake, or whoever calls, from making series without end.
type vocabulary struct {
	other string // said instead of what is not known
	limit int    // as many words are known at most

	mu    sync.RWMutex
	known map[string]bool
}

// newVocabulary knows some words and learns others that it meets, as long as they are fewer than limit in all.
func newVocabulary(other string, limit int, words ...string) *vocabulary {
	v := &vocabulary{other: other, limit: limit, known: map[string]bool{}}
	for _, word := range words {
		v.known[clean(word)] = true
	}
	return v
}

// word is what is said for a word.
func (v *vocabulary) word(word string) string {
	word = clean(word)
	v.mu.RLock()
	known, full := v.known[word], len(v.known) >= v.limit
	v.mu.RUnlock()
	switch {
	case known:
		return word
	case full:
		return v.other
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= v.limit && !v.known[word] {
		return v.other
	}
	v.known[word] = true
	return word
}

// clean is a text that Prometheus takes for the value of a label: brokers and other servers may say anything.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
