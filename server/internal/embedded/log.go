package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// record is an entry of a partition's log. Positions count from 1 without a gap.
type record struct {
	position  int64
	timestamp int64 // milliseconds since 1970
}

// recordSize is a record's size on disk. All records have the same, so that a position tells the place in the file.
const recordSize = 16

// recordLog is a partition's log: append-only, in segments of a fixed number of records, each a file named after the
// position before its first record. It is not synced to the disk: it lives as long as the tests' or the user's trial.
type recordLog struct {
	root           *os.Root
	dir            string // below the root
	segmentRecords int64
	segments       []int64 // bases, ascending: segment i holds base+1 to base+segmentRecords
	last           int64   // the last position written, 0 if there is none

	writer segmentFile
	reader segmentFile
}

// segmentFile is the open file of the segment that is written or read.
type segmentFile struct {
	base int64
	file *os.File // nil if none is open
}

// openLog opens the log in a directory, which is made when the first record comes. A record that an earlier process
// wrote by half is dropped.
func openLog(root *os.Root, dir string, segmentRecords int) (*recordLog, error) {
	l := &recordLog{root: root, dir: dir, segmentRecords: int64(segmentRecords)}
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	for _, entry := range entries {
		base, err := strconv.ParseInt(strings.TrimSuffix(entry.Name(), ".log"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("opening a log: %s is no segment: use a directory of its own", entry.Name())
		}
		l.segments = append(l.segments, base)
	}
	if len(l.segments) == 0 {
		return l, nil
	}
	slices.Sort(l.segments)
	base := l.segments[len(l.segments)-1]
	info, err := root.Stat(l.path(base))
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	l.last = base + info.Size()/recordSize
	return l, nil
}

func (l *recordLog) path(base int64) string {
	return path.Join(l.dir, fmt.Sprintf("%020d.log", base))
}

// first is the first position that is still in the log.
func (l *recordLog) first() int64 {
	if len(l.segments) == 0 {
		return 1
	}
	return l.segments[0] + 1
}

// append writes the next record.
func (l *recordLog) append(timestamp int64) error {
	if n := len(l.segments); n == 0 || l.last >= l.segments[n-1]+l.segmentRecords {
		if err := l.root.MkdirAll(l.dir, 0o750); err != nil {
			return fmt.Errorf("making the log's directory: %w", err)
		}
		l.segments = append(l.segments, l.last)
	}
	base := l.segments[len(l.segments)-1]
	if err := l.writer.open(l.root, l.path(base), base, os.O_CREATE|os.O_WRONLY); err != nil {
		return err
	}
	b, err := binary.Append(nil, binary.BigEndian, []int64{l.last + 1, timestamp})
	if err == nil {
		_, err = l.writer.file.WriteAt(b, (l.last-base)*recordSize)
	}
	if err != nil {
		return fmt.Errorf("writing the log: %w", err)
	}
	l.last++
	return nil
}

// read returns records from a position on, at most as many as asked for and none beyond the segment's end: an empty
// answer means that there is nothing more yet.
func (l *recordLog) read(from int64, limit int) ([]record, error) {
	if from > l.last {
		return nil, nil
	}
	i, _ := slices.BinarySearch(l.segments, from) // the first segment that begins behind it
	if i == 0 {
		return nil, fmt.Errorf("position %d was compacted: the log begins at %d", from, l.first())
	}
	base := l.segments[i-1]
	if err := l.reader.open(l.root, l.path(base), base, os.O_RDONLY); err != nil {
		return nil, err
	}
	end := min(l.last, base+l.segmentRecords, from+int64(limit)-1)
	place := io.NewSectionReader(l.reader.file, (from-1-base)*recordSize, (end-from+1)*recordSize)
	fields := make([]int64, 2*(end-from+1))
	if err := binary.Read(place, binary.BigEndian, fields); err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	records := make([]record, 0, end-from+1)
	for r := range slices.Chunk(fields, 2) {
		records = append(records, record{position: r[0], timestamp: r[1]})
	}
	return records, nil
}

// compact deletes the segments whose every record is at or below a bound. The segment that is written stays.
func (l *recordLog) compact(bound int64) error {
	for len(l.segments) > 1 && l.segments[1] <= bound {
		if err := l.root.Remove(l.path(l.segments[0])); err != nil {
			return fmt.Errorf("compacting the log: %w", err)
		}
		l.segments = l.segments[1:]
	}
	return nil
}

func (l *recordLog) close() error {
	return errors.Join(l.writer.close(), l.reader.close())
}

// open makes the file be the open one.
func (f *segmentFile) open(root *os.Root, name string, base int64, flag int) error {
	if f.file != nil && f.base == base {
		return nil
	}
	if err := f.close(); err != nil {
		return err
	}
	file, err := root.OpenFile(name, flag, 0o600)
	if err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	f.base, f.file = base, file
	return nil
}

func (f *segmentFile) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
