package server_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/exportgate/exportgate/"

// layers ranks every package, the most specific prefix first. A package may import only packages of a lower rank, so
// adapters never import each other. A package without a rank fails the test: decide where it lives before writing it.
var layers = []struct {
	prefix string
	rank   int
}{
	{"gen", 0},
	{"server/internal/caller", 1},
	{"server/internal/certs", 1},
	{"server/internal/logging", 1},
	{"server/internal/reason", 1},
	{"server/internal/exporting/exportingtest", 2},
	{"server/internal/exporting", 1},
	{"server/internal/hold", 2},
	{"server/internal/reconcile", 3},
	{"server/internal/broadcast", 3},
	{"server/internal/auth", 3},
	{"server/internal/audit", 3},
	{"server/internal/limits", 3},
	{"server/internal/tracing", 3},
	{"server/internal/store/storetest", 3},
	{"server/internal/store/etcd/etcdtest", 6},
	{"server/servertest/peers", 7},
	{"server/internal/store", 4},
	{"server/internal/zeebe", 4},
	{"server/internal/embedded", 4},
	{"server/internal/service", 4},
	{"server/internal/gateway", 4},
	{"server/internal/interceptor", 4},
	{"server/internal/telemetry", 4},
	{"server/servertest", 6},
	{"server", 5},
	{"cmd", 7},
}

func rank(pkg string) int {
	for _, l := range layers {
		if pkg == l.prefix || strings.HasPrefix(pkg, l.prefix+"/") {
			return l.rank
		}
	}
	return -1
}

// The files are read here, not by go list: a test that shells out is served from the test cache after a bad import.
func TestLayering(t *testing.T) {
	root := os.DirFS("..")
	packages := 0
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		packages++
		return checkImports(t, root, file)
	})
	if err != nil {
		t.Fatal(err)
	}
	if packages < 20 {
		t.Errorf("only %d files were checked: does the test look in the right place?", packages)
	}
}

func checkImports(t *testing.T, root fs.FS, file string) error {
	t.Helper()
	src, err := fs.ReadFile(root, file)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		return err
	}
	from := path.Dir(file)
	if rank(from) < 0 {
		t.Errorf("%s has no layer", from)
	}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		to, ours := strings.CutPrefix(imp, module)
		if ours && rank(to) >= rank(from) {
			t.Errorf("%s: layer %d imports %s, layer %d", file, rank(from), to, rank(to))
		}
	}
	return nil
}
