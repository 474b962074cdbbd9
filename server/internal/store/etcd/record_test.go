package etcd

import (
	"bytes"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/exportgate/exportgate/server/internal/hold"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		name, value string
		version     int64
		want        string // in the error
	}{
		{"nothing", "", 1, "did not write it"},
		{"one line", `{"exportgate":1,"revision":1}`, 1, "did not write it"},
		{"no header", "hello\nworld", 1, "did not write it"},
		{"other JSON", "{}\nworld", 1, "did not write it"},
		{"long header", `{"exportgate":1,"revision":1}` + strings.Repeat(" ", maxHeader) + "\nx", 1, "did not write it"},
		{"negative format", "{\"exportgate\":-1,\"revision\":1}\nx", 1, "did not write it"},
		{"newer", "{\"exportgate\":2,\"revision\":1}\nx", 1, "a newer exportgate wrote it (format 2, this one reads up to 1)"},
		{"written again", "{\"exportgate\":1,\"revision\":1}\nx", 2, "it says revision 1 and is version 2"},
		{"deleted and restored", "{\"exportgate\":1,\"revision\":7}\nx", 1, "it says revision 7 and is version 1"},
		{"no revision", "{\"exportgate\":1}\nx", 0, "it says revision 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if r, err := decode([]byte(test.value), test.version); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v and %v, want %q", r, err, test.want)
			}
		})
	}
}

// What is read again and again must not go back: somebody deleted the key, or restored etcd.
func TestAccept(t *testing.T) {
	s := &Store{key: "k"}
	kv := func(revision uint64) *mvccpb.KeyValue {
		r := hold.Record{Revision: revision, Data: []byte("data")}
		return &mvccpb.KeyValue{Value: []byte(encode(r)), Version: int64(revision)}
	}
	for _, revision := range []uint64{1, 2, 5} {
		if r, err := s.accept(kv(revision), s.known()); err != nil || r.Revision != revision || string(r.Data) != "data" {
			t.Fatalf("read %v and %v, want revision %d", r, err, revision)
		}
	}
	for name, lower := range map[string]*mvccpb.KeyValue{"earlier": kv(4), "deleted": nil} {
		if r, err := s.accept(lower, s.known()); err == nil || !strings.Contains(err.Error(), "was at 5") {
			t.Errorf("%s: read %v and %v", name, r, err)
		}
	}
	// A read that began before may end after.
	if r, err := s.accept(kv(4), 4); err != nil || r.Revision != 4 || s.known() != 5 {
		t.Errorf("read %v and %v, and know revision %d", r, err, s.known())
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(encode(hold.Record{Revision: 7, Data: []byte("two\nlines")})), int64(7))
	f.Add([]byte("{\"exportgate\":2,\"revision\":1}\nx"), int64(1))
	f.Add([]byte("\n"), int64(-1))
	f.Fuzz(func(t *testing.T, value []byte, version int64) {
		r, err := decode(value, version)
		if err != nil {
			if r.Revision != 0 || r.Data != nil {
				t.Errorf("%v comes with %v", err, r)
			}
			return
		}
		if r.Revision != uint64(version) || r.Revision == 0 || !bytes.HasSuffix(value, r.Data) {
			t.Fatalf("%q at version %d is read as revision %d, %q", value, version, r.Revision, r.Data)
		}
		again, err := decode([]byte(encode(r)), version)
		if err != nil || again.Revision != r.Revision || !bytes.Equal(again.Data, r.Data) {
			t.Errorf("%v is read again as %v and %v", r, again, err)
		}
	})
}
