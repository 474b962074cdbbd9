package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The brokers of the benchmarks are in a child process, so that what they cost is not counted as ours. They have the
// bodies of 8.9 and no logic but the phase.

// stubBrokersEnv makes the test binary serve that many brokers instead of running tests.
const stubBrokersEnv = "EXPORTGATE_BENCH_BROKERS"

// replicasPerBroker of the stub brokers: each partition has three replicas.
const replicasPerBroker = 90

// stubs are brokers in a child process.
type stubs struct {
	Addresses []string // management base URLs
	Control   string   // GET tells and resets how many requests there were
}

// startStubs starts brokers that are stopped when the benchmark ends.
func startStubs(b *testing.B, brokers int) stubs {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", stubBrokersEnv, brokers))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // Its end is the child's.
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("the brokers did not start: %v", err)
	}
	var s stubs
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		b.Fatal(err)
	}
	return s
}

// requests tells how many requests the brokers got since it was asked last.
func (s stubs) requests(b *testing.B) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.Control, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var n int
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// serveStubs is the child process: it serves until its input ends.
func serveStubs(count int) error {
	var requests atomic.Int64
	cluster, err := clusterBody(count)
	if err != nil {
		return err
	}
	var s stubs
	for i := range count {
		broker := &stubBroker{requests: &requests, cluster: cluster, bodies: map[string][]byte{}}
		for _, phase := range []string{"EXPORTING", "SOFT_PAUSED", "PAUSED"} {
			if broker.bodies[phase], err = partitionsBody(count, i, phase); err != nil {
				return err
			}
		}
		broker.phase.Store("EXPORTING")
		address, err := serveOn(broker)
		if err != nil {
			return err
		}
		s.Addresses = append(s.Addresses, "http://"+address+"/actuator")
	}
	control, err := serveOn(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(requests.Swap(0))
	}))
	if err != nil {
		return err
	}
	s.Control = "http://" + control
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	return nil
}

func serveOn(handler http.Handler) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // It ends with the process.
	return l.Addr().String(), nil
}

type stubBroker struct {
	requests *atomic.Int64
	cluster  []byte
	bodies   map[string][]byte
	phase    atomic.Value
}

// ServeHTTP answers what the management API of 8.9 does.
func (s *stubBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	w.Header().Set("Content-Type", "application/json")
	phase, _ := s.phase.Load().(string)
	switch path := strings.TrimPrefix(r.URL.Path, "/actuator"); path {
	case "/cluster":
		_, _ = w.Write(s.cluster)
		return
	case "/partitions":
	case "/partitions/pauseExporting":
		s.phase.Store("PAUSED")
	case "/partitions/softPauseExporting":
		s.phase.Store("SOFT_PAUSED")
	case "/partitions/resumeExporting":
		s.phase.Store("EXPORTING")
	default:
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(s.bodies[phase])
}

// hosts reports whether a broker has a replica of a partition, from 0 on.
func hosts(brokers, broker, partition int) bool {
	return (broker-partition%brokers+brokers)%brokers < 3
}

func partitionsOf(brokers int) int { return brokers * replicasPerBroker / 3 }

func clusterBody(brokers int) ([]byte, error) {
	type object = map[string]any
	var members []object
	for b := range brokers {
		var partitions []object
		for p := range partitionsOf(brokers) {
			if hosts(brokers, b, p) {
				partitions = append(partitions, object{
					"id": p + 1, "state": "ACTIVE", "priority": 1,
					"config": object{"exporting": object{"exporters": []object{{"id": "elasticsearch", "state": "ENABLED"}}}},
				})
			}
		}
		members = append(members, object{
			"id": b, "state": "ACTIVE", "version": 1, "lastUpdatedAt": "2026-01-01T00:00:00Z", "partitions": partitions,
		})
	}
	return json.Marshal(object{"version": 1, "brokers": members})
}

func partitionsBody(brokers, broker int, phase string) ([]byte, error) {
	type object = map[string]any
	body := object{}
	for p := range partitionsOf(brokers) {
		if !hosts(brokers, broker, p) {
			continue
		}
		role := "FOLLOWER"
		if p%brokers == broker {
			role = "LEADER"
		}
		health := func(id string, children ...object) object {
			return object{
				"id": id, "name": id, "status": "HEALTHY", "componentsState": "HEALTHY", "message": "", "children": children,
			}
		}
		name := fmt.Sprintf("Partition-%d", p+1)
		body[strconv.Itoa(p+1)] = object{
			"role": role, "processedPosition": 14553, "snapshotId": "14466-1-14533-14534-0-47cbea74",
			"processedPositionInSnapshot": 14533, "streamProcessorPhase": "PROCESSING", "exporterPhase": phase,
			"exportedPosition": 14554, "clock": object{
				"instant": "2026-09-29T23:00:06.305Z", "modificationType": "None", "modification": object{},
			},
			"health": health(name, health("ZeebePartition-1"), health("RaftPartition-1"), health("Exporter-1"),
				health("StreamProcessor-1"), health("SnapshotDirector-1")),
		}
	}
	return json.Marshal(body)
}
