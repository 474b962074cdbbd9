package zeebe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/exportgate/exportgate/server/internal/certs"
)

// refreshBefore is how long before its end a token is replaced. In between, the old one still serves where no new one is to
// be had.
const refreshBefore = 30 * time.Second

// OAuth is how this program proves to the gateway who it is: OAuth 2 client credentials, which Camunda's own clients know
// as ZEEBE_AUTHORIZATION_SERVER_URL, ZEEBE_CLIENT_ID, ZEEBE_CLIENT_SECRET and ZEEBE_TOKEN_AUDIENCE.
type OAuth struct {
	// TokenURL is where tokens are had; there is no OAuth where it is empty. ClientID and ClientSecret are needed with it.
	// Audience and Scope (several are separated by spaces) are sent where they are set.
	TokenURL, ClientID, ClientSecret, Audience, Scope string
	// TLS checks the token URL's certificate; if nil, the system's authorities do.
	TLS *certs.Source
}

// tokens are those for the gateway. They are fetched when one is needed, and kept while they are good.
type tokens struct {
	config   clientcredentials.Config
	http     *http.Client
	timeout  time.Duration
	observer *observer

	slot  chan struct{} // capacity 1: guards token, and that one is fetched at a time
	token *oauth2.Token // nil while there is none
}

func newTokens(o *OAuth, timeout time.Duration, observer *observer) (*tokens, error) {
	if o.ClientID == "" || o.ClientSecret == "" {
		return nil, errors.New("zeebe.oauth.token-url needs zeebe.oauth.client-id and zeebe.oauth.client-secret")
	}
	if u, err := url.Parse(o.TokenURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, errors.New("zeebe.oauth.token-url is not a URL: write it as https://login.example.org/oauth/token")
	}
	secure, err := orSystem(o.TLS)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: strings.Fields(o.Scope),
	}
	if o.Audience != "" {
		config.EndpointParams = url.Values{"audience": {o.Audience}}
	}
	// Half of the time that a topology has, so that it is told what was late. Providers are often in the world outside.
	timeout /= 2
	transport := newTransport(timeout, secure, new(serverNames))
	transport.Proxy = http.ProxyFromEnvironment
	return &tokens{
		config: config, timeout: timeout, observer: observer, slot: make(chan struct{}, 1),
		http: &http.Client{
			Transport: transport, Timeout: timeout,
			// A redirect would take the secret somewhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// header is the authorization of a call. The error names the token URL, and never the secret.
func (t *tokens) header(ctx context.Context) (string, error) {
	select {
	case t.slot <- struct{}{}:
		defer func() { <-t.slot }()
	case <-ctx.Done():
		return "", t.failure(&silentError{words: "another request for one is under way", err: ctx.Err(), givenUp: true})
	}
	if !t.good(refreshBefore) {
		fresh, err := t.fetch(ctx)
		switch {
		case err == nil:
			t.token = fresh
		case !t.good(t.timeout):
			return "", t.failure(err)
		}
	}
	return "Bearer " + t.token.AccessToken, nil
}

// good reports whether there is a token for a while to come. One of which nobody said when it ends is good until it is
// refused.
func (t *tokens) good(while time.Duration) bool {
	return t.token != nil && (t.token.Expiry.IsZero() || time.Until(t.token.Expiry) > while)
}

// refused forgets the token that a call was refused with.
func (t *tokens) refused(header string) {
	t.slot <- struct{}{} // It is held for no longer than a fetch takes.
	defer func() { <-t.slot }()
	if t.token != nil && header == "Bearer "+t.token.AccessToken {
		t.token = nil
	}
}

func (t *tokens) fetch(ctx context.Context) (token *oauth2.Token, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	ctx, end := t.observer.begin(ctx, operationToken, "POST token", func() []attribute.KeyValue {
		return []attribute.KeyValue{semconv.HTTPRequestMethodPost, semconv.URLFull(t.config.TokenURL)}
	})
	defer func() { end(err) }()
	token, err = t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.http))
	switch {
	case err != nil:
		return nil, t.explain(err)
	case !strings.EqualFold(token.Type(), "Bearer"):
		return nil, fmt.Errorf("it gives tokens of the type %q, not Bearer", excerpt(token.Type(), shortExcerpt))
	}
	return token, nil
}

// explain says in a few words why there is no token. What a provider answers is not shown whole: it may repeat what it
// was sent.
func (t *tokens) explain(err error) error {
	var (
		answered *oauth2.RetrieveError
		request  *url.Error
		network  net.Error
	)
	switch {
	case errors.As(err, &answered):
		said := strings.TrimSpace(answered.ErrorCode + " " + answered.ErrorDescription)
		if said != "" {
			said = ": " + excerpt(t.withoutSecret(said), longExcerpt)
		}
		code := 0
		if answered.Response != nil {
			code = answered.Response.StatusCode
		}
		return refused("it answered %d%s: check zeebe.oauth.*", code, said)
	case errors.As(err, &request), errors.As(err, &network):
		return &silentError{words: dialWords(err, t.timeout), err: err}
	}
	return fmt.Errorf("it gives no token: %s", excerpt(t.withoutSecret(err.Error()), longExcerpt))
}

func (t *tokens) withoutSecret(text string) string {
	return strings.NewReplacer(t.config.ClientSecret, "***", url.QueryEscape(t.config.ClientSecret), "***").Replace(text)
}

func (t *tokens) failure(err error) error {
	return fmt.Errorf("there is no token from %s (zeebe.oauth.token-url): %w", t.config.TokenURL, err)
}

func (t *tokens) close() {
	if t != nil {
		t.http.CloseIdleConnections()
	}
}

// orSystem is a source of certificates, or one that trusts whom the system trusts.
func orSystem(s *certs.Source) (*certs.Source, error) {
	if s != nil {
		return s, nil
	}
	return certs.Open(certs.Files{}, certs.Options{Name: "system", Logger: slog.New(slog.DiscardHandler)})
}
