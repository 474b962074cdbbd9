package zeebe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// errEmptyMap is the answer of a broker whose replicas cannot all be told (zeebe-facts.md 4.1).
var errEmptyMap = errors.New("it answered an empty map: what its replicas do is not known while one of them is " +
	"starting, inactive or changing its role")

// unsaid is a position that the broker left out or said null for. No log has it.
const unsaid = math.MinInt64

// replica is what is read of one replica in GET partitions. The rest of it (snapshots, the clock, the tree of healths)
// is skipped.
type replica struct {
	Role              string `json:"role"`
	ExporterPhase     string `json:"exporterPhase"`
	ProcessedPosition int64  `json:"processedPosition"`
	ExportedPosition  int64  `json:"exportedPosition"`
	Health            struct {
		Status string `json:"status"`
	} `json:"health"`
}

// decodePartitions decodes the answer to GET partitions: a map from partition id to replica, or where there are several
// tenants a map from tenant to such a map (zeebe-facts.md 4.1). Words that are not known and nulls become Unknown; what
// might hide a replica is an error. Readings come back by partition, at least one.
func decodePartitions(body []byte) ([]exporting.Reading, error) {
	readings, err := decodeReplicas(body, "", nil)
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

// decodeReplicas appends the replicas of one map. It goes key by key because a Go map would hide a key that comes
// twice.
func decodeReplicas(body []byte, tenant string, readings []exporting.Reading) ([]exporting.Reading, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, misread(err, body)
	}
	before := len(readings)
	var r replica // One for all of them, as it lives on the heap.
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, misread(err, body)
		}
		id, err := strconv.ParseInt(key, 10, 32)
		switch {
		case err == nil:
			r = replica{ProcessedPosition: unsaid, ExportedPosition: unsaid}
			if err := dec.Decode(&r); err != nil {
				return nil, misread(err, body)
			}
			reading, err := r.reading(exporting.PartitionID{Tenant: tenant, ID: int32(id)})
			if err != nil {
				return nil, err
			}
			readings = append(readings, reading)
		case tenant == "" && key != "" && plain(key) == nil:
			var ofTenant json.RawMessage
			if err := dec.Decode(&ofTenant); err != nil {
				return nil, misread(err, body)
			}
			if readings, err = decodeReplicas(ofTenant, key, readings); err != nil {
				return nil, fmt.Errorf("tenant %q: %w", excerpt(key, shortExcerpt), err)
			}
		default:
			return nil, fmt.Errorf("it answered the partition id %q, which is not a number", excerpt(key, shortExcerpt))
		}
	}
	if err := end(dec); err != nil {
		return nil, misread(err, body)
	}
	if len(readings) == before {
		return nil, errEmptyMap
	}
	return readings, nil
}

// end reads the closing brace and makes sure that nothing follows it.
func end(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text follows the end")
	}
	return nil
}

// reading translates a replica.
func (r *replica) reading(id exporting.PartitionID) (exporting.Reading, error) {
	switch {
	case id.ID <= 0:
		return exporting.Reading{}, fmt.Errorf("it answered the partition id %d, but they start at 1", id.ID)
	case r.Role == "" && r.ExporterPhase == "":
		return exporting.Reading{}, fmt.Errorf("it answered neither role nor exporter phase of %s", id)
	}
	return exporting.Reading{
		Partition: id,
		Role:      roleOf(r.Role),
		Phase:     phaseOf(r.ExporterPhase),
		Processed: positionOf(r.ProcessedPosition),
		Exported:  positionOf(r.ExportedPosition),
		Health:    healthOf(r.Health.Status),
	}, nil
}

func positionOf(v int64) exporting.Position {
	if v == unsaid {
		return exporting.Position{}
	}
	return exporting.At(v)
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
