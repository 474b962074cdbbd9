package embedded

import (
	"fmt"
	"os"
	"time"
)

// exportBatch bounds what one heartbeat exports, so that catching up after a pause holds nothing up.
const exportBatch = 1024

// sink is where a partition's records are exported to: a file with one JSON object a line, which outlives every leader.
type sink struct {
	root      *os.Root
	name      string // below the root
	partition int
	file      *os.File // nil until the first record
}

// write appends records to the file.
func (s *sink) write(records []record) error {
	if s.file == nil {
		file, err := s.root.OpenFile(s.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("opening the export file: %w", err)
		}
		s.file = file
	}
	var lines []byte
	for _, r := range records {
		lines = fmt.Appendf(lines, `{"partitionId":%d,"position":%d,"timestamp":%d,"recordType":"EVENT",`+
			`"valueType":"JOB","intent":"CREATED"}`+"\n", s.partition, r.position, r.timestamp)
	}
	if _, err := s.file.Write(lines); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return nil
}

func (s *sink) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// director is the exporter director of a leader. It is lost with the leadership, and what it only remembers with it.
type director struct {
	// soft is the flag by which exporters do not store what they acknowledge. It is not the phase, and may be left
	// behind by it (zeebe-facts.md 3.5 e).
	soft     bool
	exported int64 // the last position written to the sink
	acked    int64 // the last position acknowledged; stored unless soft
	flush    time.Time
}

// newDirector begins behind the stored position: whatever an earlier director exported beyond it is exported again.
func newDirector(r *replica) *director {
	begin := max(r.exported, r.partition.log.first()-1)
	return &director{soft: r.phase == SoftPaused, exported: begin, acked: begin}
}

// export is the leader's part of a heartbeat: read on, write out, acknowledge, store.
func (r *replica) export(now time.Time) error {
	d, phase := r.director, r.shownPhase()
	if phase == Closed {
		return nil
	}
	if phase != Paused {
		records, err := r.partition.log.read(d.exported+1, exportBatch)
		if err != nil {
			return err
		}
		if len(records) > 0 {
			if err := r.partition.sink.write(records); err != nil {
				return err
			}
			d.exported = records[len(records)-1].position
		}
	}
	// An exporter flushes what it has when its time comes, paused or not (zeebe-facts.md 3.2).
	if now.Before(d.flush) {
		return nil
	}
	d.flush = now.Add(r.partition.cluster.options.FlushInterval)
	d.acked = d.exported
	if d.soft {
		return nil
	}
	return r.store(d.acked)
}
