package embedded

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
)

// commandPort is the port that the brokers advertise: where real ones take commands, not their management port
// (zeebe-facts.md 5). Nothing listens on it.
const commandPort = 26501

// gateway is the cluster's gRPC gateway, which knows the living brokers only.
type gateway struct {
	gateway_protocol.UnimplementedGatewayServer

	cluster *Cluster
	address string
	server  *grpc.Server
}

func startGateway(ctx context.Context, c *Cluster) (*gateway, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the gateway: %w", err)
	}
	g := &gateway{cluster: c, address: listener.Addr().String()}
	options := []grpc.ServerOption{grpc.UnaryInterceptor(g.admit)}
	if c.options.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(c.options.TLS)))
	}
	g.server = grpc.NewServer(options...)
	gateway_protocol.RegisterGatewayServer(g.server, g)
	c.tasks.Go(func() {
		if err := g.server.Serve(listener); err != nil {
			c.log.ErrorContext(ctx, "embedded gateway does not serve", "error", err)
		}
	})
	return g, nil
}

// stop may be called on a gateway that was never started.
func (g *gateway) stop() {
	if g != nil {
		g.server.Stop()
	}
}

// admit lets in who has a token that is taken.
func (g *gateway) admit(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if takes := g.cluster.options.GatewayToken; takes != nil {
		values := metadata.ValueFromIncomingContext(ctx, "authorization")
		if len(values) != 1 {
			return nil, status.Error(codes.Unauthenticated, "expected bearer token at header with key [authorization], but found nothing")
		}
		if token, ok := strings.CutPrefix(values[0], "Bearer "); !ok || !takes(token) {
			return nil, status.Error(codes.Unauthenticated, "failed to parse bearer token, see cause for details")
		}
	}
	return handler(ctx, request)
}

// Topology tells which brokers are alive and what they host. Partitions of several tenants are told of the first alone,
// as the protocol has no place for tenants.
func (g *gateway) Topology(
	context.Context, *gateway_protocol.TopologyRequest,
) (*gateway_protocol.TopologyResponse, error) {
	c := g.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	topology := &gateway_protocol.TopologyResponse{
		ClusterSize: count(c.options.Brokers), PartitionsCount: count(c.options.Partitions),
		ReplicationFactor: count(c.options.ReplicationFactor),
		GatewayVersion:    c.brokers[0].version.String(), ClusterId: "embedded",
	}
	hosts := c.hosts()
	for _, b := range c.brokers {
		if !b.up {
			continue
		}
		info := &gateway_protocol.BrokerInfo{
			NodeId: count(b.id), Host: hosts[b.id], Port: commandPort, Version: b.version.String(),
		}
		for _, r := range b.replicas {
			if r.partition.tenant == c.options.tenants()[0] {
				info.Partitions = append(info.Partitions, r.gossip())
			}
		}
		topology.Brokers = append(topology.Brokers, info)
	}
	return topology, nil
}

// gossip is a replica as the gateway knows it.
func (r *replica) gossip() *gateway_protocol.Partition {
	p := &gateway_protocol.Partition{PartitionId: count(r.partition.id)}
	switch r.role() {
	case Leader:
		p.Role = gateway_protocol.Partition_LEADER
	case Inactive:
		p.Role = gateway_protocol.Partition_INACTIVE
		p.Health = gateway_protocol.Partition_UNHEALTHY
	case Follower, Candidate:
		p.Role = gateway_protocol.Partition_FOLLOWER
	}
	return p
}

// count is a small number as the protocol has it.
func count(n int) int32 {
	if n < 0 || n > math.MaxInt32 {
		return 0
	}
	return int32(n)
}
