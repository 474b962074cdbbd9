package servertest_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// Other processes open thousands of connections to each door and leave them as they are, more than it takes: nobody else is
// disturbed, on connections that were there, on new ones, or while watching. Nothing runs beside it: what this process leaves
// idle for a second, because the processors are busy, may be closed as well.
func TestIdleConnections(t *testing.T) {
	processes, many, settings := 1, 1000, map[string]string{"limits.connections": "800"}
	if *soak {
		processes, many, settings = 2, 5000, map[string]string{} // More than a door takes by default, before it hangs up on silence.
	}
	ca := certstest.NewAuthority(t, "ca")
	for name, who := range map[string]servertest.Identity{"plain": {}, "TLS": trusting(ca)} {
		t.Run(name, func(t *testing.T) {
			o := servertest.Options{Cluster: embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: 100 * time.Millisecond}}
			o.Settings = maps.Clone(settings)
			if who.TLS != nil {
				o.Settings = secureDoors(t, ca, settings)
			}
			o.Settings["limits.calls-per-second"] = "0" // Who calls here is one caller.
			h := servertest.Start(t, o)
			d := newDisturbed(t, h, who)
			open := processes * len(servertest.Doors())
			opened := make(chan int, open)
			for i := range open {
				flood(t, many, addressOf(h, servertest.Doors()[i%2]), opened)
			}
			rounds := 0
			for ; open > 0; rounds++ {
				d.call(rounds%5 == 0)
				select {
				case n := <-opened:
					open--
					if n != many {
						t.Errorf("another process opened %d connections, want %d", n, many)
					}
				default:
				}
			}
			t.Logf("%d rounds of calls meanwhile", rounds)
			d.check()
		})
	}
}

// disturbed is who uses a server meanwhile.
type disturbed struct {
	*testing.T

	h       *servertest.Harness
	who     servertest.Identity
	kept    []servertest.Route
	watches map[servertest.Form]*servertest.Watch
}

func newDisturbed(t *testing.T, h *servertest.Harness, who servertest.Identity) *disturbed {
	t.Helper()
	d := &disturbed{T: t, h: h, who: who, watches: map[servertest.Form]*servertest.Watch{}}
	for _, door := range servertest.Doors() {
		d.kept = append(d.kept, h.As(t, door, who))
	}
	for _, form := range servertest.Forms() {
		w := h.WatchAs(t, form, "", who)
		if _, o := w.Next(); !o.OK() {
			t.Fatalf("watch by %s: %v", form, o)
		}
		d.watches[form] = w
	}
	return d
}

// call makes a call through each door on a connection that stays, and on a new one where that is asked for.
func (d *disturbed) call(anew bool) {
	d.Helper()
	routes := d.kept
	if anew {
		for _, door := range servertest.Doors() {
			route, err := servertest.DialAs(door, addressOf(d.h, door), d.who)
			if err != nil {
				d.Fatal(err)
			}
			defer route.Close()
			routes = append(slices.Clip(routes), route)
		}
	}
	for i, route := range routes {
		if o := route.GetStatus(d.Context()); !o.OK() {
			d.Errorf("a call, stays %t: %v", i < len(d.kept), o)
		}
	}
}

// check expects that those who watched are told of what happens now, and that metrics have counted.
func (d *disturbed) check() {
	d.Helper()
	if o := d.kept[0].Pause(d.Context(), named(lastHold)); !o.OK() {
		d.Errorf("a pause: %v", o)
	}
	for form, w := range d.watches {
		if err := awaitLastHold(w); err != nil {
			d.Errorf("the watch by %s: %v", form, err)
		}
	}
	client, base := clientOf(d, d.h, d.who)
	metrics := scrape(d, client, base)
	for _, door := range []string{"http", "grpc"} {
		if metrics[`exportgate_connections_displaced_total{door="`+door+`"}`] == 0 || metrics[`exportgate_connections{door="`+door+`"}`] == 0 {
			d.Errorf("metrics do not tell of the %s door's connections: %v displaced, %v open", door,
				metrics[`exportgate_connections_displaced_total{door="`+door+`"}`], metrics[`exportgate_connections{door="`+door+`"}`])
		}
	}
	if got := ask(d, client, http.MethodGet, base, "/health/liveness"); got.status != http.StatusOK {
		d.Errorf("health is %d", got.status)
	}
}

// flood opens connections from another process, which keeps them until the test ends, and sends how many it opened.
func flood(t *testing.T, many int, address string, opened chan<- int) {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], address)
	command.Env = append(os.Environ(), servertest.FloodVariable+"="+strconv.Itoa(many), "GORACE=atexit_sleep_ms=0")
	command.Stderr = t.Output()
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var n int
		line, _ := bufio.NewReader(out).ReadString('\n')
		_, _ = fmt.Sscan(line, &n)
		opened <- n
	}()
	t.Cleanup(func() {
		_ = in.Close() // It ends with it.
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	})
}
