package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// controlHelp heads the state on the control page.
const controlHelp = `The embedded cluster: trouble on demand. Send these with curl -X POST to this address.

  /brokers/1/stop                  and start, restart, lose-disk (while it is stopped)
  /brokers/1/hang                  and the other faults: refuse, empty, html, garbage, truncated, slow, flaky,
                                   swallow, late, show-once, flicker, close, inactive?partition=2,
                                   fill-disk?free=5 (leaves 5%)
  /brokers/1/clear                 ends the broker's fault
  /partitions/2/leader?broker=0    makes a broker lead

The truth, whatever the brokers answer:

`

// Control is a handler for trying faults from a terminal. It answers in plain text and has no authentication: serve it
// on a loopback address only.
func (c *Cluster) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.getState)
	mux.HandleFunc("POST /brokers/{broker}/{action}", c.postBroker)
	mux.HandleFunc("POST /partitions/{partition}/leader", c.postLeader)
	return mux
}

func (c *Cluster) getState(w http.ResponseWriter, _ *http.Request) {
	var text strings.Builder
	text.WriteString(controlHelp)
	for _, b := range c.Brokers() {
		state := "up"
		if !b.Up() {
			state = "down"
		}
		fmt.Fprintf(&text, "broker %d  %s  %-4s  %s  %s\n",
			b.ID(), b.Version(), state, b.Address(), strings.Join(b.Faults(), ", "))
	}
	text.WriteString("\n")
	for _, r := range c.Replicas() {
		fmt.Fprintf(&text, "partition %d  broker %d  %-9s  %-11s  exported %d  %s\n",
			r.Partition, r.Broker, r.Role, r.Phase, r.Exported, r.Tenant)
	}
	answerText(w, http.StatusOK, text.String())
}

func (c *Cluster) postBroker(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("broker"))
	b := c.Broker(id)
	if err != nil || b == nil {
		answerText(w, http.StatusNotFound, "there is no such broker\n")
		return
	}
	action := r.PathValue("action")
	faults := map[string]func() Fault{
		"hang": Hang, "html": HTML, "garbage": Garbage, "truncated": Truncated, "swallow": Swallow,
		"show-once": ShowOnce, "flicker": Flicker, "close": CloseDirectors,
		"refuse": func() Fault { return Status(http.StatusInternalServerError) },
		"empty":  func() Fault { return Empty(c.options.EmptyDelay) },
		"slow":   func() Fault { return Slow(3 * time.Second) },
		"late":   func() Fault { return Late(5 * time.Second) },
		"flaky":  func() Fault { return FailSome(0.1, uint64(time.Now().UnixNano())) },
	}
	switch fault, ok := faults[action]; {
	case ok:
		b.SetFaults(fault())
	case action == "inactive":
		partition, atoiErr := strconv.Atoi(r.URL.Query().Get("partition"))
		if atoiErr != nil || c.Partition(partition) == nil {
			err = errors.New("there is no such partition: name one, as in inactive?partition=1")
			break
		}
		b.SetFaults(InactiveReplica(partition))
	case action == "fill-disk":
		free, parseErr := strconv.ParseFloat(r.URL.Query().Get("free"), 64)
		if parseErr != nil || !(free >= 0 && free <= 100) {
			err = errors.New("say how much of the disk is left, in percent, as in fill-disk?free=5")
			break
		}
		b.SetFaults(FillDisk(free))
	case action == "clear":
		b.Clear()
	case action == "stop":
		b.Stop()
	case action == "start":
		err = b.Start(context.WithoutCancel(r.Context())) // a caller that goes away leaves no broker half started
	case action == "restart":
		err = b.Restart(context.WithoutCancel(r.Context()))
	case action == "lose-disk":
		err = b.LoseDisk()
	default:
		err = errors.New("a broker cannot do that: GET / tells what it can")
	}
	answerAction(w, err)
}

func (c *Cluster) postLeader(w http.ResponseWriter, r *http.Request) {
	partition, errPartition := strconv.Atoi(r.PathValue("partition"))
	broker, errBroker := strconv.Atoi(r.URL.Query().Get("broker"))
	if errPartition != nil || errBroker != nil || c.Partition(partition) == nil {
		answerText(w, http.StatusBadRequest, "name a partition and a broker, as in /partitions/2/leader?broker=0\n")
		return
	}
	answerAction(w, c.Partition(partition).TransferLeader(broker))
}

func answerAction(w http.ResponseWriter, err error) {
	if err != nil {
		answerText(w, http.StatusConflict, err.Error()+"\n")
		return
	}
	answerText(w, http.StatusOK, "done\n")
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a caller that has gone misses nothing
}
