package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchTimeout bounds each request to an issuer, its answer included.
	fetchTimeout = 10 * time.Second
	// maxAnswer is more than issuers say, maxKeys more than they have.
	maxAnswer, maxKeys = 1 << 20, 100
	maxRedirects       = 3
	// maxReason is how much is kept of an error, which may have all that somebody answered.
	maxReason = 300
)

// newClient speaks to an issuer, which is trusted for whose tokens it signs and for nothing else: not for how long and how
// much it answers.
func newClient(dialTLS func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: limitedTransport{&http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: fetchTimeout}).DialContext, DialTLSContext: dialTLS,
			TLSHandshakeTimeout: fetchTimeout, ForceAttemptHTTP2: dialTLS == nil, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if from := via[0].URL; r.URL.Host != from.Host || r.URL.Scheme != from.Scheme || len(via) > maxRedirects {
				return errors.New("it leads elsewhere, which is not followed")
			}
			return nil
		},
	}
}

// limitedTransport cuts answers off that are too long.
type limitedTransport struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (t limitedTransport) CloseIdleConnections() {
	if closer, is := t.RoundTripper.(interface{ CloseIdleConnections() }); is {
		closer.CloseIdleConnections()
	}
}

// fetch asks an issuer where its keys are, and for the keys. Both may change.
func fetch(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", shortened(err))
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("discovery: %w", shortened(err))
	}
	if err := checkKeysURL(issuer, document.Keys); err != nil {
		return nil, err
	}
	content, err := get(ctx, client, document.Keys)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", shortened(err))
	}
	return parseKeys(content)
}

// checkKeysURL refuses keys that anybody on the way could replace.
func checkKeysURL(issuer, keys string) error {
	u, err := url.Parse(keys)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || strings.HasPrefix(issuer, "https:")) {
		return errors.New("discovery: the issuer has no jwks_uri, or one that is not safe: it must be https")
	}
	return nil
}

func get(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // It was only read.
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(response.Body)
}

// parseKeys reads a set of keys and keeps those that signatures of an issuer can be verified with. Others are none of ours, so
// that one of a new kind among them does not spoil the rest (RFC 7517, section 5).
func parseKeys(content []byte) ([]jose.JSONWebKey, error) {
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("keys: the answer is no set of keys: %w", shortened(err))
	}
	var set []jose.JSONWebKey
	for _, raw := range all.Keys[:min(len(all.Keys), maxKeys)] {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err == nil && key.IsPublic() && cmp.Or(key.Use, "sig") == "sig" {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil, errors.New("keys: the issuer has none that could verify a signature")
	}
	return set, nil
}

// shortened is an error that fits into a line.
func shortened(err error) error {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) <= maxReason {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:maxReason], "") + "…")
}
