package embedded

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// zeebeError is an error in the brokers' own words.
type zeebeError string

// Error is the message alone.
func (e zeebeError) Error() string { return string(e) }

// errUnknownOperation has no message, as in Zeebe (zeebe-facts.md 1.1).
const errUnknownOperation = zeebeError("")

// postExporting is POST exporting/{pause,resume}, the gateway's endpoint, in the three generations of its answers
// (zeebe-facts.md 1).
func (m *management) postExporting(w http.ResponseWriter, r *http.Request) {
	soft, err := parseBool(r.URL.Query().Get("soft"))
	if err != nil {
		writeError(w, r, http.StatusBadRequest)
		return
	}
	tenant := r.URL.Query().Get("physicalTenant")
	if m.version.planned() && tenant != "" && !slices.Contains(m.cluster.options.tenants(), tenant) {
		writeJSON(w, http.StatusBadRequest, actuatorJSON, "unknown physical tenant: "+tenant)
		return
	}
	var phase Phase
	switch r.PathValue("operation") {
	case "pause":
		phase = Paused
		if soft && m.version.softPause() {
			phase = SoftPaused
		}
	case "resume":
		phase = Exporting
	}
	switch {
	case phase == "":
		err = errUnknownOperation
	case m.version.planned():
		err = m.cluster.changeExporting(r.Context(), m.broker, phase, tenant)
	default:
		err = m.cluster.broadcastExporting(r.Context(), phase)
	}
	m.answerExporting(w, err)
}

// envelope is a Spring response as JSON, which is what the generation in the middle sends instead of what it means.
type envelope struct {
	Body        any     `json:"body"`
	Status      int     `json:"status"`
	ContentType *string `json:"contentType"`
}

// throwable is a Java exception as JSON.
type throwable struct {
	Cause            *throwable `json:"cause"`
	StackTrace       []string   `json:"stackTrace"`
	Message          any        `json:"message"`
	Suppressed       []string   `json:"suppressed"`
	LocalizedMessage any        `json:"localizedMessage"`
}

// answerExporting answers 204 or 500, or the same inside an envelope with status 200.
func (m *management) answerExporting(w http.ResponseWriter, err error) {
	answer := envelope{Status: http.StatusNoContent}
	if err != nil {
		var message any // null where there is none
		if text := err.Error(); text != "" {
			message = text
		}
		answer = envelope{Status: http.StatusInternalServerError, Body: message}
		if !m.version.planned() {
			answer.Body = throwable{
				StackTrace: []string{}, Message: message, Suppressed: []string{}, LocalizedMessage: message,
			}
		}
	}
	switch {
	case m.version.envelope():
		writeJSON(w, http.StatusOK, "application/json", answer)
	case err == nil:
		w.WriteHeader(answer.Status)
	default:
		writeJSON(w, answer.Status, actuatorJSON, answer.Body)
	}
}

// broadcastExporting is the gateway's fan-out below 8.10: all or nothing by a count of the replicas that take part, and
// then one request to each replica, whose errors are lost (zeebe-facts.md 2.1 to 2.4).
func (c *Cluster) broadcastExporting(ctx context.Context, phase Phase) error {
	c.mu.Lock()
	if err := c.incompleteTopology(); err != nil {
		c.mu.Unlock()
		return err
	}
	last := time.Now()
	for _, b := range c.brokers {
		if b.version.planned() {
			continue // it rejects the request, and nobody looks at the reply
		}
		for _, r := range b.replicas {
			if due := b.ask(phase, r); due.After(last) {
				last = due
			}
		}
	}
	c.mu.Unlock()
	return wait(ctx, time.Until(last))
}

// incompleteTopology is the gateway's check before it sends anything. Inactive replicas do not count, so one of them
// keeps the whole cluster from being paused and from being resumed.
func (c *Cluster) incompleteTopology() error {
	for _, p := range c.partitions {
		if p.leader == nil {
			return zeebeError(fmt.Sprintf("Leader of partition %d is not known, current topology: %s", p.id, c.dump()))
		}
		members := 0
		for _, r := range p.replicas {
			if r.active() {
				members++
			}
		}
		if members != len(p.replicas) {
			return zeebeError(fmt.Sprintf("Expected %d members of partition %d but found %d, current topology: %s",
				len(p.replicas), p.id, members, c.dump()))
		}
	}
	return nil
}

// dump is the topology in an error's text, as long as the real one.
func (c *Cluster) dump() string {
	var text strings.Builder
	fmt.Fprintf(&text, "BrokerClusterStateImpl{partitionsCount=%d, clusterSize=%d, replicationFactor=%d, partitions=[",
		c.options.Partitions, c.options.Brokers, c.options.ReplicationFactor)
	for i, p := range c.partitions {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%d={", p.id)
		for _, r := range p.replicas {
			fmt.Fprintf(&text, "%d:%s ", r.broker.id, r.role())
		}
		text.WriteString("}")
	}
	text.WriteString("]}")
	return text.String()
}

// parseBool reads a boolean parameter as Spring does; an absent one is false.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0", "":
		return false, nil
	}
	return false, fmt.Errorf("%q is no boolean", text)
}
