package zeebe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/exporting"
)

// fakeGateway is a gateway that tells what a test makes it tell.
type fakeGateway struct {
	gateway_protocol.UnimplementedGatewayServer
	address string

	mu     sync.Mutex
	answer *gateway_protocol.TopologyResponse
	err    error
	asked  []metadata.MD // with what it was called
}

func newFakeGateway(t *testing.T, answer *gateway_protocol.TopologyResponse) *fakeGateway {
	t.Helper()
	return newFakeGatewayOver(t, nil, answer)
}

// newFakeGatewayOver is one that serves TLS, unless config is nil.
func newFakeGatewayOver(t *testing.T, config *tls.Config, answer *gateway_protocol.TopologyResponse) *fakeGateway {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &fakeGateway{answer: answer, address: listener.Addr().String()}
	var options []grpc.ServerOption
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	server := grpc.NewServer(options...)
	gateway_protocol.RegisterGatewayServer(server, g)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *fakeGateway) Topology(
	ctx context.Context, _ *gateway_protocol.TopologyRequest,
) (*gateway_protocol.TopologyResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	g.asked = append(g.asked, md)
	return g.answer, g.err
}

func (g *fakeGateway) tells(answer *gateway_protocol.TopologyResponse, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer, g.err = answer, err
}

// gatewayClient makes a client that reaches a broker by the host that a gateway tells.
func gatewayClient(t *testing.T, g *fakeGateway, b *fakeBroker) *Client {
	t.Helper()
	return gatewayClientWith(t, g, b, nil)
}

// gatewayClientWith is one with other options.
func gatewayClientWith(t *testing.T, g *fakeGateway, b *fakeBroker, change func(*Options)) *Client {
	t.Helper()
	_, port, err := net.SplitHostPort(b.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, func(o *Options) {
		o.Gateway, o.ManagementURL = g.address, "http://{host}:"+port+"/actuator"
		if change != nil {
			change(o)
		}
	})
}

func told(id int32, host, version string) *gateway_protocol.BrokerInfo {
	return &gateway_protocol.BrokerInfo{NodeId: id, Host: host, Port: 26501, Version: version}
}

func TestGateway(t *testing.T) {
	b := newFakeBroker(t).new810("EXPORTING")
	g := newFakeGateway(t, &gateway_protocol.TopologyResponse{
		Brokers:     []*gateway_protocol.BrokerInfo{told(1, "127.0.0.1", "8.10.2")},
		ClusterSize: 2, PartitionsCount: 2, ReplicationFactor: 2, GatewayVersion: "8.9.0",
	})
	c := gatewayClient(t, g, b)
	lever := exporting.Lever{ID: clusterLever, Planned: true, SoftToHard: true}
	broker := exporting.Broker{ID: "1", Address: b.address(), Version: "8.10.2", Lever: clusterLever, SoftPause: true}

	b.on("GET /cluster", http.StatusOK, clusterOf("0", "1"))
	want := &exporting.Topology{
		Brokers: []exporting.Broker{{ID: "0", SoftPause: true}, broker},
		Levers:  []exporting.Lever{lever},
		Expected: []exporting.ExpectedPartition{
			{ID: exporting.PartitionID{ID: 1}, Replicas: 2, Members: ids("0", "1")},
		},
		ReplicationFactor: 2,
		Source:            "GET cluster of " + b.address(),
		Names:             []string{b.address()},
	}
	if diff := cmp.Diff(want, topologyOf(t, c)); diff != "" {
		t.Errorf("topology differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /cluster"}, b.requests()); diff != "" {
		t.Errorf("a gateway tells versions, but the broker was asked (-want +got):\n%s", diff)
	}

	// The gateway's counts are second best; its answer alone makes a topology.
	b.server.Close()
	want = &exporting.Topology{
		Brokers: []exporting.Broker{broker},
		Levers:  []exporting.Lever{lever},
		Expected: []exporting.ExpectedPartition{
			{ID: exporting.PartitionID{ID: 1}, Replicas: 2}, {ID: exporting.PartitionID{ID: 2}, Replicas: 2},
		},
		ReplicationFactor: 2,
		Source:            "the topology of gateway " + g.address,
		Names:             []string{b.address()},
	}
	if diff := cmp.Diff(want, topologyOf(t, c)); diff != "" {
		t.Errorf("topology without brokers differs (-want +got):\n%s", diff)
	}
}

// TestGatewayFails proves that the brokers which a gateway told last are still driven when it is down.
func TestGatewayFails(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	g := newFakeGateway(t, nil)
	g.tells(nil, status.Error(codes.Unavailable, "starting"))
	c := gatewayClient(t, g, b)
	_, err := c.Topology(t.Context())
	wantError(t, err, "brokers cannot be found", "gateway "+g.address, "starting")

	g.tells(&gateway_protocol.TopologyResponse{
		Brokers: []*gateway_protocol.BrokerInfo{told(0, "127.0.0.1", "8.9.3")},
	}, nil)
	before := topologyOf(t, c)
	g.tells(nil, status.Error(codes.Unavailable, "stopping"))
	after := topologyOf(t, c)
	if before.Brokers[0].Version != "8.9.3" {
		t.Errorf("the version is %q, want 8.9.3", before.Brokers[0].Version)
	}
	// What the gateway told of versions may have changed since.
	before.Brokers[0].Version = "before 8.10" // as it shows itself
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the topology without the gateway differs (-before +after):\n%s", diff)
	}
	b.server.Close()
	_, err = c.Topology(t.Context())
	wantError(t, err, "no broker answers")
}

func TestGatewayAnswers(t *testing.T) {
	one := func(brokers ...*gateway_protocol.BrokerInfo) *gateway_protocol.TopologyResponse {
		return &gateway_protocol.TopologyResponse{Brokers: brokers}
	}
	for _, test := range []struct {
		name   string
		answer *gateway_protocol.TopologyResponse
		err    error
		says   string
	}{
		{"no brokers", one(), nil, "knows no broker yet"},
		{"no host", one(told(0, "", "")), nil, `host "" of broker 0`},
		{"a strange host", one(told(0, "a b/c?", "")), nil, `host "a b/c?" of broker 0`},
		{"one host for all", one(told(0, "a", ""), told(1, "a", "")), nil, "brokers 0 and 1 the same address"},
		{"no gateway at all", nil, status.Error(codes.Unimplemented, "unknown service"), "not a Zeebe gateway"},
		{"a refusal", nil, status.Error(codes.PermissionDenied, "no\x1b[2J"), "no [2J"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newFakeGateway(t, nil)
			g.tells(test.answer, test.err)
			_, err := gatewayClient(t, g, newFakeBroker(t)).Topology(t.Context())
			wantError(t, err, g.address, test.says)
		})
	}
}

func TestGatewayImplausibleCounts(t *testing.T) {
	b := newFakeBroker(t)
	g := newFakeGateway(t, &gateway_protocol.TopologyResponse{
		Brokers:         []*gateway_protocol.BrokerInfo{told(0, "127.0.0.1", "8.9.3")},
		PartitionsCount: 1 << 30, ReplicationFactor: -1,
	})
	topology := topologyOf(t, gatewayClient(t, g, b))
	if len(topology.Expected) != 0 || topology.Source != "" {
		t.Errorf("counts that cannot be made %d partitions, source %q", len(topology.Expected), topology.Source)
	}
}

func TestGatewayDown(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, func(o *Options) { o.Gateway = listener.Addr().String() })
	_, err = c.Topology(t.Context())
	wantError(t, err, "gateway "+listener.Addr().String(), "connection refused")
}
