package embedded

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
)

func topology(t *testing.T, c *Cluster) *gateway_protocol.TopologyResponse {
	t.Helper()
	conn, err := grpc.NewClient(c.Gateway(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	response, err := gateway_protocol.NewGatewayClient(conn).Topology(t.Context(), &gateway_protocol.TopologyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestTopologyKnowsTheLivingBrokers(t *testing.T) {
	c := start(t, Options{Partitions: 1, Versions: []string{"8.9", "8.9", "8.10"}, DistinctHosts: true})
	broker := func(id int32, host, version string, partition *gateway_protocol.Partition) *gateway_protocol.BrokerInfo {
		return &gateway_protocol.BrokerInfo{
			NodeId: id, Host: host, Port: 26501, Version: version, Partitions: []*gateway_protocol.Partition{partition},
		}
	}
	want := func(brokers ...*gateway_protocol.BrokerInfo) *gateway_protocol.TopologyResponse {
		return &gateway_protocol.TopologyResponse{
			ClusterSize: 3, PartitionsCount: 1, ReplicationFactor: 3, GatewayVersion: "8.9.27", ClusterId: "embedded",
			Brokers: brokers,
		}
	}
	leader := &gateway_protocol.Partition{PartitionId: 1, Role: gateway_protocol.Partition_LEADER}
	follower := &gateway_protocol.Partition{PartitionId: 1, Role: gateway_protocol.Partition_FOLLOWER}
	inactive := &gateway_protocol.Partition{
		PartitionId: 1, Role: gateway_protocol.Partition_INACTIVE, Health: gateway_protocol.Partition_UNHEALTHY,
	}

	c.Broker(2).SetFaults(InactiveReplica(1))
	all := want(
		broker(0, "127.0.0.1", "8.9.27", leader), broker(1, "127.0.0.2", "8.9.27", follower),
		broker(2, "127.0.0.3", "8.10.0", inactive),
	)
	if diff := cmp.Diff(all, topology(t, c), protocmp.Transform()); diff != "" {
		t.Errorf("topology (-want +got):\n%s", diff)
	}

	c.Broker(2).Clear()
	c.Broker(1).Stop()
	rest := want(broker(0, "127.0.0.1", "8.9.27", leader), broker(2, "127.0.0.3", "8.10.0", follower))
	if diff := cmp.Diff(rest, topology(t, c), protocmp.Transform()); diff != "" {
		t.Errorf("topology without broker 1 (-want +got):\n%s", diff)
	}
}

func TestTopologyKnowsOneTenant(t *testing.T) {
	c := start(t, Options{Brokers: 1, Partitions: 2, Version: "8.10", Tenants: []string{"a", "b"}})
	if got := len(topology(t, c).GetBrokers()[0].GetPartitions()); got != 2 {
		t.Errorf("%d partitions, want 2", got)
	}
}
