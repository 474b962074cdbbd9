package etcd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// format of the ledger's value: a line that tells what it is, then the record.
const format = 1

// maxHeader bounds the first line.
const maxHeader = 200

// header is the first line. The revision in it is etcd's version of the key, unless somebody else than exportgate deleted,
// restored or wrote the key.
type header struct {
	Format   int    `json:"exportgate"`
	Revision uint64 `json:"revision"`
}

func encode(r hold.Record) string {
	return fmt.Sprintf("{\"exportgate\":%d,\"revision\":%d}\n%s", format, r.Revision, r.Data)
}

// decode reads the value that a key has at a version. Its errors say what is wrong, for a [hold.DamagedError].
func decode(value []byte, version int64) (hold.Record, error) {
	line, data, ok := bytes.Cut(value, []byte("\n"))
	if !ok || len(line) > maxHeader {
		return hold.Record{}, errors.New("exportgate did not write it; " + cure)
	}
	var h header
	switch err := json.Unmarshal(line, &h); {
	case err != nil || h.Format < 1:
		return hold.Record{}, errors.New("exportgate did not write it; " + cure)
	case h.Format > format:
		return hold.Record{}, fmt.Errorf("a newer exportgate wrote it (format %d, this one reads up to %d): run that one", h.Format, format)
	case version < 1 || h.Revision != uint64(version):
		return hold.Record{}, fmt.Errorf("it was deleted or written by hand: it says revision %d and is version %d of the key; %s",
			h.Revision, version, cure)
	}
	return hold.Record{Revision: h.Revision, Data: data}, nil
}

const cure = "restore etcd from a snapshot, or stop every exportgate, delete the key and start without holds: brokers stay as " +
	"they are until somebody resumes"

// accept makes a record of what was read, at a time when a revision was known to be written. kv is nil if there is no such key.
func (s *Store) accept(kv *mvccpb.KeyValue, known uint64) (hold.Record, error) {
	var r hold.Record
	var err error
	if kv != nil {
		r, err = decode(kv.GetValue(), kv.GetVersion())
	}
	if err == nil && r.Revision < known {
		err = fmt.Errorf("it was deleted, or etcd was restored to an earlier state: it is at revision %d and was at %d; restart "+
			"every exportgate to go on with what is there", r.Revision, known)
	}
	if err != nil {
		return hold.Record{}, &hold.DamagedError{Where: where(s.key), Err: err}
	}
	s.know(r.Revision)
	return r, nil
}

// known is the highest revision that was read or written.
func (s *Store) known() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *Store) know(revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = max(s.seen, revision)
}
