package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// format of the layout below. A program reads its own and all lower ones.
const format = 1

// The layout: a bucket with the format, in decimal, which stays whatever a newer layout may be; and the record, which is its
// revision, a checksum of all the rest, and the data. bbolt has no checksum of what is stored.
//
//nolint:gochecknoglobals // Names; there are no constants of this type.
var (
	bucket    = []byte("ledger")
	formatKey = []byte("format")
	recordKey = []byte("record")
)

const (
	sumAt  = 8
	dataAt = sumAt + 4
)

func encode(r hold.Record) []byte {
	value := make([]byte, dataAt, dataAt+len(r.Data))
	binary.BigEndian.PutUint64(value, r.Revision)
	value = append(value, r.Data...)
	binary.BigEndian.PutUint32(value[sumAt:], sum(value))
	return value
}

func sum(value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(value[:sumAt], table), table, value[dataAt:])
}

// cure is what to do about a file that is damaged.
const cure = "move it away to start without holds: exporting stays as the brokers have it, and a copy of earlier would bring back holds that were released"

func unfit(what string) error { return errors.New(what + "; " + cure) }

// decode reads what the two keys hold. The record's data is the value's.
func decode(written, value []byte) (hold.Record, error) {
	if len(written) > 10 {
		return hold.Record{}, unfit("its format is not a number")
	}
	version, err := strconv.ParseUint(string(written), 10, 32)
	switch {
	case err != nil || version == 0:
		return hold.Record{}, unfit(fmt.Sprintf("its format %q is not a number", written))
	case version > format:
		return hold.Record{}, fmt.Errorf("a newer exportgate wrote it (format %d, this one reads up to %d): run that one",
			version, format)
	case value == nil:
		return hold.Record{}, unfit("its record is missing")
	case len(value) < dataAt, len(value) > dataAt+hold.MaxRecord:
		return hold.Record{}, unfit(fmt.Sprintf("its record has an impossible size, %d bytes", len(value)))
	}
	r := hold.Record{Revision: binary.BigEndian.Uint64(value), Data: value[dataAt:]}
	switch {
	case sum(value) != binary.BigEndian.Uint32(value[sumAt:]):
		return hold.Record{}, unfit("the checksum of its record is wrong")
	case r.Revision == 0 && len(r.Data) > 0:
		return hold.Record{}, unfit("its record has no revision")
	}
	return r, nil
}

// load finds the record in the file. Its data is valid as long as the transaction. Its errors say what is wrong with the
// file.
func load(tx *bbolt.Tx) (hold.Record, error) {
	b := tx.Bucket(bucket)
	if b == nil {
		return hold.Record{}, unfit("it is not a ledger, or damaged: see whether store.path is right")
	}
	return decode(b.Get(formatKey), b.Get(recordKey))
}

// fresh reports whether nothing was ever written to the file. That a file is empty otherwise is no more than a wrong count
// in one of its pages.
func fresh(tx *bbolt.Tx) bool {
	const created = 1 // what bbolt calls the transaction that made the file
	return tx.ID() == created
}

// create writes the layout into a new file, with the zero record: a record that is missing is lost.
func create(tx *bbolt.Tx) error {
	b, err := tx.CreateBucket(bucket)
	if err != nil {
		return err
	}
	return errors.Join(b.Put(formatKey, strconv.AppendInt(nil, format, 10)), b.Put(recordKey, encode(hold.Record{})))
}
