package embedded

import (
	"fmt"
	"strconv"
	"strings"
)

// DataPath is the volume of the brokers' data, as their metrics name it.
const DataPath = "/usr/local/zeebe/data"

// volume is a disk that a broker tells of. Disks are made up: what is true of them is the machine's business, and the same
// for every broker.
type volume struct {
	path        string
	free, total int64
}

// volumes are what Spring Boot tells of by itself, which is the working directory's, and the one of the data, which a
// deployment adds to that.
func volumes() []volume {
	return []volume{
		{path: "/usr/local/zeebe/.", free: 64 << 30, total: 128 << 30},
		{path: DataPath, free: 16 << 30, total: 32 << 30},
	}
}

// FillDisk leaves a part of the volume of a broker's data free, in percent, by what the broker tells. Nothing comes of it:
// logs go on growing. If it is not a number, neither is what the broker tells.
func FillDisk(free float64) Fault {
	return Fault{name: fmt.Sprintf("%g%% of the disk free", free), free: &free}
}

// writeDisks writes the metrics of the disks, of which the broker's faults may change one.
func (b *Broker) writeDisks(text *strings.Builder) {
	volumes := volumes()
	free := func(v volume) string {
		if part, ok := b.faults.free(); ok && v.path == DataPath {
			return strconv.FormatFloat(part/100*float64(v.total), 'G', -1, 64)
		}
		return strconv.FormatInt(v.free, 10)
	}
	text.WriteString("# HELP disk_free_bytes Usable space for path\n# TYPE disk_free_bytes gauge\n")
	for _, v := range volumes {
		fmt.Fprintf(text, "disk_free_bytes{path=%q} %s\n", v.path, free(v))
	}
	text.WriteString("# HELP disk_total_bytes Total space for path\n# TYPE disk_total_bytes gauge\n")
	for _, v := range volumes {
		fmt.Fprintf(text, "disk_total_bytes{path=%q} %d\n", v.path, v.total)
	}
}

// free is the part of the data's volume that a fault leaves, in percent.
func (f faults) free() (percent float64, ok bool) {
	for _, fault := range f.list {
		if fault.free != nil {
			return *fault.free, true
		}
	}
	return 0, false
}

// included leaves only the metrics with some names, separated by commas, as Spring Boot does. Nothing is left out where
// none is named.
func included(metrics, names string) string {
	if names == "" {
		return metrics
	}
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		text := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		for name := range strings.SplitSeq(names, ",") {
			if rest, ok := strings.CutPrefix(text, name); ok && strings.IndexAny(rest, "{ ") == 0 {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}
