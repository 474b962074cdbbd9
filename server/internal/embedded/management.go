package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// actuatorJSON is the media type of Spring's actuator endpoints.
const actuatorJSON = "application/vnd.spring-boot.actuator.v3+json"

// maxBody is how much of a request's body a broker reads before it answers; the bodies are not looked at.
const maxBody = 1 << 20

// management is a broker's management API, as its version has it. No answer tells which broker it is: real ones do not
// either (design.md 4).
type management struct {
	broker  *Broker
	cluster *Cluster
	version version
}

// newManagement makes the handler of a broker that starts.
func newManagement(b *Broker) http.Handler {
	m := &management{broker: b, cluster: b.cluster, version: b.version}
	base := strings.TrimSuffix(b.cluster.options.BasePath, "/")
	mux := http.NewServeMux()
	handle := func(pattern string, handler http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" "+base+path, handler)
	}
	handle("GET /partitions", m.getPartitions)
	handle("GET /partitions/{partition}", m.getPartition)
	handle("POST /partitions/{operation}", m.postPartitions)
	handle("POST /exporting/{operation}", m.postExporting)
	handle("GET /health", m.getHealth)
	handle("GET /health/{group}", m.getHealth)
	handle("GET /prometheus", m.getPrometheus)
	handle("POST /rebalance", m.postRebalance)
	if m.version.exportersEndpoint() {
		handle("GET /exporters", m.getExporters)
	}
	if m.version.clusterEndpoint() {
		handle("GET /cluster", m.getCluster)
	}
	if m.version.planned() {
		handle("GET /cluster/changes", m.getChanges)
		handle("GET /cluster/changes/{change}", m.getChange)
	}
	if base != "" {
		mux.HandleFunc("GET "+base, m.getLinks)
	}
	return http.MaxBytesHandler(mux, maxBody)
}

// partitionStatus is one replica in GET partitions. Which fields there are depends on the version, and their order is
// Zeebe's (zeebe-facts.md 4.1). The snapshot's id ends before the part in which newer brokers name the one that took
// it.
type partitionStatus struct {
	Role                        Role          `json:"role"`
	ProcessedPosition           *int64        `json:"processedPosition"`
	SnapshotID                  *string       `json:"snapshotId"`
	ProcessedPositionInSnapshot *int64        `json:"processedPositionInSnapshot"`
	StreamProcessorPhase        *string       `json:"streamProcessorPhase"`
	ExporterPhase               Phase         `json:"exporterPhase"`
	ExportedPosition            *int64        `json:"exportedPosition"`
	Clock                       *clockStatus  `json:"clock,omitempty"`
	Health                      *healthStatus `json:"health,omitempty"`
	replica                     *replica
}

type clockStatus struct {
	Instant          time.Time      `json:"instant"`
	ModificationType string         `json:"modificationType"`
	Modification     map[string]any `json:"modification"`
}

type healthStatus struct {
	ID              string         `json:"id"`
	Name            string         `json:"name"`
	Status          string         `json:"status"`
	ComponentsState string         `json:"componentsState"`
	Children        []healthStatus `json:"children"`
}

// statuses are the broker's replicas, as faults show them where it is asked to read. It shows nothing at all if one of
// its partitions did not start.
func (m *management) statuses(read bool) ([]*partitionStatus, bool) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	statuses := make([]*partitionStatus, 0, len(m.broker.replicas))
	for _, r := range m.broker.replicas {
		if r.failed != nil {
			return nil, false
		}
		statuses = append(statuses, m.status(r))
	}
	if read {
		m.broker.faults.show(statuses)
	}
	return statuses, true
}

func (m *management) status(r *replica) *partitionStatus {
	processed, exported := max(r.partition.log.last, -1), r.exported
	processor := "REPLAY"
	if r.role() == Leader {
		processor = "PROCESSING"
	}
	s := &partitionStatus{
		Role: r.role(), ProcessedPosition: &processed, StreamProcessorPhase: &processor,
		ExporterPhase: r.shownPhase(), ExportedPosition: &exported, replica: r,
	}
	if exported > 0 {
		id := fmt.Sprintf("%d-1-%d-%d", exported, processed, exported)
		s.SnapshotID, s.ProcessedPositionInSnapshot = &id, &exported
	}
	if m.cluster.options.NullFollowers && r.role() != Leader {
		s.ProcessedPosition, s.ExportedPosition, s.StreamProcessorPhase = nil, nil, nil
	}
	if m.version.clockAndHealth() {
		s.Clock = &clockStatus{Instant: time.Now().UTC(), ModificationType: "None", Modification: map[string]any{}}
		name := "Partition-" + strconv.Itoa(r.partition.id)
		health := "HEALTHY"
		if r.role() == Inactive {
			health = "UNHEALTHY"
		}
		s.Health = &healthStatus{ID: name, Name: name, Status: health, ComponentsState: health, Children: []healthStatus{}}
	}
	return s
}

func (m *management) getPartitions(w http.ResponseWriter, r *http.Request) {
	m.answerPartitions(w, r, true)
}

// answerPartitions answers with all of the broker's replicas, or after a while with none (zeebe-facts.md 4.1).
func (m *management) answerPartitions(w http.ResponseWriter, r *http.Request, read bool) {
	statuses, ok := m.statuses(read)
	if !ok && wait(r.Context(), m.cluster.options.EmptyDelay) != nil {
		return
	}
	writeJSON(w, http.StatusOK, actuatorJSON, m.nested(statuses))
}

// nested is a status map as GET partitions has it: by partition, and where there are several tenants by tenant first.
func (m *management) nested(statuses []*partitionStatus) any {
	flat := map[string]*partitionStatus{}
	tenants := map[string]map[string]*partitionStatus{}
	for _, s := range statuses {
		p := s.replica.partition
		flat[strconv.Itoa(p.id)] = s
		if tenants[p.tenant] == nil {
			tenants[p.tenant] = map[string]*partitionStatus{}
		}
		tenants[p.tenant][strconv.Itoa(p.id)] = s
	}
	if len(m.cluster.options.Tenants) > 1 && len(statuses) > 0 {
		return tenants
	}
	return flat
}

func (m *management) getPartition(w http.ResponseWriter, r *http.Request) {
	statuses, ok := m.statuses(true)
	if !ok && wait(r.Context(), m.cluster.options.EmptyDelay) != nil {
		return
	}
	for _, s := range statuses {
		if strconv.Itoa(s.replica.partition.id) == r.PathValue("partition") {
			writeJSON(w, http.StatusOK, actuatorJSON, s)
			return
		}
	}
	writeError(w, r, http.StatusNotFound)
}

// postPartitions takes the broker's own operations. They hit all its replicas, are only queued, and are answered with
// the phases as they still are (zeebe-facts.md 4.1). From 8.10 on those that pause and resume are refused.
func (m *management) postPartitions(w http.ResponseWriter, r *http.Request) {
	phase, known := map[string]Phase{
		"pauseExporting": Paused, "softPauseExporting": SoftPaused, "resumeExporting": Exporting,
		"pauseProcessing": "", "resumeProcessing": "", "takeSnapshot": "", // taken, and of no effect here
	}[r.PathValue("operation")]
	switch {
	case !known, phase == SoftPaused && !m.version.softPause():
		w.WriteHeader(http.StatusNoContent) // what Spring makes of an operation that returns nothing
		return
	case phase != "" && m.version.planned():
		writeError(w, r, http.StatusInternalServerError)
		return
	case phase != "":
		m.cluster.mu.Lock()
		m.broker.ask(phase, m.broker.replicas...)
		m.cluster.mu.Unlock()
	}
	m.answerPartitions(w, r, false)
}

func (m *management) getExporters(w http.ResponseWriter, _ *http.Request) {
	type exporter struct {
		ID     string `json:"exporterId"`
		Status string `json:"status"`
	}
	exporters := []exporter{}
	if !m.cluster.options.NoExporters {
		exporters = append(exporters, exporter{ID: exporterID, Status: "ENABLED"})
	}
	writeJSON(w, http.StatusOK, "application/json", exporters)
}

func (m *management) postRebalance(w http.ResponseWriter, _ *http.Request) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	m.cluster.rebalance()
	w.WriteHeader(http.StatusOK)
}

func (m *management) getLinks(w http.ResponseWriter, r *http.Request) {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	self := scheme + r.Host + m.cluster.options.BasePath
	type link struct {
		Href      string `json:"href"`
		Templated bool   `json:"templated"`
	}
	links := map[string]link{
		"self": {Href: self}, "partitions": {Href: self + "/partitions"},
		"partitions-operation":   {Href: self + "/partitions/{operation}", Templated: true},
		"exporting-operationKey": {Href: self + "/exporting/{operationKey}", Templated: true},
		"health":                 {Href: self + "/health"}, "prometheus": {Href: self + "/prometheus"},
	}
	if m.version.exportersEndpoint() {
		links["exporters"] = link{Href: self + "/exporters"}
	}
	if m.version.clusterEndpoint() {
		links["cluster"] = link{Href: self + "/cluster"}
	}
	writeJSON(w, http.StatusOK, actuatorJSON, map[string]any{"_links": links})
}

// writeError answers as Spring does when a handler throws, or when there is none.
func writeError(w http.ResponseWriter, r *http.Request, status int) {
	writeJSON(w, status, "application/json", map[string]any{
		"timestamp": time.Now().UTC(), "status": status, "error": http.StatusText(status), "path": r.URL.Path,
	})
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that has gone misses nothing
}
