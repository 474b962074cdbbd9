package embedded

import (
	"fmt"
	"net/http"
	"strings"
)

// exporterID names the only exporter.
const exporterID = "ndjson"

// getHealth answers for the broker as a whole and for its groups startup, readiness and liveness.
func (m *management) getHealth(w http.ResponseWriter, r *http.Request) {
	m.cluster.mu.Lock()
	healthy := true
	for _, replica := range m.broker.replicas {
		healthy = healthy && replica.active()
	}
	m.cluster.mu.Unlock()
	switch group := r.PathValue("group"); {
	case group != "" && group != "startup" && group != "readiness" && group != "liveness":
		writeError(w, r, http.StatusNotFound)
	case group == "" && !healthy:
		writeJSON(w, http.StatusServiceUnavailable, actuatorJSON, map[string]any{"status": "DOWN"})
	default:
		writeJSON(w, http.StatusOK, actuatorJSON, map[string]any{"status": "UP"})
	}
}

// getPrometheus answers with the metrics that tell something of exporting (zeebe-facts.md 3.2) and of the disk.
func (m *management) getPrometheus(w http.ResponseWriter, r *http.Request) {
	var text strings.Builder
	gauge := func(name, help string, samples func(sample func(labels string, value int64))) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		samples(func(labels string, value int64) { fmt.Fprintf(&text, "%s{%s} %d\n", name, labels, value) })
	}
	m.cluster.mu.Lock()
	gauge("zeebe_exporter_state", "Phase of the exporters: 0 exporting, 1 paused, 2 soft paused, 3 closed",
		func(sample func(string, int64)) {
			for _, r := range m.broker.replicas {
				sample(r.labels(), int64(r.shownPhase().metric()))
			}
		})
	gauge("zeebe_exporter_last_exported_position", "Last position that the exporter acknowledged",
		func(sample func(string, int64)) {
			for _, r := range m.broker.replicas {
				if r.director != nil {
					sample(r.labels(), r.director.acked)
				}
			}
		})
	gauge("zeebe_exporter_last_updated_exported_position", "Last exported position that was stored",
		func(sample func(string, int64)) {
			for _, r := range m.broker.replicas {
				sample(r.labels(), r.exported)
			}
		})
	m.broker.writeDisks(&text)
	m.cluster.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(included(text.String(), r.URL.Query().Get("includedNames")))) // a caller that has gone misses nothing
}

// labels are the labels of a replica's samples.
func (r *replica) labels() string {
	labels := fmt.Sprintf("exporter=%q,partition=\"%d\"", exporterID, r.partition.id)
	if r.partition.tenant != "" {
		labels += fmt.Sprintf(",physical_tenant=%q", r.partition.tenant)
	}
	return labels
}
