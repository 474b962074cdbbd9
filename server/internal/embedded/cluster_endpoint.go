package embedded

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// clusterView is GET cluster: the configured members, those that are down too (zeebe-facts.md 4.2).
type clusterView struct {
	Version       int64          `json:"version"`
	Brokers       []brokerView   `json:"brokers"`
	LastChange    *changeView    `json:"lastChange,omitempty"`
	PendingChange *pendingView   `json:"pendingChange,omitempty"`
	Routing       map[string]any `json:"routing,omitempty"`
}

type brokerView struct {
	ID            int             `json:"id"`
	State         string          `json:"state"`
	Version       int64           `json:"version"`
	LastUpdatedAt string          `json:"lastUpdatedAt"`
	Partitions    []partitionView `json:"partitions"`
}

type partitionView struct {
	ID       int                  `json:"id"`
	Tenant   string               `json:"physicalTenant,omitempty"` // where several are shown
	State    string               `json:"state"`
	Priority int                  `json:"priority"`
	Config   *partitionConfigView `json:"config,omitempty"`
}

type partitionConfigView struct {
	Exporting exportingView `json:"exporting"`
}

type exportingView struct {
	Exporters []exporterView `json:"exporters"`
	State     Phase          `json:"state,omitempty"` // from 8.10 on
}

type exporterView struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

type changeView struct {
	ID          int64     `json:"id"`
	Status      string    `json:"status"`
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"`
}

type pendingView struct {
	ID              int64           `json:"id"`
	Status          string          `json:"status"`
	StartedAt       time.Time       `json:"startedAt"`
	InternalVersion int64           `json:"internalVersion"`
	Completed       []operationView `json:"completed"`
	Pending         []operationView `json:"pending"`
}

type operationView struct {
	Operation   string `json:"operation"`
	BrokerID    int    `json:"brokerId"`
	PartitionID int    `json:"partitionId"`
}

// getCluster shows the partitions of every tenant, unless one is asked for.
func (m *management) getCluster(w http.ResponseWriter, r *http.Request) {
	tenants := m.cluster.options.tenants()
	if tenant := r.URL.Query().Get("physicalTenant"); tenant != "" {
		tenants = []string{tenant}
	}
	m.cluster.mu.Lock()
	view := m.clusterView(tenants)
	m.cluster.mu.Unlock()
	writeJSON(w, http.StatusOK, "application/json", view)
}

// clusterView marks the partitions of several tenants with their tenant, and leaves the changes to GET cluster/changes
// then, because they are not of one tenant.
func (m *management) clusterView(tenants []string) clusterView {
	c := m.cluster
	several := len(tenants) > 1
	view := clusterView{Version: c.configuration.version}
	for _, b := range c.brokers {
		broker := brokerView{
			ID: b.id, State: "ACTIVE", Version: 1, LastUpdatedAt: "2026-01-01T00:00:00Z", Partitions: []partitionView{},
		}
		for _, r := range b.replicas {
			if slices.Contains(tenants, r.partition.tenant) {
				broker.Partitions = append(broker.Partitions, m.partitionView(r, several))
			}
		}
		view.Brokers = append(view.Brokers, broker)
	}
	if plan := c.configuration.pending; plan != nil && !several {
		view.PendingChange = plan.pendingView(c.configuration.version)
	}
	if n := len(c.configuration.done); n > 0 && !several {
		view.LastChange = c.configuration.done[n-1].view()
	}
	if m.version.from(6) {
		view.Routing = map[string]any{
			"version":            1,
			"requestHandling":    map[string]any{"strategy": "AllPartitions", "partitionCount": c.options.Partitions},
			"messageCorrelation": map[string]any{"strategy": "HashMod", "partitionCount": c.options.Partitions},
		}
	}
	return view
}

func (m *management) partitionView(r *replica, withTenant bool) partitionView {
	view := partitionView{ID: r.partition.id, State: "ACTIVE", Priority: r.priority}
	if withTenant {
		view.Tenant = r.partition.tenant
	}
	if !m.version.exportersEndpoint() {
		return view
	}
	exporting := exportingView{Exporters: []exporterView{}}
	if !m.cluster.options.NoExporters {
		exporting.Exporters = append(exporting.Exporters, exporterView{ID: exporterID, State: "ENABLED"})
	}
	if m.version.planned() {
		exporting.State = r.configured
	}
	view.Config = &partitionConfigView{Exporting: exporting}
	return view
}

func (m *management) getChanges(w http.ResponseWriter, _ *http.Request) {
	m.cluster.mu.Lock()
	views := m.changeViews()
	m.cluster.mu.Unlock()
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"changes": views})
}

func (m *management) getChange(w http.ResponseWriter, r *http.Request) {
	m.cluster.mu.Lock()
	views := m.changeViews()
	m.cluster.mu.Unlock()
	for _, view := range views {
		if strconv.FormatInt(view.ID, 10) == r.PathValue("change") {
			writeJSON(w, http.StatusOK, "application/json", view)
			return
		}
	}
	writeError(w, r, http.StatusNotFound)
}

// changeViews are the pending change and the past ones, the newest first.
func (m *management) changeViews() []*pendingView {
	views := []*pendingView{}
	if plan := m.cluster.configuration.pending; plan != nil {
		views = append(views, plan.pendingView(m.cluster.configuration.version))
	}
	for _, plan := range slices.Backward(m.cluster.configuration.done) {
		views = append(views, plan.pendingView(m.cluster.configuration.version))
	}
	return views
}

func (p *changePlan) status() string {
	if p.completed.IsZero() {
		return "IN_PROGRESS"
	}
	return "COMPLETED"
}

func (p *changePlan) view() *changeView {
	return &changeView{ID: p.id, Status: p.status(), StartedAt: p.started.UTC(), CompletedAt: p.completed.UTC()}
}

func (p *changePlan) pendingView(version int64) *pendingView {
	view := &pendingView{
		ID: p.id, Status: p.status(), StartedAt: p.started.UTC(), InternalVersion: version,
		Completed: []operationView{}, Pending: []operationView{},
	}
	for i, o := range p.operations {
		operation := operationView{Operation: o.kind, BrokerID: o.replica.broker.id, PartitionID: o.replica.partition.id}
		if i < p.next {
			view.Completed = append(view.Completed, operation)
		} else {
			view.Pending = append(view.Pending, operation)
		}
	}
	return view
}
