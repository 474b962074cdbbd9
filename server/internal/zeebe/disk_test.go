package zeebe

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// diskAsked is how a broker is asked for its disks.
const diskAsked = "GET /prometheus?includedNames=disk_free_bytes,disk_total_bytes"

// metrics is what a broker tells of two volumes, in Micrometer's order and spelling.
const metrics = `# HELP disk_free_bytes Usable space for path
# TYPE disk_free_bytes gauge
disk_free_bytes{path="/usr/local/zeebe/.",} 9.8247311E10
disk_free_bytes{path="/usr/local/zeebe/data",} 3.221225472E9
# HELP disk_total_bytes Total space for path
# TYPE disk_total_bytes gauge
disk_total_bytes{path="/usr/local/zeebe/.",} 1.07374182400E11
disk_total_bytes{path="/usr/local/zeebe/data",} 3.4359738368E10
# HELP zeebe_exporter_state Phase
# TYPE zeebe_exporter_state gauge
zeebe_exporter_state{exporter="es",partition="1",} 1.0
`

const data = "/usr/local/zeebe/data"

var dataDisk = exporting.Disk{Free: 3 << 30, Total: 32 << 30}

func TestDecodeDisk(t *testing.T) {
	long := strings.Repeat("x", 2*maxLine)
	for name, test := range map[string]struct {
		body   string
		path   string // data, unless it says another
		marked bool
		want   exporting.Disk
		err    string // what an error says; none if empty
	}{
		"two volumes":         {body: metrics, want: dataDisk},
		"the other":           {body: metrics, path: "/usr/local/zeebe/.", want: exporting.Disk{Free: 98247311000, Total: 100 << 30}},
		"a slash at the end":  {body: metrics, path: data + "/", want: dataDisk},
		"twice the same":      {body: metrics + metrics, want: dataDisk},
		"OpenMetrics":         {body: metrics + "# EOF\n", marked: true, want: dataDisk},
		"its mark at the end": {body: metrics + "# EOF", marked: true, want: dataDisk},
		"spaces, other labels, times": {
			body: "\t disk_free_bytes { area = \"a\" , path = \"/usr/local/zeebe/data\" , id=\"}\\\"\\\\\" } 1 1700000000000 # {} 5\n" +
				"disk_total_bytes{path=\"/usr/local/zeebe/data\"}\t+2.0\t17\r\n",
			want: exporting.Disk{Free: 1, Total: 2},
		},
		"an escaped path": {
			body: `disk_free_bytes{path="C:\\data\n\"x\""} 1` + "\n" + `disk_total_bytes{path="C:\\data\n\"x\""} 2` + "\n",
			path: "C:\\data\n\"x\"", want: exporting.Disk{Free: 1, Total: 2},
		},
		"long lines of others": {body: "# HELP " + long + "\n" + metrics + long + "\n", want: dataDisk},
		"a full disk":          {body: dataOf("0", "34359738368"), want: exporting.Disk{Total: 32 << 30}},

		"nothing":           {err: "tell of no disk"},
		"another path":      {body: metrics, path: "/data", err: `no disk "/data", but of /usr/local/zeebe/., /usr/local/zeebe/data`},
		"no path":           {body: "disk_free_bytes 1\ndisk_total_bytes 2\n", err: "tell of no disk"},
		"an empty path":     {body: "disk_free_bytes{} 1\ndisk_total_bytes{path=\"\"} 2\n", err: "tell of no disk"},
		"longer names":      {body: strings.ReplaceAll(metrics, "_bytes{", "_bytes_max{"), err: "tell of no disk"},
		"in comments":       {body: strings.ReplaceAll(metrics, "disk_", "# disk_"), err: "tell of no disk"},
		"no total":          {body: strings.ReplaceAll(metrics, "disk_total_bytes{", "other{"), err: "tell half"},
		"no free":           {body: strings.ReplaceAll(metrics, "disk_free_bytes{", "other{"), err: "tell half"},
		"NaN":               {body: dataOf("NaN", "2"), err: "a disk of NaN bytes"},
		"no total as NaN":   {body: dataOf("1", "NaN"), err: "a disk of NaN bytes"},
		"infinite":          {body: dataOf("+Inf", "+Inf"), err: "a disk of +Inf bytes"},
		"less than nothing": {body: dataOf("-1", "2"), err: "a disk of -1 bytes"},
		"too much":          {body: dataOf("1", "9.3e18"), err: "a disk of 9.3e18 bytes"},
		"no number":         {body: dataOf("many", "2"), err: "a disk of many bytes"},
		"no value":          {body: dataOf("", "2"), err: "make no sense"},
		"no such path":      {body: dataOf("0", "0"), err: "does that path exist"},
		"more free than is": {body: dataOf("3", "2"), err: "3 free bytes of 2"},
		"told twice":        {body: dataOf("1", "2") + dataOf("2", "2"), err: "twice of one disk"},
		"labels cut":        {body: "disk_free_bytes{path=\"/usr\n", err: "make no sense"},
		"no quotes":         {body: "disk_free_bytes{path=/usr} 1\n", err: "make no sense"},
		"no label":          {body: "disk_free_bytes{path} 1\n", err: "make no sense"},
		"a long line":       {body: "disk_free_bytes{x=\"" + long + "\",path=\"/usr/local/zeebe/data\"} 1\n", err: "make no sense"},
		"a value beyond what fits": {
			body: dataOf("1", "1") + `disk_free_bytes{path="` + data + `"}` + strings.Repeat(" ", maxLine-48) + "123456789\n", err: "make no sense",
		},
		"a value cut":        {body: strings.TrimSuffix(dataOf("1", "34359738368"), "738368\n"), err: "cut off"},
		"a long line cut":    {body: metrics + long, err: "cut off"},
		"OpenMetrics cut":    {body: metrics, marked: true, err: "cut off"},
		"a page":             {body: html, err: "cut off"},
		"a page with an end": {body: html + "\n", err: "tell of no disk"},
		"binary":             {body: "\x00\xff\xfe{]\x1b[31m\xc3\x28\n", err: "tell of no disk"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.path == "" {
				test.path = data
			}
			for way, body := range map[string]io.Reader{
				"whole": strings.NewReader(test.body), "byte by byte": iotest.OneByteReader(strings.NewReader(test.body)),
			} {
				got, err := decodeDisk(body, test.path, test.marked)
				if got != test.want || (err == nil) != (test.err == "") {
					t.Errorf("%s: got %+v, %v, want %+v", way, got, err, test.want)
				}
				if test.err != "" {
					wantError(t, err, test.err)
				}
			}
		})
	}
}

// dataOf is what tells the volume's two numbers.
func dataOf(free, total string) string {
	return fmt.Sprintf("disk_free_bytes{path=%q} %s\ndisk_total_bytes{path=%q} %s\n", data, free, data, total)
}

// endless is metrics that never end, and never name a disk.
type endless struct{ line string }

func (e endless) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		n += copy(b[n:], e.line)
	}
	return n, nil
}

func TestDecodeDiskReadsOnlySoMuch(t *testing.T) {
	for name, line := range map[string]string{"lines": "a 1\n", "one line": "aaaa"} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeDisk(io.MultiReader(strings.NewReader(metrics), endless{line}), data, false)
			wantError(t, err, "larger than 32 MiB")
		})
	}
	_, err := decodeDisk(io.MultiReader(strings.NewReader(metrics), iotest.ErrReader(errors.New("reset"))), data, false)
	if !errors.Is(err, errNotRead) {
		t.Errorf("error %v", err)
	}
}

func TestDisk(t *testing.T) {
	tells := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
				kind, body = "application/json", "{}" // Spring would refuse it.
			}
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		err    string
	}{
		"metrics":                    {answer: tells("text/plain;version=0.0.4;charset=utf-8", metrics)},
		"OpenMetrics":                {answer: tells("application/openmetrics-text; version=1.0.0", metrics+"# EOF\n")},
		"OpenMetrics without an end": {tells("application/openmetrics-text; version=1.0.0", metrics), "cut off"},
		"a page that quotes metrics": {tells("text/html", metrics), `it answered "text/html"`},
		"a kind that is none":        {tells("metrics", metrics), `it answered "metrics"`},
		"not exposed":                {http.NotFound, "exposure.include"},
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, metrics)
		}, "it answered 401"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "a redirect to"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, metrics)
		}, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker(t)
			b.handle(diskAsked, test.answer)
			c := newClient(t, func(o *Options) { o.DiskPath = data }, b)
			disk, err := c.Disk(t.Context(), at(b))
			switch {
			case test.err != "":
				wantError(t, err, test.err, b.address())
			case err != nil || disk != dataDisk:
				t.Errorf("got %+v, %v", disk, err)
			}
		})
	}
}

func TestDiskThatCannotBeMeasured(t *testing.T) {
	b := newFakeBroker(t)
	_, err := newClient(t, nil, b).Disk(t.Context(), at(b))
	wantError(t, err, "exporting.guard.disk-path")
	c := newClient(t, func(o *Options) { o.DiskPath = data }, b)
	_, err = c.Disk(t.Context(), exporting.Broker{ID: "2"})
	wantError(t, err, "its address is not known")
	if asked := b.requests(); len(asked) != 0 {
		t.Errorf("asked %v", asked)
	}
	b.server.Close()
	_, err = c.Disk(t.Context(), at(b))
	wantError(t, err, "connection refused")
}

// A broker whose metrics hang is one that can be driven all the same: nothing is remembered of that.
func TestDiskThatHangsIsNoSilence(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	b.hangs(diskAsked)
	c := newClient(t, func(o *Options) { o.DiskPath, o.RequestTimeout = data, 50*time.Millisecond }, b)
	before := topologyOf(t, c)
	_, err := c.Disk(t.Context(), at(b))
	wantError(t, err, "no answer within 50ms")
	if after := topologyOf(t, c); after.Brokers[0] != before.Brokers[0] {
		t.Errorf("the broker was %+v and is %+v", before.Brokers[0], after.Brokers[0])
	}
}

func FuzzDisk(f *testing.F) {
	for _, seed := range []string{
		metrics, metrics + "# EOF", dataOf("NaN", "+Inf"), dataOf("1e3", "0x1p10"), dataOf("0", "0"), dataOf("1", "2") + dataOf("1", "3"),
		`disk_free_bytes{path="a\\\"\n",} 1` + "\n", "disk_free_bytes{", html, "disk_free_bytes 1\n", "\x00\xff\n", "",
	} {
		f.Add([]byte(seed), data, false)
	}
	f.Fuzz(func(t *testing.T, body []byte, path string, marked bool) {
		disk, err := decodeDisk(strings.NewReader(string(body)), path, marked)
		slow, slowErr := decodeDisk(iotest.HalfReader(strings.NewReader(string(body))), path, marked)
		if slow != disk || fmt.Sprint(slowErr) != fmt.Sprint(err) {
			t.Errorf("%+v, %v; read in pieces %+v, %v", disk, err, slow, slowErr)
		}
		if err != nil {
			if disk != (exporting.Disk{}) {
				t.Errorf("%+v in spite of %v", disk, err)
			}
			checkWords(t, err)
			return
		}
		if disk.Total <= 0 || disk.Free < 0 || disk.Free > disk.Total {
			t.Errorf("a disk that cannot be: %+v", disk)
		}
		// What is not whole proves nothing, unless only what is behind the last line that counts is missing.
		if cut := body[:len(body)-1]; len(cut) > 0 && body[len(body)-1] == '\n' && !strings.HasSuffix(string(cut), "\n") && !strings.HasSuffix(string(cut), endMark) {
			if disk, err := decodeDisk(strings.NewReader(string(cut)), path, marked); err == nil {
				t.Errorf("without its last byte it is %+v", disk)
			}
		}
	})
}
