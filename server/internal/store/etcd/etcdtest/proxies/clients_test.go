package proxies

import (
	"context"
	"math/rand/v2"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/servertest"
	"google.golang.org/protobuf/types/known/durationpb"
)

// operator is the name of the anonymous hold.
const operator = "operator"

// kind is what a named hold is: always the same, so that none replaces another.
type kind struct {
	soft bool
	ttl  time.Duration // zero is an hour, which is longer than the test
}

// client asks servers at random for this and that.
type client struct {
	*history

	number int
	random *rand.Rand
	fleet  *fleet
	kinds  map[string]kind
	most   int // calls of all clients together
	// Where it got no clear answer it does not ask again for some time: each such call may take effect at any time later, and
	// the checker has to try them all.
	avoided *proxy
	until   time.Time
}

// answered is how long a client waits for an answer: longer than a server takes to give one.
const answered = 6 * time.Second

// run calls until the context ends, or the calls are used up. A call that is under way then is waited for.
func (c *client) run(ctx context.Context) {
	pause := time.NewTicker(time.Duration(20+c.random.IntN(40)) * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		proxy := c.fleet.proxies[c.random.IntN(len(c.fleet.proxies))]
		process := proxy.running()
		if process == nil || proxy == c.avoided && time.Now().Before(c.until) {
			continue
		}
		call, ok := c.begin(c.number, c.most)
		if !ok {
			return
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), answered)
		if o := c.act(limited, call, process.route(servertest.Doors()[c.random.IntN(2)])); unclear(o) {
			c.avoided, c.until = proxy, time.Now().Add(answered)
		}
		cancel()
	}
}

// act makes one call, and returns its outcome.
func (c *client) act(ctx context.Context, call call, route servertest.Route) (o servertest.Outcome) {
	name := c.names[c.random.IntN(len(c.names))]
	kind := c.kinds[name]
	in := input{verb: place, keep: c.random.IntN(3) > 0, ttl: kind.ttl}
	ttl := time.Hour
	if kind.ttl > 0 {
		ttl = kind.ttl
	}
	dice := c.random.IntN(100)
	uid, known := c.known(name, c.random.IntN)
	switch {
	case dice < 3:
		o = route.Resume(ctx, &exportgatev1.ResumeRequest{Force: true})
		call.forced(o)
	case dice < 20 && known:
		in.verb, in.uid = renew, uid
		o = route.Pause(ctx, &exportgatev1.PauseRequest{Renew: uid, Ttl: durationpb.New(ttl)})
		call.paused(name, in, o)
	case dice < 60:
		request := &exportgatev1.PauseRequest{Hold: name, Soft: kind.soft, Ttl: durationpb.New(ttl)}
		if request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_REVERT; in.keep {
			request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_KEEP
		}
		o = route.Pause(ctx, request)
		call.paused(name, in, o)
	case dice < 65 || name == operator:
		o = route.Resume(ctx, &exportgatev1.ResumeRequest{})
		call.resumed(operator, o)
	default:
		o = route.Resume(ctx, &exportgatev1.ResumeRequest{Hold: name})
		call.released(name, o)
	}
	return o
}
