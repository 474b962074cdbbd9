// Package cluster runs a whole etcd in the process, on loopback ports, whose members stop and start and whose connections
// hang, for tests of what relies on one.
package cluster

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// The times of a cluster that has to take a machine with few cores, as etcd recommends them for slow networks.
const (
	Heartbeat = 500 * time.Millisecond
	Election  = 5 * time.Second
)

// patience is how long a member may take to start.
const patience = time.Minute

// Cluster is an etcd. Its methods are for one goroutine at a time; those that start something fail the test if they cannot.
type Cluster struct {
	tb      testing.TB
	members []*member
}

type member struct {
	config embed.Config
	front  *Proxy      // to its client port, so that a stop breaks its connections
	etcd   *embed.Etcd // nil while it is stopped
}

// Start starts an etcd of n members that ends with the test. The shorter its times, the sooner it finds a leader, and the
// more often it loses one on a busy machine. Configure may change what a member is started with, and be nil.
func Start(tb testing.TB, n int, heartbeat, election time.Duration, configure func(*embed.Config)) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	dir := tb.TempDir()
	var initial []string
	urls := freeURLs(tb, 2*n)
	for i := range n {
		config := embed.NewConfig()
		config.Name = fmt.Sprintf("member-%d", i)
		config.Dir = filepath.Join(dir, config.Name)
		config.ListenClientUrls, config.AdvertiseClientUrls = urls[2*i:2*i+1], urls[2*i:2*i+1]
		config.ListenPeerUrls, config.AdvertisePeerUrls = urls[2*i+1:2*i+2], urls[2*i+1:2*i+2]
		config.TickMs, config.ElectionMs = uint(heartbeat/time.Millisecond), uint(election/time.Millisecond) //nolint:gosec // Positive.
		config.UnsafeNoFsync = true                                                                          // Machines do not die in these tests, and their disks are slow.
		config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		if configure != nil {
			configure(config)
		}
		initial = append(initial, config.Name+"="+urls[2*i+1].String())
		c.members = append(c.members, &member{config: *config, front: NewProxy(tb, urls[2*i].String())})
	}
	for _, m := range c.members {
		m.config.InitialCluster = strings.Join(initial, ",")
	}
	tb.Cleanup(func() {
		for i := range c.members {
			c.Stop(i)
		}
	})
	c.StartMembers(c.all()...)
	return c
}

// freeURLs are of ports that nobody listens on now. Members must know each other's before any of them starts.
func freeURLs(tb testing.TB, n int) []url.URL {
	tb.Helper()
	urls := make([]url.URL, 0, n)
	for range n {
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // All stay open until the last is found, so that they differ.
		urls = append(urls, url.URL{Scheme: "http", Host: l.Addr().String()})
	}
	return urls
}

func (c *Cluster) all() []int {
	all := make([]int, len(c.members))
	for i := range all {
		all[i] = i
	}
	return all
}

// Endpoint is a member's client URL, whether it runs or not.
func (c *Cluster) Endpoint(i int) string { return c.members[i].front.URL() }

// Endpoints are those of all members.
func (c *Cluster) Endpoints() []string {
	endpoints := make([]string, 0, len(c.members))
	for i := range c.members {
		endpoints = append(endpoints, c.Endpoint(i))
	}
	return endpoints
}

// Stop stops a member abruptly: its connections break, and it hands over nothing. It is idempotent.
func (c *Cluster) Stop(i int) {
	m := c.members[i]
	if m.etcd == nil {
		return
	}
	m.etcd.Server.HardStop()
	m.front.Cut() // Otherwise etcd waits, for up to 15 s, until its clients have left.
	m.etcd.Close()
	m.etcd = nil
}

// StartMembers starts members that are stopped, with the data that they had, and waits until they serve.
func (c *Cluster) StartMembers(members ...int) {
	c.tb.Helper()
	for _, i := range members {
		m := c.members[i]
		if m.etcd != nil {
			continue
		}
		config := m.config
		etcd, err := embed.StartEtcd(&config)
		if err != nil {
			c.tb.Fatalf("start etcd's %s: %v", config.Name, err)
		}
		m.etcd = etcd
		m.front.Heal()
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, i := range members {
		select {
		case <-c.members[i].etcd.Server.ReadyNotify():
		case err := <-c.members[i].etcd.Err():
			c.tb.Fatalf("etcd's %s: %v", c.members[i].config.Name, err)
		case <-late.C:
			c.tb.Fatalf("etcd's %s does not serve after %v", c.members[i].config.Name, patience)
		}
	}
}

// Leader is the member that leads, as the members that run see it; -1 if they see none.
func (c *Cluster) Leader() int {
	for i, m := range c.members {
		if m.etcd != nil && m.etcd.Server.Lead() == uint64(m.etcd.Server.MemberID()) {
			return i
		}
	}
	return -1
}

// Member is a running member, for what tests do to it otherwise; nil while it is stopped.
func (c *Cluster) Member(i int) *embed.Etcd { return c.members[i].etcd }

// Eventually tries again and again, until there is no error, and fails the test if that takes longer than patience.
func Eventually(tb testing.TB, patience time.Duration, what string, try func() error) {
	tb.Helper()
	late := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-late:
			tb.Fatalf("%s: %v", what, err)
		}
	}
}
