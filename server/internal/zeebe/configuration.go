package zeebe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// left is the state of brokers and partitions that were removed and are still listed.
const left = "LEFT"

// configuration is what the brokers are configured to be: their answer to GET cluster (zeebe-facts.md 4.2). Its
// versions count changes of the configuration and are nothing like the brokers' own.
type configuration struct {
	// listed are the ids of all brokers, hosts those of the brokers that have a replica; both by id.
	listed, hosts []exporting.BrokerID
	// expected partitions by id, their members by id.
	expected []exporting.ExpectedPartition
	// tenants are told where there are several.
	tenants bool
	// pending changes; GET cluster does not tell them where there are several tenants (changes asked).
	pending []change
}

// clusterAnswer is what is read of GET cluster.
type clusterAnswer struct {
	Brokers []struct {
		ID         foreignID `json:"id"`
		State      string    `json:"state"`
		Partitions []struct {
			ID     int32  `json:"id"`
			Tenant string `json:"physicalTenant"`
			State  string `json:"state"`
		} `json:"partitions"`
	} `json:"brokers"`
	PendingChange *change `json:"pendingChange"`
	Tenants       []struct {
		ID string `json:"id"`
	} `json:"physicalTenants"`
}

// change is a change of the configuration.
type change struct {
	ID      json.Number `json:"id"`
	Status  string      `json:"status"`
	Pending []operation `json:"pending"`
}

// operation is one step of a change.
type operation struct {
	Operation string    `json:"operation"`
	Broker    foreignID `json:"brokerId"`
	Partition int32     `json:"partitionId"`
	State     string    `json:"exportingState"`
}

// foreignID is a broker's id: a number, or in clusters with zones a string. Empty where it is absent or null.
type foreignID exporting.BrokerID

// UnmarshalJSON takes a number, a string or null.
func (id *foreignID) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*id = foreignID(text)
		return plain(text)
	}
	var number int64
	if err := json.Unmarshal(data, &number); err != nil {
		return fmt.Errorf("it answered the broker id %s, which is neither a number nor a string", quoted(data))
	}
	*id = foreignID(strconv.FormatInt(number, 10))
	return nil
}

// plain refuses a foreign name that would disturb a terminal or a log.
func plain(name string) error {
	if name != excerpt(name, longExcerpt) {
		return fmt.Errorf("it answered the name %q", excerpt(name, shortExcerpt))
	}
	return nil
}

// decodeCluster decodes the answer to GET cluster. A success has at least one expected replica.
func decodeCluster(body []byte) (configuration, error) {
	var a clusterAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return configuration{}, misread(err, body)
	}
	tenants, err := a.tenants()
	if err != nil {
		return configuration{}, err
	}
	c := configuration{tenants: len(tenants) > 1}
	members := make(map[exporting.PartitionID][]exporting.BrokerID)
	for _, b := range a.Brokers {
		if b.ID == "" {
			return configuration{}, errors.New("it answered a broker without an id")
		}
		id := exporting.BrokerID(b.ID)
		c.listed = append(c.listed, id)
		if b.State == left {
			continue
		}
		for _, p := range b.Partitions {
			if p.State == left {
				continue
			}
			partition := exporting.PartitionID{ID: p.ID}
			if c.tenants {
				partition.Tenant = p.Tenant
			}
			if p.ID <= 0 || slices.Contains(members[partition], id) {
				return configuration{}, fmt.Errorf("it answered %s of broker %s twice or with an impossible id", partition, id)
			}
			members[partition] = append(members[partition], id)
		}
	}
	slices.SortFunc(c.listed, exporting.CompareBrokers)
	for i := 1; i < len(c.listed); i++ {
		if c.listed[i] == c.listed[i-1] {
			return configuration{}, fmt.Errorf("it answered broker %s twice", c.listed[i])
		}
	}
	if len(members) == 0 {
		return configuration{}, fmt.Errorf("it answered no replica of any partition: %s", quoted(body))
	}
	for _, id := range slices.SortedFunc(maps.Keys(members), exporting.PartitionID.Compare) {
		brokers := slices.SortedFunc(slices.Values(members[id]), exporting.CompareBrokers)
		c.expected = append(c.expected, exporting.ExpectedPartition{ID: id, Replicas: len(brokers), Members: brokers})
		c.hosts = append(c.hosts, brokers...)
	}
	slices.SortFunc(c.hosts, exporting.CompareBrokers)
	c.hosts = slices.Compact(c.hosts)
	if a.PendingChange != nil && a.PendingChange.isPending() {
		c.pending = []change{*a.PendingChange}
	}
	return c, nil
}

// tenants returns the tenants that the answer names. A cluster of one tenant speaks of it in some places and not in
// others (GET partitions is flat then), so its name means nothing; where there are several, every partition must
// have one.
func (a *clusterAnswer) tenants() (map[string]bool, error) {
	named, unnamed := make(map[string]bool), false
	for _, t := range a.Tenants {
		named[t.ID] = true
	}
	for _, b := range a.Brokers {
		for _, p := range b.Partitions {
			if p.Tenant == "" {
				unnamed = true
				continue
			}
			named[p.Tenant] = true
		}
	}
	for name := range named {
		if err := plain(name); err != nil {
			return nil, err
		}
	}
	if len(named) > 1 && unnamed {
		return nil, errors.New("it answered partitions without a tenant beside others that have one")
	}
	return named, nil
}

// decodeChanges decodes the answer to GET cluster/changes, which exists from 8.10 on, and returns the pending ones. It
// is an object with the list in it; the list alone is taken too.
func decodeChanges(body []byte) ([]change, error) {
	var a struct {
		Changes *[]change `json:"changes"`
	}
	var into any = &a
	if text := bytes.TrimSpace(body); len(text) > 0 && text[0] == '[' {
		into = &a.Changes
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, misread(err, body)
	}
	if a.Changes == nil {
		return nil, misread(nil, body)
	}
	return slices.DeleteFunc(*a.Changes, func(c change) bool { return !c.isPending() }), nil
}

// isPending reports whether the change may still be going on: a status that is not known may mean it.
func (c *change) isPending() bool {
	switch c.Status {
	case "COMPLETED", "FAILED", "CANCELLED":
		return false
	}
	return true
}

// describe says in words what is pending, and which brokers it waits for; empty where nothing is.
func (c *configuration) describe() (words string, members []exporting.BrokerID) {
	parts := make([]string, 0, len(c.pending))
	for _, p := range c.pending {
		parts = append(parts, p.words())
		for _, o := range p.Pending {
			if o.Broker != "" {
				members = append(members, exporting.BrokerID(o.Broker))
			}
		}
	}
	slices.SortFunc(members, exporting.CompareBrokers)
	return excerpt(strings.Join(parts, "; "), longExcerpt), slices.Compact(members)
}

// words is "change 12 (EXPORTING_STATE_CHANGE to PAUSED of partition 1 on broker 2, and 5 steps more)".
func (c *change) words() string {
	name := "a change of their configuration"
	if c.ID != "" {
		name = "change " + c.ID.String() + " of their configuration"
	}
	if len(c.Pending) == 0 {
		return name
	}
	next := c.Pending[0]
	var b strings.Builder
	b.WriteString(cmp.Or(next.Operation, "a step without a name"))
	if next.State != "" {
		b.WriteString(" to " + next.State)
	}
	if next.Partition != 0 {
		fmt.Fprintf(&b, " of partition %d", next.Partition)
	}
	if next.Broker != "" {
		fmt.Fprintf(&b, " on broker %s", next.Broker)
	}
	if more := len(c.Pending) - 1; more > 0 {
		fmt.Fprintf(&b, ", and %d more", more)
	}
	return fmt.Sprintf("%s (%s)", name, b.String())
}
