package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// hosts are the hosts on which the brokers listen, by broker.
func (c *Cluster) hosts() []string {
	hosts := make([]string, len(c.brokers))
	for i := range hosts {
		hosts[i] = "127.0.0.1"
		if c.options.DistinctHosts {
			hosts[i] = "127.0.0." + strconv.Itoa(i+1)
		}
	}
	return hosts
}

// listenAll listens on a free port of each host: where hosts differ, on the same port of all.
func listenAll(ctx context.Context, hosts []string) ([]net.Listener, error) {
	const attempts = 20 // a port that is free on the first host may be taken on another
	var failure error
	for range attempts {
		listeners, err := listenOnce(ctx, hosts)
		if err == nil {
			return listeners, nil
		}
		failure = errors.Join(append(closeAll(listeners), err)...)
	}
	return nil, failure
}

func listenOnce(ctx context.Context, hosts []string) ([]net.Listener, error) {
	var listeners []net.Listener
	port := "0"
	for i, host := range hosts {
		if i > 0 && host != hosts[0] {
			_, port, _ = net.SplitHostPort(listeners[0].Addr().String()) // a listener's own address is well-formed
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return listeners, fmt.Errorf("listening for a broker: %w", err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) []error {
	errs := make([]error, len(listeners))
	for i, listener := range listeners {
		errs[i] = listener.Close()
	}
	return errs
}

// listen listens on an address that was listened on before, which the system may take a moment to give back.
func listen(ctx context.Context, address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return listener, nil
		}
		if wait(ctx, 10*time.Millisecond) != nil {
			return nil, fmt.Errorf("listening again: %w", err)
		}
	}
}
