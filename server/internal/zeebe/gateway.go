package zeebe

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/tracing"
)

// topologyMethod is what the gateway is asked.
const topologyMethod = "gateway_protocol.Gateway/Topology"

// maxReconnect bounds how late a gateway that is back is noticed; grpc's own default is two minutes.
const maxReconnect = 5 * time.Second

// gatewayFinder finds the brokers that a gateway's gRPC Topology tells (zeebe-facts.md 5).
type gatewayFinder struct {
	target  string
	conn    *grpc.ClientConn
	client  gateway_protocol.GatewayClient
	address func(host string) string
	timeout time.Duration

	tokens   *tokens // nil where the gateway does not ask who calls
	observer *observer

	mu   sync.Mutex
	last discovery // the gateway's last answer, without versions and counts
}

// parseGateway parses zeebe.gateway: host:port, with https:// or grpcs:// before it where the gateway speaks TLS.
func parseGateway(text string) (target string, secure bool, err error) {
	target = text
	for _, scheme := range []string{"https://", "grpcs://"} {
		if rest, ok := strings.CutPrefix(target, scheme); ok {
			target, secure = rest, true
			break
		}
	}
	host, port, err := net.SplitHostPort(target)
	if number, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || number == 0 || host == "" || strings.ContainsAny(host, "/@") {
		return "", false, fmt.Errorf("zeebe.gateway: %q is not host:port: write it as zeebe-gateway:26500, or as "+
			"https://zeebe-gateway:26500 where it speaks TLS", withoutCredentials(text))
	}
	return target, secure, nil
}

func (c *Client) newGatewayFinder(o *Options, secure *certs.Source) (*gatewayFinder, error) {
	target, isSecure, err := parseGateway(o.Gateway)
	if err != nil {
		return nil, err
	}
	address, err := parseTemplate(cmp.Or(o.ManagementURL, defaultManagementURL))
	if err != nil {
		return nil, err
	}
	f := &gatewayFinder{target: target, address: address, timeout: c.timeout, observer: c.observer}
	if o.OAuth.TokenURL != "" {
		if !isSecure && !isLoopback(target) {
			return nil, fmt.Errorf("zeebe.gateway: a token must not travel in the clear: write it as https://%s", target)
		}
		if f.tokens, err = newTokens(&o.OAuth, c.timeout, c.observer); err != nil {
			return nil, err
		}
	}
	transport := insecure.NewCredentials()
	if isSecure {
		transport = secure.Credentials()
	}
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = maxReconnect
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(transport),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: c.timeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("zeebe.gateway: %q: %w", target, err)
	}
	f.conn, f.client = conn, gateway_protocol.NewGatewayClient(conn)
	return f, nil
}

// isLoopback reports whether a host:port is on this machine.
func isLoopback(target string) bool {
	host, _, _ := net.SplitHostPort(target) // It was checked.
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (f *gatewayFinder) close() error {
	f.tokens.close()
	return f.conn.Close()
}

// find asks the gateway. Where it does not answer, the brokers that it told last are still worth asking: a resume must
// not fail because a gateway is down.
func (f *gatewayFinder) find(ctx context.Context) (discovery, error) {
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	answer, err := f.ask(limited)
	if err != nil {
		err = fmt.Errorf("gateway %s: %w", f.target, err)
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

// ask asks for the topology, with a token where the gateway wants one.
func (f *gatewayFinder) ask(ctx context.Context) (answer *gateway_protocol.TopologyResponse, err error) {
	authorization, outgoing := "", metadata.MD{}
	if f.tokens != nil {
		if authorization, err = f.tokens.header(ctx); err != nil {
			return nil, err
		}
		outgoing.Set("authorization", authorization)
	}
	ctx, end := f.observer.begin(ctx, operationTopology, topologyMethod, func() []attribute.KeyValue {
		return append(serverAttributes(f.target), semconv.RPCSystemNameGRPC, semconv.RPCMethod(topologyMethod))
	})
	for name, value := range tracing.Headers(ctx) {
		outgoing.Set(name, value)
	}
	// Nothing else goes along: what a caller sent here is not the gateway's.
	answer, err = f.client.Topology(metadata.NewOutgoingContext(ctx, outgoing), &gateway_protocol.TopologyRequest{})
	end(rpcOutcome(err))
	if err != nil {
		if f.tokens != nil && status.Code(err) == codes.Unauthenticated {
			f.tokens.refused(authorization)
		}
		return nil, &silentError{words: rpcWords(err, f.timeout), err: err}
	}
	return answer, nil
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
	case s.Code() == codes.Unauthenticated || s.Code() == codes.PermissionDenied:
		return excerpt("it refused the call: "+s.Message(), longExcerpt) + " (check zeebe.oauth.*)"
	case s.Code() == codes.Unimplemented:
		return "it is not a Zeebe gateway (no Topology): check host and port"
	default:
		return excerpt(s.Message(), longExcerpt)
	}
}
