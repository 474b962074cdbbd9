package zeebe

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// probeTimeout is short because a broker that answers at all answers this at once, and the topology waits for it.
	probeTimeout = 2 * time.Second
	// probesAtOnce bounds the probes that are under way at once.
	probesAtOnce = 64
)

// probe asks those brokers for their generation whose generation nobody told, and waits until they answered or it is
// clear that they will not soon. In the steady state it asks nobody.
func (c *Client) probe(ctx context.Context, addresses ...string) {
	due := c.memory.toProbe(addresses, time.Now())
	if len(due) == 0 {
		return
	}
	slots := make(chan struct{}, probesAtOnce)
	var probes sync.WaitGroup
	for _, address := range due {
		slots <- struct{}{}
		probes.Go(func() {
			defer func() { <-slots }()
			c.probeOne(ctx, address)
		})
	}
	probes.Wait()
}

// probeOne asks for the list of configuration changes, which exists from 8.10 on; asking changes nothing.
func (c *Client) probeOne(ctx context.Context, address string) {
	r := get(operationChanges, address, "/cluster/changes")
	r.limit = min(probeTimeout, c.timeout)
	shown, err := call(ctx, c, r, func(a answer) (generation, error) { return generationShown(a), nil })
	if err != nil {
		if ctx.Err() != nil { // Nobody waited for the answer: the next one to come may ask at once.
			c.memory.forget(address)
		}
		return
	}
	before := c.memory.showed(address, shown)
	if before != unknownGeneration && shown != unknownGeneration && before != shown {
		c.logger.LogAttrs(ctx, slog.LevelInfo, "a broker is of another generation than before",
			slog.String("address", address), slog.Bool("from_8_10", shown == planned))
	}
}

// generationShown is what the answer to GET cluster/changes shows. A broker that does not know the path, or for whom it
// is one to POST to (cluster/{resource} is), is old, and so is one that does not want to tell; a failure or garbage
// shows nothing.
func generationShown(a answer) generation {
	switch {
	case a.status/100 == 4:
		return perBroker
	case a.status != http.StatusOK:
		return unknownGeneration
	}
	if _, err := decodeChanges(a.body); err != nil {
		return unknownGeneration
	}
	return planned
}
