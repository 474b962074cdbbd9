package servertest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
	"github.com/exportgate/exportgate/server/servertest"
)

// expectStartUpError expects that a server does not start, and says why and where. It must end soon by itself.
func expectStartUpError(t *testing.T, settings map[string]string, why string) {
	t.Helper()
	began := time.Now()
	p := launch(t, settings)
	if p.serves(t) {
		t.Fatal("the server serves")
	}
	failed, is := errors.AsType[*exec.ExitError](p.err)
	if !is || failed.ExitCode() != 1 {
		t.Errorf("it ended with %v", p.err)
	}
	for _, words := range []string{settings["store.path"], why} {
		if !strings.Contains(p.said.String(), words) {
			t.Errorf("it does not say %q:\n%s", words, &p.said)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to fail", took)
	}
}

// A file that cannot be understood keeps the server from starting. It is not touched, and nor are the brokers: nobody knows
// what they ought to do.
func TestALedgerThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, path string)
		why    string
	}{
		"damaged": {func(t *testing.T, path string) {
			t.Helper()
			content := read(t, path)
			clear(content[:2*os.Getpagesize()])
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "move it away"},
		"cut off": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Truncate(path, int64(len(read(t, path))/2)); err != nil {
				t.Fatal(err)
			}
		}, "move it away"},
		"another program's": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("these are my notes\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "move it away"},
		"a newer layout": {func(t *testing.T, path string) {
			t.Helper()
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("ledger")).Put([]byte("format"), []byte("2")) })
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "a newer exportgate wrote it"},
		"a newer record": {func(t *testing.T, path string) {
			t.Helper()
			store, err := bolt.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			last, err := store.Read(t.Context())
			if err == nil {
				err = store.Swap(t.Context(), hold.Record{
					Revision: last.Revision + 1, Data: bytes.Replace(last.Data, []byte(`"format":1`), []byte(`"format":2`), 1),
				})
			}
			if err := errors.Join(err, store.Close()); err != nil {
				t.Fatal(err)
			}
		}, "a newer exportgate wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startCluster(t, embedded.Options{})
			settings := servertest.Settings(t, h.Cluster, servertest.Options{})
			p := start(t, settings)
			try{T: t}.expectSuccess(h, p.route(t, servertest.GRPC).Pause(t.Context(), backup(embedded.Paused, time.Hour)), embedded.Paused)
			p.end()
			test.change(t, settings["store.path"])

			before, writes := read(t, settings["store.path"]), len(h.Cluster.Writes())
			expectStartUpError(t, settings, test.why)
			if !bytes.Equal(before, read(t, settings["store.path"])) {
				t.Error("the file was changed")
			}
			if after := h.Cluster.Writes(); len(after) > writes {
				t.Errorf("brokers were asked to change: %+v", after)
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Two servers over one file would not know of each other. The second one ends, and the first one does not notice.
func TestALedgerThatIsInUse(t *testing.T) {
	t.Parallel()
	h := startCluster(t, embedded.Options{})
	settings := servertest.Settings(t, h.Cluster, servertest.Options{Settings: map[string]string{
		"store.path": filepath.Join(t.TempDir(), "shared.db"),
	}})
	p := start(t, settings)
	expectStartUpError(t, settings, "another process holds the ledger")
	route := p.route(t, servertest.HTTP)
	try{T: t}.expectSuccess(h, route.Pause(t.Context(), backup(embedded.SoftPaused, time.Hour)), embedded.SoftPaused)
	p.end()
	start(t, settings) // A process that was killed holds nothing.
}
