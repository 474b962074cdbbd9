package embedded

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// Brokers and the gateway serve TLS, also after a restart, and to nobody without a certificate where one is asked for.
func TestTLS(t *testing.T) {
	ca := certstest.NewAuthority(t, "ca")
	own := ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}})
	c := start(t, Options{Brokers: 2, Partitions: 1, TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own.TLS}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	if err := c.Broker(1).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		client   []tls.Certificate
		answered bool
	}{{"a certificate", []tls.Certificate{own.TLS}, true}, {"none", nil, false}} {
		config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool(), Certificates: test.client}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		for _, address := range c.Addresses() {
			body, err := links(t.Context(), client, address)
			if answered := err == nil; answered != test.answered || answered && !strings.Contains(body, `"href":"https://`) {
				t.Errorf("with %s %s answers %q, %v", test.name, address, body, err)
			}
		}
		if err := askGateway(t, c, config, ""); (err == nil) != test.answered {
			t.Errorf("with %s the gateway answers %v", test.name, err)
		}
	}
}

func TestGatewayToken(t *testing.T) {
	ca := certstest.NewAuthority(t, "ca")
	own := ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}})
	c := start(t, Options{
		Brokers: 1, Partitions: 1, TLS: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own.TLS}},
		GatewayToken: func(token string) bool { return token == "good" },
	})
	for header, want := range map[string]codes.Code{
		"Bearer good": codes.OK, "Bearer bad": codes.Unauthenticated, "good": codes.Unauthenticated, "": codes.Unauthenticated,
	} {
		err := askGateway(t, c, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool()}, header)
		if status.Code(err) != want {
			t.Errorf("to %q it answers %v, want %v", header, err, want)
		}
	}
}

// links asks for a broker's links.
func links(ctx context.Context, client *http.Client, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// askGateway asks for the topology, with an authorization unless it is empty.
func askGateway(t *testing.T, c *Cluster, config *tls.Config, authorization string) error {
	t.Helper()
	conn, err := grpc.NewClient(c.Gateway(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx := t.Context()
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	_, err = gateway_protocol.NewGatewayClient(conn).Topology(ctx, &gateway_protocol.TopologyRequest{})
	return err
}
