package hold

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// filler gives every field of a value something of its own, so that none can be lost unseen.
type filler struct {
	*testing.T

	n int
}

func (f *filler) next() int { f.n++; return f.n }

func (f *filler) fill(v reflect.Value, depth int) {
	f.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 1, 0, 0, 0, f.next(), time.UTC)))
		return
	case Stance:
		v.Set(reflect.ValueOf([]Stance{Insist, Leave}[f.next()%2]))
		return
	case exporting.Phase:
		v.Set(reflect.ValueOf([]exporting.Phase{soft, hard}[f.next()%2]))
		return
	}
	switch v.Kind() { //nolint:exhaustive // What a state has none of yet fails.
	case reflect.Struct:
		for _, field := range v.Fields() {
			f.fill(field, depth)
		}
	case reflect.Pointer:
		if depth < 3 { // A hold may have replaced another.
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i), depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, depth)
		f.fill(value, depth)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %04d", f.next()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.next()))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(f.next() % 100))
	default:
		f.Fatalf("nobody knows how to fill a %v", v.Type())
	}
}

// A field that the record leaves out would be lost at the next start.
func TestRoundTrip(t *testing.T) {
	var s State
	(&filler{T: t}).fill(reflect.ValueOf(&s).Elem(), 0)
	for _, want := range []State{{}, {Revision: 1}, s, {Revision: 2, Undo: &Undo{Restore: Phases{}}}} {
		record, err := encode(&want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(record)
		if err != nil {
			t.Fatal(err)
		}
		if diff := compare(want, got); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		if got.Undo != nil && got.Undo.Restore == nil {
			t.Error("nothing to go back to has become a resume of everything")
		}
	}
}

func TestDecodeNothing(t *testing.T) {
	if s, err := decode(Record{}); err != nil || compare(State{}, s) != "" {
		t.Errorf("error %v, state %+v", err, s)
	}
}

// sealed is a record that is whole, whatever its state says.
func sealed(revision uint64, state string) Record {
	return Record{revision, fmt.Appendf(nil, `{"format":1,"sum":%q,"state":%s}`, sum([]byte(state)), state)}
}

func TestDecodeDamaged(t *testing.T) {
	const a = `{"id":"a","uid":"u","phase":"PAUSED"}`
	holds := func(holds ...string) Record {
		return sealed(7, `{"revision":7,"holds":[`+strings.Join(holds, ",")+`]}`)
	}
	if _, err := decode(holds(a)); err != nil {
		t.Fatalf("what is not damaged: %v", err)
	}
	replaced := func(old, with string) Record {
		return Record{7, bytes.Replace(holds(a).Data, []byte(old), []byte(with), 1)}
	}
	tests := map[string]struct {
		record Record
		want   string
	}{
		"no bytes":                   {Record{Revision: 7}, cure},
		"no JSON":                    {Record{7, []byte("bolt")}, cure},
		"something after it":         {Record{7, append(holds(a).Data, "{}"...)}, cure},
		"a newer format":             {replaced(`"format":1`, `"format":2`), "newer exportgate wrote it (format 2"},
		"a newer format, and damage": {replaced(`"format":1,"sum":"`, `"format":2,"sum":"0`), "newer exportgate"},
		"no format":                  {replaced(`"format":1`, `"format":0`), "checksum"},
		"another checksum":           {replaced(`"sum":"`, `"sum":"0`), "checksum"},
		"another phase":              {replaced("PAUSED", "SOFT_PAUSED"), "checksum"},
		"an earlier revision":        {Record{8, holds(a).Data}, "it says revision 7 where the store says 8"},
		"an earlier revision, as 0":  {Record{0, holds(a).Data}, "it says revision 7 where the store says 0"},
		"another type":               {sealed(7, `{"revision":7,"holds":{}}`), cure},
		"an unknown phase":           {holds(strings.Replace(a, "PAUSED", "FROZEN", 1)), "FROZEN"},
		"no pause":                   {holds(strings.Replace(a, "PAUSED", "EXPORTING", 1)), "makes no sense"},
		"no phase":                   {holds(`{"id":"a","uid":"u"}`), "makes no sense"},
		"no id":                      {holds(`{"uid":"u","phase":"PAUSED"}`), "makes no sense"},
		"no uid":                     {holds(`{"id":"a","phase":"PAUSED"}`), "makes no sense"},
		"an id twice":                {holds(a, strings.Replace(a, `"a"`, `"b"`, 1), a), "makes no sense"},
		"no phase to go back to":     {holds(strings.Replace(a, "}", `,"restore":{"0":null}}`, 1)), "makes no sense"},
		"no phase of what returns":   {holds(strings.Replace(a, "}", `,"replaced":{"id":"a","uid":"v"}}`, 1)), "makes no sense"},
		"no phase to undo to":        {sealed(7, `{"revision":7,"undo":{"restore":{"0":null}}}`), "makes no sense"},
		"an unknown stance":          {sealed(7, `{"revision":7,"stance":"lean","holds":[`+a+`]}`), "makes no sense"},
		"a stance for nothing":       {sealed(7, `{"revision":7,"stance":"insist"}`), "makes no sense"},
		"no phase in the history":    {sealed(7, `{"revision":7,"history":[{"hold":{"id":"a","uid":"u"}}]}`), "makes no sense"},
		"a partition beyond all":     {holds(strings.Replace(a, "}", `,"record":{"baselines":{"":[[2147483648,1]]}}}`, 1)), "2147483648"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := decode(test.record)
			if err == nil || !strings.Contains(err.Error(), test.want) || compare(State{}, s) != "" {
				t.Errorf("error %v, want %q in it; state %+v", err, test.want, s)
			}
		})
	}
}

// A record that is cut off is never taken for a shorter one.
func TestDecodeTruncated(t *testing.T) {
	var s State
	(&filler{T: t}).fill(reflect.ValueOf(&s).Elem(), 0)
	record, err := encode(&s)
	if err != nil {
		t.Fatal(err)
	}
	for length := range record.Data {
		if _, err := decode(Record{s.Revision, record.Data[:length]}); err == nil {
			t.Fatalf("%d of %d bytes pass for all", length, len(record.Data))
		}
	}
}

// crowded is a state with as many holds as there may be, on many partitions, and a long history.
func crowded(partitions int, position int64) State {
	now := time.Date(2026, 11, 24, 12, 0, 0, 123_456_789, time.UTC)
	s := State{Revision: 1_000_000, Term: 1000, Driver: "exportgate-0", Cluster: Cluster{ID: "5a1b3c52-6c45-4ac1-9e8f-6e9f1d6f7d0b"}}
	for i := range MaxHolds + maxHistory {
		h := Hold{
			ID: fmt.Sprintf("backup-of-the-night-%03d", i), UID: strings.Repeat("U", 26), Phase: soft,
			Owner:  "10.244.123.234:54321 (grpc-go/1.85.0 nightly-backup/2.3)",
			Reason: "the nightly backup of the elasticsearch indices, see the runbook", Created: now, Asked: now, Expires: now, Settled: now,
			Record: Continuous{Complete: true},
		}
		for p := range partitions {
			h.Record.Baselines = append(h.Record.Baselines, Baseline{Partition: int32(p + 1), Position: position + int64(p)})
		}
		if i < MaxHolds {
			s.Holds = append(s.Holds, h)
			continue
		}
		h.Record.Baselines, h.Record.Broken = nil, true
		h.Record.Evidence = []string{"partition 123 on broker 12: the stored position 1234567890123 passed the baseline 1234567890000"}
		s.History = append(s.History, Ended{Hold: h, At: now, How: Released, By: h.Owner, Continuity: Broken})
	}
	return s
}

// What a store takes is enough for a ledger that is as full as can be, on the largest clusters.
func TestSize(t *testing.T) {
	for _, test := range []struct {
		what       string
		partitions int
		position   int64
	}{
		{"positions of years", 300, 1_000_000_000_000},
		{"brokers that tell no positions", 300, math.MaxInt64 - 300},
	} {
		s := crowded(test.partitions, test.position)
		record, err := encode(&s)
		if err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		t.Logf("%s: %d bytes of %d", test.what, len(record.Data), MaxRecord)
	}
}

// Where there is too much, the oldest history goes, and nothing that lives; where that is not enough it is refused.
func TestFit(t *testing.T) {
	s := crowded(10, 1)
	for i := range s.History {
		s.History[i].Hold.Reason = strings.Repeat("<", 1000) // Six bytes each in JSON.
	}
	last := s.History[len(s.History)-1]
	record, err := fit(&s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(record)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Holds) != MaxHolds || len(got.History) != maxHistory/2 || compare(last, got.History[len(got.History)-1]) != "" {
		t.Errorf("%d holds and %d ended are left, the last %s", len(got.Holds), len(got.History), got.History[len(got.History)-1].Hold.ID)
	}
	s.Holds[0].Reason = strings.Repeat("x", MaxRecord)
	_, err = fit(&s)
	if _, is := errors.AsType[*TooManyError](err); !is {
		t.Errorf("error %v", err)
	}
}

// FuzzDecode checks that no record makes decode panic, and that what it takes can be written, and is the same then.
func FuzzDecode(f *testing.F) {
	var s State
	(&filler{T: &testing.T{}}).fill(reflect.ValueOf(&s).Elem(), 0)
	record, err := encode(&s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record.Revision, string(record.Data))
	for _, state := range []string{
		`{"revision":7}`, `{"revision":7,"holds":[{"id":"a","uid":"u","phase":"PAUSED","restore":{"0":null}}]}`,
		`{"revision":7,"undo":{"revision":3,"restore":{}}}`, `{"revision":7,"history":[{"how":77,"continuity":99}]}`,
		`{"revision":7,"holds":[{"id":"a","uid":"u","phase":"PAUSED","record":{"baselines":{"t":[[2,1],[1,1],[1]]}}}]}`,
		string(record.Data[strings.Index(string(record.Data), `"state":`)+len(`"state":`) : len(record.Data)-1]),
	} {
		f.Add(uint64(7), state)
	}
	f.Fuzz(func(t *testing.T, revision uint64, text string) {
		for _, record := range []Record{{revision, []byte(text)}, sealed(revision, strings.TrimSpace(text))} {
			s, err := decode(record)
			if err != nil {
				continue
			}
			again, err := encode(&s)
			if err != nil {
				t.Fatalf("it cannot be written: %v", err)
			}
			got, err := decode(again)
			if err != nil {
				t.Fatalf("it cannot be read again: %v", err)
			}
			if diff := compare(s, got); diff != "" {
				t.Fatalf("(-read +read again):\n%s", diff)
			}
		}
	})
}
