package zeebe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/exporting"
)

// maxReconnect bounds how late a gateway that is back is noticed; grpc's own default is two minutes.
const maxReconnect = 5 * time.Second

// gatewayFinder finds the brokers that a gateway's gRPC Topology tells (zeebe-facts.md 5).
type gatewayFinder struct {
	target  string
	conn    *grpc.ClientConn
	client  gateway_protocol.GatewayClient
	address func(host string) string
	timeout time.Duration

	mu   sync.Mutex
	last discovery // the gateway's last answer, without versions and counts
}

func newGatewayFinder(target, template string, timeout time.Duration) (*gatewayFinder, error) {
	host, port, err := net.SplitHostPort(target)
	if number, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || number == 0 || host == "" {
		return nil, fmt.Errorf("zeebe.gateway: %q is not host:port: write it as zeebe-gateway:26500",
			withoutCredentials(target))
	}
	address, err := parseTemplate(template)
	if err != nil {
		return nil, err
	}
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = maxReconnect
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: timeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("zeebe.gateway: %q: %w", target, err)
	}
	return &gatewayFinder{
		target: target, conn: conn, client: gateway_protocol.NewGatewayClient(conn), address: address, timeout: timeout,
	}, nil
}

func (f *gatewayFinder) close() error { return f.conn.Close() }

// find asks the gateway. Where it does not answer, the brokers that it told last are still worth asking: a resume must
// not fail because a gateway is down.
func (f *gatewayFinder) find(ctx context.Context) (discovery, error) {
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	answer, err := f.client.Topology(limited, &gateway_protocol.TopologyRequest{})
	if err != nil {
		err = fmt.Errorf("gateway %s: %w", f.target, &silentError{words: rpcWords(err, f.timeout), err: err})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		var d discovery
		if d, err = f.read(answer); err == nil {
			f.last = discovery{endpoints: withoutVersions(d.endpoints), cluster: d.cluster, names: d.names}
			return d, nil
		}
	}
	if len(f.last.endpoints) == 0 {
		return discovery{}, err
	}
	last := f.last
	last.trouble = err
	return last, nil
}

// read takes over what the gateway told. Its roles and healths are not looked at: an unset one reads as a healthy
// leader.
func (f *gatewayFinder) read(answer *gateway_protocol.TopologyResponse) (discovery, error) {
	d := discovery{gateway: f.target, cluster: excerpt(answer.GetClusterId(), shortExcerpt), counts: counts{
		brokers:           plausible(answer.GetClusterSize()),
		partitions:        plausible(answer.GetPartitionsCount()),
		replicationFactor: plausible(answer.GetReplicationFactor()),
	}}
	if n := len(answer.GetBrokers()); n > maxCount {
		return discovery{}, fmt.Errorf("gateway %s tells %d brokers, more than any cluster", f.target, n)
	}
	told := make(map[string]string, len(answer.GetBrokers()))
	for _, b := range answer.GetBrokers() {
		id := strconv.Itoa(int(b.GetNodeId()))
		address := f.address(b.GetHost())
		if _, err := parseBase(address); err != nil || b.GetHost() == "" {
			return discovery{}, fmt.Errorf("gateway %s tells the host %q of broker %s, which makes no address",
				f.target, excerpt(b.GetHost(), shortExcerpt), id)
		}
		if other, ok := told[address]; ok {
			return discovery{}, fmt.Errorf("gateway %s and zeebe.management-url give brokers %s and %s the same address %s: "+
				"list them in zeebe.brokers instead", f.target, other, id, address)
		}
		told[address] = id
		d.names = append(d.names, address)
		d.endpoints = append(d.endpoints, endpoint{
			id: exporting.BrokerID(id), from: fromGateway, address: address, version: b.GetVersion(),
		})
	}
	if len(d.endpoints) == 0 {
		return discovery{}, fmt.Errorf("gateway %s knows no broker yet", f.target)
	}
	return d, nil
}

// withoutVersions forgets what may have changed since the gateway was heard.
func withoutVersions(endpoints []endpoint) []endpoint {
	old := make([]endpoint, len(endpoints))
	for i, e := range endpoints {
		e.version = ""
		old[i] = e
	}
	return old
}

// plausible is a told count, or 0 where it cannot be one.
func plausible(n int32) int {
	if n < 0 || n > maxCount {
		return 0
	}
	return int(n)
}

// rpcWords says in a few words why a gateway did not answer.
func rpcWords(err error, timeout time.Duration) string {
	switch s := status.Convert(err); {
	case s.Code() == codes.DeadlineExceeded:
		return fmt.Sprintf("no answer within %s", timeout)
	case s.Code() == codes.Canceled:
		return "given up before it answered"
	case s.Code() == codes.Unimplemented:
		return "it is not a Zeebe gateway (no Topology): check host and port"
	default:
		return excerpt(s.Message(), longExcerpt)
	}
}
