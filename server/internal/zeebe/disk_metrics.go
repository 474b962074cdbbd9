package zeebe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// The metrics of a volume, by the label path: Micrometer's disk.free, which is what the broker may use, and disk.total.
const (
	freeMetric  = "disk_free_bytes"
	totalMetric = "disk_total_bytes"
)

const (
	// maxMetrics bounds all metrics of a broker. One with hundreds of partitions tells a few megabytes.
	maxMetrics = 32 << 20
	// maxLine bounds a line of them. Longer ones are passed over, unless they are of a disk.
	maxLine = 16 << 10
	// maxVolumes is how many paths an error names.
	maxVolumes = 5
)

// errNotRead is an answer that was not read to its end.
var errNotRead = errors.New("the answer could not be read to its end")

// decodeDisk finds the volume of a path in metrics, in Prometheus' text format or as OpenMetrics, which has an end mark.
// Both its numbers must be there, possible and told once, and the answer must be whole: everything else is an error.
func decodeDisk(body io.Reader, path string, marked bool) (exporting.Disk, error) {
	limited := &io.LimitedReader{R: body, N: maxMetrics + 1}
	v := &volume{path: trimPath(path)}
	err := eachLine(bufio.NewReaderSize(limited, maxLine), v.take)
	switch {
	case limited.N == 0:
		return exporting.Disk{}, fmt.Errorf("its metrics are larger than %d MiB", maxMetrics>>20)
	case err != nil:
		return exporting.Disk{}, err
	case marked && !v.ended:
		return exporting.Disk{}, errCutOff
	}
	return v.disk()
}

var errCutOff = errors.New("its metrics are cut off")

// eachLine walks over the lines, without their ends, and tells of each whether only its beginning fits. The last line must
// end as the others do, but for the mark of OpenMetrics: a number that is cut off is another number.
func eachLine(r *bufio.Reader, take func(line []byte, long bool) error) error {
	inside := false // of a line that is too long
	for {
		line, err := r.ReadSlice('\n')
		ended, long := errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull)
		switch {
		case err != nil && !ended && !long:
			return fmt.Errorf("%w: %w", errNotRead, err)
		case ended && (inside || len(line) > 0 && string(line) != endMark):
			return errCutOff
		case !inside:
			if err := take(bytes.TrimSuffix(line, []byte("\n")), long); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		inside = long
	}
}

const endMark = "# EOF"

// volume is what metrics tell of the disk of one path.
type volume struct {
	path        string
	free, total sample
	others      []string // paths of other disks
	ended       bool     // by OpenMetrics' mark
}

// sample is a number that is told once, or again the same.
type sample struct {
	value float64
	known bool
}

// take takes a line. Those of other metrics are not looked into.
func (v *volume) take(line []byte, long bool) error {
	text := bytes.TrimLeft(line, " \t")
	into, rest := &v.free, []byte(nil)
	switch {
	case string(line) == endMark:
		v.ended = true
		return nil
	case bytes.HasPrefix(text, []byte(freeMetric)):
		rest = text[len(freeMetric):]
	case bytes.HasPrefix(text, []byte(totalMetric)):
		into, rest = &v.total, text[len(totalMetric):]
	}
	rest = bytes.TrimLeft(rest, " \t")
	if len(rest) == 0 || rest[0] != '{' { // Another metric, or a disk without a path, which could be any.
		return nil
	}
	path, value, ok := pathOf(string(rest[1:]))
	switch {
	case !ok || long:
		return fmt.Errorf("its metrics make no sense: %s", quoted(text))
	case trimPath(path) != v.path:
		if path != "" && !slices.Contains(v.others, path) && len(v.others) < maxVolumes {
			v.others = append(v.others, path)
		}
		return nil
	}
	return into.set(value, text)
}

// set takes the value of a sample, and what may stand behind it, such as a time.
func (s *sample) set(text string, line []byte) error {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return fmt.Errorf("its metrics make no sense: %s", quoted(line))
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	switch {
	case err != nil, !(value >= 0 && value < math.MaxInt64): // Also what is no number.
		return fmt.Errorf("its metrics tell of a disk of %s bytes", excerpt(fields[0], shortExcerpt))
	case s.known && value != s.value:
		return fmt.Errorf("its metrics tell twice of one disk: %s", quoted(line))
	}
	*s = sample{value, true}
	return nil
}

// disk is what was told, if it is enough. Java tells of 0 bytes where a path does not exist.
func (v *volume) disk() (exporting.Disk, error) {
	switch {
	case !v.free.known && !v.total.known && len(v.others) == 0:
		return exporting.Disk{}, fmt.Errorf("its metrics tell of no disk: management.metrics.system.diskspace.paths must have %q",
			excerpt(v.path, longExcerpt))
	case !v.free.known && !v.total.known:
		return exporting.Disk{}, fmt.Errorf("its metrics tell of no disk %q, but of %s: exporting.guard.disk-path must be one of "+
			"management.metrics.system.diskspace.paths", excerpt(v.path, longExcerpt), excerpt(strings.Join(v.others, ", "), longExcerpt))
	case !v.free.known || !v.total.known:
		return exporting.Disk{}, fmt.Errorf("its metrics tell half of the disk %q: both %s and %s are needed",
			excerpt(v.path, longExcerpt), freeMetric, totalMetric)
	case v.total.value < 1 || v.free.value > v.total.value:
		return exporting.Disk{}, fmt.Errorf("its metrics tell of %.0f free bytes of %.0f on %q: does that path exist?", v.free.value,
			v.total.value, excerpt(v.path, longExcerpt))
	}
	return exporting.Disk{Free: int64(v.free.value), Total: int64(v.total.value)}, nil
}

// trimPath lets a path that ends with a slash name the same volume as one that does not.
func trimPath(path string) string {
	if trimmed := strings.TrimRight(path, `/\`); trimmed != "" {
		return trimmed
	}
	return path
}

// pathOf reads labels up to their closing brace, and returns the value of the label path, empty if there is none, and what
// comes behind the brace.
func pathOf(labels string) (path, rest string, ok bool) {
	for {
		labels = strings.TrimLeft(labels, " \t,")
		if rest, ended := strings.CutPrefix(labels, "}"); ended {
			return path, rest, true
		}
		name, quotedValue, found := strings.Cut(labels, "=")
		if !found {
			return "", "", false
		}
		var value string
		if value, labels, found = labelValue(strings.TrimLeft(quotedValue, " \t")); !found {
			return "", "", false
		}
		if strings.TrimSpace(name) == "path" {
			path = value
		}
	}
}

// labelValue reads a quoted value, in which backslashes, quotes and line feeds are escaped.
func labelValue(text string) (value, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, `"`)
	if !ok {
		return "", "", false
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c != '\\' || i+1 == len(text):
			b.WriteByte(c)
		default:
			i++
			if text[i] == 'n' {
				b.WriteByte('\n')
				continue
			}
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}
