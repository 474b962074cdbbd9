package audit

// Own is something that this server noticed, or did by itself: an event of the reconciler.
type Own struct {
	// Kind is one word of lower-case letters and dashes.
	Kind string
	// Message says it in words; Hold is the hold that it happened to, empty if none.
	Message, Hold string
}

// Event logs what this server noticed or did by itself. It does not wait for the disk.
func (l *Log) Event(o Own) {
	l.put(&Line{Kind: KindEvent, Event: o.Kind, Message: clip(o.Message), Hold: o.Hold})
}
