package embedded

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// replica is a partition on a broker.
type replica struct {
	partition *Partition
	broker    *Broker
	priority  int
	dir       string // below the cluster's directory

	phase    Phase // what was asked of it
	exported int64 // the stored exported position, -1 before the first
	position *os.File
	// failed is why the partition could not start on the broker; nil if it did.
	failed   error
	director *director // of the leader
	// configured is the phase in the cluster's configuration from 8.10 on; empty is UNKNOWN.
	configured Phase
}

func newReplica(p *Partition, b *Broker, priority int) *replica {
	// As in Zeebe, except that the tenant is part of the name: <data>/raft-partition/partitions/<id>.
	name := strconv.Itoa(p.id)
	if p.tenant != "" {
		name = p.tenant + "-" + name
	}
	dir := path.Join(b.dir(), "raft-partition", "partitions", name)
	return &replica{partition: p, broker: b, priority: priority, dir: dir, exported: -1}
}

// start reads the replica's state from the disk, as its broker does when it starts. A partition whose pause state
// cannot be read does not start on this broker, and nothing else is affected (zeebe-facts.md 3.5 f).
func (r *replica) start() {
	r.failed = nil
	r.exported, r.failed = r.loadPosition()
	if r.failed != nil {
		return
	}
	if r.broker.version.planned() {
		r.migrate()
		r.change(r.configured)
		return
	}
	var phase Phase
	phase, r.failed = r.readPauseFile()
	r.change(phase)
}

// change sets the replica's phase.
func (r *replica) change(phase Phase) {
	before := r.phase
	r.phase = phase
	if told := r.partition.cluster.options.OnPhase; told != nil && phase != before {
		told(r.truth(), before)
	}
}

// migrate takes a phase over from the pause file of an older version, once; a file that cannot be understood is ignored
// (zeebe-facts.md 3.4).
func (r *replica) migrate() {
	if r.configured != "" {
		return
	}
	r.configured = Exporting
	if phase, err := r.readPauseFile(); err == nil {
		r.configured = phase
	}
}

// stop forgets what is only in memory.
func (r *replica) stop() {
	r.director = nil
	if err := r.close(); err != nil {
		r.partition.cluster.log.Error("embedded replica does not close", "dir", r.dir, "error", err)
	}
}

// active reports whether the replica takes part: its broker is up and its partition started there.
func (r *replica) active() bool {
	return r.broker.up && r.failed == nil && !r.broker.inactive(r.partition.id)
}

func (r *replica) role() Role {
	switch {
	case !r.broker.up:
		return ""
	case !r.active():
		return Inactive
	case r.partition.leader == nil:
		return Candidate
	case r.partition.leader == r:
		return Leader
	}
	return Follower
}

// shownPhase is the phase of the replica's director, which does not exist without exporters.
func (r *replica) shownPhase() Phase {
	if r.partition.cluster.options.NoExporters || r.broker.closedForGood() {
		return Closed
	}
	return r.phase
}

// truth is the replica as it is, or if its broker is down as it would start.
func (r *replica) truth() Replica {
	phase := r.shownPhase()
	switch {
	case !r.broker.up && r.broker.version.planned():
		phase = r.configured
	case !r.broker.up:
		phase, _ = r.readPauseFile() // empty where the partition would not start
	case r.failed != nil:
		phase = ""
	}
	return Replica{
		Tenant: r.partition.tenant, Partition: r.partition.id, Broker: r.broker.id,
		Role: r.role(), Phase: phase, Exported: r.exported,
	}
}

// ask brings the replica to a phase below 8.10: first its pause file, then its director. If the file cannot be written
// nothing happens at all, and nobody is told (zeebe-facts.md 3.5 a).
func (r *replica) ask(phase Phase) {
	if r.failed != nil {
		return
	}
	if err := r.writePauseFile(phase); err != nil {
		r.partition.cluster.log.Warn("embedded replica cannot store its pause state", "error", err)
		return
	}
	r.enter(phase)
}

// configure brings the replica to its configured phase, from 8.10 on.
func (r *replica) configure() {
	if r.failed == nil {
		r.enter(r.configured)
	}
}

// enter is the director's change of phase. A hard pause leaves the exporters' soft flag alone, and below 8.10 resuming
// clears it only out of a soft pause: after soft, hard, resume the replica exports and stores nothing
// (zeebe-facts.md 3.5 e).
func (r *replica) enter(phase Phase) {
	before := r.phase
	r.change(phase)
	d := r.director
	if d == nil {
		return
	}
	switch phase {
	case SoftPaused:
		d.soft = true
	case Exporting:
		if before == SoftPaused || r.broker.version.planned() {
			d.soft = false
			if err := r.store(d.acked); err != nil {
				r.partition.cluster.log.Error("embedded replica cannot store its position", "error", err)
			}
		}
	case Paused, Closed:
	}
}

func (r *replica) root() *os.Root       { return r.partition.cluster.root }
func (r *replica) pauseFile() string    { return path.Join(r.dir, ".exporterPaused") }
func (r *replica) positionFile() string { return path.Join(r.dir, "exported-position") }

// store stores an exported position.
func (r *replica) store(position int64) error {
	if position == r.exported || position <= 0 {
		return nil // nothing was exported yet
	}
	if r.position == nil {
		if err := r.root().MkdirAll(r.dir, 0o750); err != nil {
			return fmt.Errorf("making a replica's directory: %w", err)
		}
		file, err := r.root().OpenFile(r.positionFile(), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("opening a position: %w", err)
		}
		r.position = file
	}
	// A fixed width, so that a lower position does not leave digits of a higher one behind.
	if _, err := r.position.WriteAt(fmt.Appendf(nil, "%020d", position), 0); err != nil {
		return fmt.Errorf("storing a position: %w", err)
	}
	r.exported = position
	return nil
}

func (r *replica) loadPosition() (int64, error) {
	text, err := r.root().ReadFile(r.positionFile())
	if errors.Is(err, os.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("loading a position: %w", err)
	}
	position, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return -1, fmt.Errorf("loading a position from %s: %w", r.positionFile(), err)
	}
	return position, nil
}

func (r *replica) close() error {
	if r.position == nil {
		return nil
	}
	err := r.position.Close()
	r.position = nil
	return err
}

// readPauseFile reads a replica's phase: no file is EXPORTING, a blank one PAUSED, as before there was a soft pause,
// and any other text is an error at which the partition does not start (zeebe-facts.md 3.3).
func (r *replica) readPauseFile() (Phase, error) {
	text, err := r.root().ReadFile(r.pauseFile())
	if errors.Is(err, os.ErrNotExist) {
		return Exporting, nil
	}
	if err != nil {
		return "", fmt.Errorf("reading a pause state: %w", err)
	}
	switch string(text) {
	case string(SoftPaused):
		return SoftPaused, nil
	case string(Paused), "":
		return Paused, nil
	default:
		return "", fmt.Errorf("no pause state is called %q: %s", text, r.pauseFile())
	}
}

// writePauseFile writes a replica's phase. It does not truncate the file, on purpose: PAUSED over SOFT_PAUSED leaves
// PAUSEDAUSED, as the brokers below 8.10 do (zeebe-facts.md 3.5 f).
func (r *replica) writePauseFile(phase Phase) error {
	if phase == Exporting {
		if err := r.root().Remove(r.pauseFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing a pause state: %w", err)
		}
		return nil
	}
	if err := r.root().MkdirAll(r.dir, 0o750); err != nil {
		return fmt.Errorf("making a replica's directory: %w", err)
	}
	file, err := r.root().OpenFile(r.pauseFile(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing a pause state: %w", err)
	}
	_, err = file.WriteString(string(phase))
	return errors.Join(err, file.Close())
}
