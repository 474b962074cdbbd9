package servertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
	"github.com/exportgate/exportgate/server/servertest"
)

// auditSeed repeats the calls of an earlier run, as far as time has no part in them.
var auditSeed = flag.Uint64("audit-seed", 0, "seed of the audit test; 0 takes a new one")

// Ten callers of every role make random calls through both doors, while brokers fail, holds expire, the log is put aside, and
// its server is stopped and killed. What the log has leads to the ledger that is left, each call has the lines that it ought
// to have, and they say who it was and what it was told.
func TestAuditLogReplays(t *testing.T) {
	t.Parallel()
	least, seed := 1000, *auditSeed
	if *soak {
		least = 10_000
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat this: -audit-seed %d", seed)
	a := newAudited(t, seed)
	for i, end := range []string{"stop", "kill", "stop", "stop"} {
		a.live(i, least*3/8, end, rand.New(rand.NewPCG(seed, uint64(i))))
		if t.Failed() {
			return
		}
	}
	a.check(least)
}

// audited is a ledger and its audit log, and who calls the servers over them.
type audited struct {
	*testing.T

	cluster  *servertest.Harness
	settings map[string]string
	callers  []*known
	tokens   []string
	killed   map[string]bool // servers by name
	// interrupted is a call of the first caller's during which its server was killed.
	interrupted *remembered
}

func newAudited(t *testing.T, seed uint64) *audited {
	t.Helper()
	a := &audited{T: t, killed: map[string]bool{}, cluster: startCluster(t, embedded.Options{
		Brokers: 2, Partitions: 1, EmptyDelay: 50 * time.Millisecond, ApplyDelay: -1,
	})}
	dir := t.TempDir()
	tokens := ""
	for i, role := range []string{"operator", "operator", "operator", "holder", "holder", "holder", "viewer", "viewer", "none", ""} {
		token, hash := auth.NewToken()
		name := fmt.Sprintf("caller-%d", i)
		k := &known{name: "token:" + name, role: role, random: rand.New(rand.NewPCG(seed, uint64(100+i)))}
		k.who = servertest.Identity{}.Bearer(token)
		k.who.Headers.Set("X-Who", name) // For this test alone.
		if role == "" {
			k.name = "" // Its token is nobody's.
		} else {
			tokens += name + "  " + hash + "\n"
		}
		a.callers, a.tokens = append(a.callers, k), append(a.tokens, token)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte(tokens), 0o600); err != nil {
		t.Fatal(err)
	}
	a.settings = servertest.Settings(t, a.cluster.Cluster, servertest.Options{Settings: map[string]string{
		"server.address": "127.0.0.1", "auth.tokens-file": filepath.Join(dir, "tokens"),
		"auth.roles.operator": "token:caller-0,token:caller-1,token:caller-2", "auth.roles.holder": "token:caller-3,token:caller-4,token:caller-5",
		"auth.roles.viewer": "token:caller-6,token:caller-7",
		"audit.path":        filepath.Join(dir, "audit.log"), "audit.max-size": "64KiB", "audit.keep": "10000",
		"exporting.timeout": "600ms", "zeebe.request-timeout": "200ms", "exporting.confirm-interval": "10ms",
		"exporting.reconcile-interval": "100ms", "exporting.drain": "100ms", "limits.calls-per-second": "0",
	}})
	return a
}

// live starts a server, has every caller make its share of so many calls, puts the log aside by hand meanwhile, and ends it
// while the last of them go on.
func (a *audited) live(n, calls int, end string, random *rand.Rand) {
	a.Helper()
	settings := maps.Clone(a.settings)
	settings["server.name"] = fmt.Sprintf("life-%d", n)
	p := start(a.T, settings)
	var made atomic.Int64
	enough, aside := make(chan struct{}), make(chan struct{})
	var calling sync.WaitGroup
	for _, k := range a.callers {
		r, err := k.reach(p, settings["server.name"])
		if err != nil {
			a.Fatal(err)
		}
		calling.Go(func() {
			defer r.close()
			for range calls / len(a.callers) {
				k.call(context.WithoutCancel(a.Context()), r)
				switch made.Add(1) {
				case int64(calls / 2):
					close(aside)
				case int64(calls * 3 / 4):
					close(enough)
				}
			}
		})
	}
	calling.Go(func() { a.trouble(random, p.exited) })
	<-aside
	if err := os.Rename(a.settings["audit.path"], fmt.Sprintf("%s-by-hand-%d", a.settings["audit.path"], n)); err != nil {
		a.Error(err)
	}
	if end != "kill" {
		a.expire(p)
		a.notice(p)
	}
	<-enough
	if end == "kill" {
		a.cut(p, settings["server.name"])
		a.killed[settings["server.name"]] = true
		p.kill()
	} else {
		_ = p.stdin.Close() // It ends with it.
	}
	<-p.exited
	calling.Wait()
	p.end()
	if end != "kill" && p.err != nil {
		a.Errorf("%s ended with %v", settings["server.name"], p.err)
	}
	if strings.Contains(p.said.String(), "audit: {") {
		a.Errorf("%s could not write the log", settings["server.name"])
	}
}

// expire places holds that expire, until one has.
func (a *audited) expire(p *proxy) {
	a.Helper()
	route, err := servertest.DialAs(servertest.GRPC, p.address(servertest.GRPC), a.callers[0].who)
	if err != nil {
		a.Fatal(err)
	}
	defer route.Close()
	var placed []string
	var last time.Time
	servertest.Await(a, "a hold has expired", func() bool {
		if time.Since(last) > time.Second { // Somebody may have renewed the last one, or ended it.
			brief := named(fmt.Sprintf("brief-%d", len(placed)))
			brief.Ttl = durationpb.New(300 * time.Millisecond)
			if o := route.Pause(a.Context(), brief); o.OK() {
				placed, last = append(placed, o.Hold.GetUid()), time.Now()
			}
		}
		return slices.ContainsFunc(a.written(), func(line *audit.Line) bool {
			return line.Change != nil && slices.ContainsFunc(line.Change.Ended, func(h audit.HoldEnded) bool {
				return h.How == "expired" && slices.Contains(placed, h.Hold.UID)
			})
		})
	})
}

// notice resumes until there was no hold to end, which is no change of the ledger and an event.
func (a *audited) notice(p *proxy) {
	a.Helper()
	route, err := servertest.DialAs(servertest.GRPC, p.address(servertest.GRPC), a.callers[0].who)
	if err != nil {
		a.Fatal(err)
	}
	defer route.Close()
	servertest.Await(a, "a resume ends no hold", func() bool {
		route.Resume(a.Context(), &exportgatev1.ResumeRequest{Force: true})
		return slices.ContainsFunc(a.written(), func(line *audit.Line) bool { return line.Kind == audit.KindEvent })
	})
}

// cut begins a call that waits for brokers, and returns when the log has its intent.
func (a *audited) cut(p *proxy, server string) {
	a.Helper()
	for _, b := range a.cluster.Cluster.Brokers() {
		b.SetFaults(embedded.Hang())
	}
	k := a.callers[0]
	route, err := servertest.DialAs(servertest.GRPC, p.address(servertest.GRPC), k.who)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(route.Close)
	const id = "cut-off"
	ctx := metadata.AppendToOutgoingContext(context.WithoutCancel(a.Context()), "x-request-id", id)
	go route.Resume(ctx, &exportgatev1.ResumeRequest{Force: true}) // It ends with the server.
	servertest.Await(a, "the intent of the call is written", func() bool {
		return slices.ContainsFunc(a.files(), func(path string) bool {
			content, err := os.ReadFile(path)
			return err == nil && bytes.Contains(content, []byte(`"request_id":"`+id+`"`))
		})
	})
	a.interrupted = &remembered{
		id: id, operation: exportgatev1.ExportingService_Resume_FullMethodName, door: servertest.GRPC, changes: true, life: server,
	}
}

// written is what the log has by now. A file that is put aside meanwhile is found the next time.
func (a *audited) written() []*audit.Line {
	a.Helper()
	var written []*audit.Line
	for _, path := range a.files() {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line, err := range audit.Lines(bytes.NewReader(content)) {
			if err != nil {
				a.Errorf("%s: %v", path, err)
				continue
			}
			written = append(written, line)
		}
	}
	return written
}

// files are those of the log.
func (a *audited) files() []string {
	a.Helper()
	paths, err := filepath.Glob(a.settings["audit.path"] + "*")
	if err != nil {
		a.Fatal(err)
	}
	return paths
}

// trouble breaks brokers and heals them until the server has ended.
func (a *audited) trouble(random *rand.Rand, over <-chan struct{}) {
	for {
		b := a.cluster.Cluster.Broker(random.IntN(2))
		b.SetFaults(faults()[random.IntN(len(faults()))]())
		select {
		case <-time.After(time.Duration(random.IntN(200)) * time.Millisecond):
		case <-over:
		}
		b.Clear()
		select {
		case <-time.After(time.Duration(random.IntN(400)) * time.Millisecond):
		case <-over:
			return
		}
	}
}

// replay expects that the log leads to the ledger.
func (a *audited) replay(paths []string) {
	a.Helper()
	var files []io.Reader
	for _, path := range paths {
		content := string(read(a.T, path))
		for _, token := range a.tokens {
			if strings.Contains(content, token) {
				a.Errorf("%s has a token", path)
			}
		}
		files = append(files, strings.NewReader(content))
	}
	got, err := audit.Replay(files...)
	if err != nil {
		a.Fatalf("the log cannot be replayed: %v", err)
	}
	want := recorded(a.T, a.settings["store.path"])
	if want, got := text(a.T, want), text(a.T, got); want != got {
		a.Errorf("the ledger is\n%s\nand the log leads to\n%s", want, got)
	}
	if want.Revision == 0 || len(want.History) == 0 {
		a.Errorf("nothing has happened to the ledger: %+v", want)
	}
}

// recorded is the ledger in a store's file.
func recorded(t *testing.T, path string) hold.State {
	t.Helper()
	store, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := hold.Open(t.Context(), store, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	return ledger.Recorded()
}

func text(t *testing.T, state hold.State) string {
	t.Helper()
	data, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
