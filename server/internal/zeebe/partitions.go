package zeebe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// errEmptyMap is the answer of a broker whose replicas cannot all be told (zeebe-facts.md 4.1).
var errEmptyMap = errors.New("it answered an empty map: what its replicas do is not known while one of them is " +
	"starting, inactive or changing its role")

// decodePartitions decodes the answer to GET partitions: a map from partition id to replica, or where there are several
// tenants a map from tenant to such a map (zeebe-facts.md 4.1). Words that are not known and nulls become Unknown; what
// might hide a replica is an error. Readings come back by partition, at least one.
func decodePartitions(body []byte) ([]exporting.Reading, error) {
	text := bytes.TrimSpace(body)
	if len(text) == 0 || text[0] != '{' || !json.Valid(text) {
		return nil, misread(json.Unmarshal(text, new(map[string]json.RawMessage)), body)
	}
	readings, err := decodeReplicas(text, "", nil)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(readings, func(a, b exporting.Reading) int { return a.Partition.Compare(b.Partition) })
	for i := 1; i < len(readings); i++ {
		if readings[i].Partition == readings[i-1].Partition {
			return nil, fmt.Errorf("it answered %s twice", readings[i].Partition)
		}
	}
	return readings, nil
}

// decodeReplicas appends the replicas of one map.
func decodeReplicas(object []byte, tenant string, readings []exporting.Reading) ([]exporting.Reading, error) {
	before := len(readings)
	for quoted, value := range members(object) {
		key := unquote(quoted)
		id, err := strconv.ParseInt(key, 10, 32)
		switch {
		case err == nil:
			reading, err := decodeReplica(value, exporting.PartitionID{Tenant: tenant, ID: int32(id)})
			if err != nil {
				return nil, err
			}
			readings = append(readings, reading)
		case tenant == "" && key != "" && plain(key) == nil && value[0] == '{':
			if readings, err = decodeReplicas(value, key, readings); err != nil {
				return nil, fmt.Errorf("tenant %q: %w", excerpt(key, shortExcerpt), err)
			}
		case value[0] != '{':
			return nil, misread(nil, object)
		default:
			return nil, fmt.Errorf("it answered the partition id %q, which is not a number", excerpt(key, shortExcerpt))
		}
	}
	if len(readings) == before {
		return nil, errEmptyMap
	}
	return readings, nil
}

// decodeReplica reads what is needed of one replica. The rest (snapshots, the clock, the tree of healths) is passed over.
func decodeReplica(value []byte, id exporting.PartitionID) (exporting.Reading, error) {
	if value[0] != '{' && value[0] != 'n' {
		return exporting.Reading{}, misread(nil, value)
	}
	reading := exporting.Reading{Partition: id}
	var role, phase, health string
	if value[0] == '{' {
		for key, v := range members(value) {
			var err error
			switch string(key) {
			case `"role"`:
				role, err = textOf("role", v)
			case `"exporterPhase"`:
				phase, err = textOf("exporterPhase", v)
			case `"processedPosition"`:
				reading.Processed.Value, reading.Processed.Known, err = numberOf("processedPosition", v)
			case `"exportedPosition"`:
				reading.Exported.Value, reading.Exported.Known, err = numberOf("exportedPosition", v)
			case `"health"`:
				health, err = statusOf(v)
			}
			if err != nil {
				return exporting.Reading{}, err
			}
		}
	}
	switch {
	case id.ID <= 0:
		return exporting.Reading{}, fmt.Errorf("it answered the partition id %d, but they start at 1", id.ID)
	case role == "" && phase == "":
		return exporting.Reading{}, fmt.Errorf("it answered neither role nor exporter phase of %s", id)
	}
	reading.Role, reading.Phase, reading.Health = roleOf(role), phaseOf(phase), healthOf(health)
	return reading, nil
}

// statusOf is the status in a replica's health; empty where there is none.
func statusOf(health []byte) (status string, err error) {
	switch health[0] {
	case 'n':
		return "", nil
	case '{':
	default:
		return "", fmt.Errorf("it answered a %s for health", kindOf(health))
	}
	for key, value := range members(health) {
		if string(key) == `"status"` {
			if status, err = textOf("health.status", value); err != nil {
				return "", err
			}
		}
	}
	return status, nil
}

func phaseOf(word string) exporting.Phase {
	switch word {
	case "EXPORTING":
		return exporting.PhaseExporting
	case "SOFT_PAUSED":
		return exporting.PhaseSoftPaused
	case "PAUSED":
		return exporting.PhasePaused
	case "CLOSED":
		return exporting.PhaseClosed
	}
	return exporting.PhaseUnknown
}

func roleOf(word string) exporting.Role {
	switch word {
	case "LEADER":
		return exporting.RoleLeader
	case "FOLLOWER":
		return exporting.RoleFollower
	case "INACTIVE":
		return exporting.RoleInactive
	case "CANDIDATE":
		return exporting.RoleCandidate
	case "PASSIVE":
		return exporting.RolePassive
	case "PROMOTABLE":
		return exporting.RolePromotable
	}
	return exporting.RoleUnknown
}

func healthOf(word string) exporting.Health {
	switch word {
	case "HEALTHY":
		return exporting.HealthHealthy
	case "UNHEALTHY":
		return exporting.HealthUnhealthy
	case "DEAD":
		return exporting.HealthDead
	}
	return exporting.HealthUnknown
}

// misread says what is wrong with a body that should have been JSON of a known form.
func misread(err error, body []byte) error {
	var (
		wrongType *json.UnmarshalTypeError
		syntax    *json.SyntaxError
	)
	text := bytes.TrimSpace(body)
	switch {
	case len(text) == 0:
		return errors.New("it answered nothing")
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fmt.Errorf("it answered a %s for %s", wrongType.Value, excerpt(wrongType.Field, shortExcerpt))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input":
		return fmt.Errorf("its answer is cut off: %s", quoted(body))
	}
	return fmt.Errorf("it answered something else: %s: check that the address is the broker's management port",
		quoted(body))
}

// quoted is the beginning of a body that was not understood.
func quoted(body []byte) string {
	// Bytes beyond these cannot be shown anyway: a rune has four at most.
	return `"` + excerpt(string(body[:min(len(body), 4*shortExcerpt+1)]), shortExcerpt) + `"`
}
