package identity_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/servertest"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

// forger makes tokens by hand: libraries do not let anybody make what they would not read.
type forger struct {
	key   *rsa.PrivateKey // the provider's, for tokens that are wrong although it signed them
	keyID string
	mine  *rsa.PrivateKey
	lure  string // where the forger has keys of its own
	now   time.Time
	iss   string
}

func encoded(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }

func (f *forger) marshal(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claims are those of an operator.
func (f *forger) claims(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": f.iss, "aud": audience, "sub": "operator", "groups": []string{"operators"},
		"iat": f.now.Unix(), "exp": f.now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	return claims
}

// unsigned is the header and claims of a token, as they are signed.
func (f *forger) unsigned(t *testing.T, header map[string]any, payload any) string {
	t.Helper()
	text, is := payload.([]byte)
	if !is {
		text = f.marshal(t, payload)
	}
	return encoded(f.marshal(t, header)) + "." + encoded(text)
}

// signed is signed as RS256 by a key, whatever its header says.
func (f *forger) signed(t *testing.T, key *rsa.PrivateKey, header map[string]any, payload any) string {
	t.Helper()
	text := f.unsigned(t, header, payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encoded(signature)
}

// shared is signed as HS256 with a secret that is none.
func (f *forger) shared(t *testing.T, secret []byte) string {
	t.Helper()
	text := f.unsigned(t, map[string]any{"alg": "HS256", "kid": f.keyID, "typ": "JWT"}, f.claims(nil))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + encoded(mac.Sum(nil))
}

// own is what the provider's key signs, with another header or other claims.
func (f *forger) own(t *testing.T, header map[string]any, payload any) string {
	t.Helper()
	all := map[string]any{"alg": "RS256", "kid": f.keyID, "typ": "JWT"}
	maps.Copy(all, header)
	return f.signed(t, f.key, all, payload)
}

// tokens are all that must never be taken, by what is wrong with them.
func (f *forger) tokens(t *testing.T) map[string]string {
	t.Helper()
	all := f.algorithms(t)
	maps.Copy(all, f.keys(t))
	maps.Copy(all, f.shapes(t))
	maps.Copy(all, f.contents(t))
	return all
}

// algorithms are tokens that try to choose how they are checked.
func (f *forger) algorithms(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		text := f.unsigned(t, map[string]any{"alg": none, "kid": f.keyID}, f.claims(nil))
		all["alg "+none] = text + "."
		all["alg "+none+" with a signature"] = text + "." + encoded([]byte(strings.Repeat("s", 256)))
	}
	pkix, err := x509.MarshalPKIXPublicKey(f.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := f.key.PublicKey
	old := x509.MarshalPKCS1PublicKey(&public)
	for name, secret := range map[string][]byte{
		"DER": pkix, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		"PEM without its last line break": bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})),
		"PKCS #1 DER":                     old, "PKCS #1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: old}),
		"modulus": public.N.Bytes(), "JWK": f.marshal(t, jose.JSONWebKey{Key: &public, KeyID: f.keyID}), "nothing": nil,
	} {
		all["HS256 with the public key: "+name] = f.shared(t, secret)
	}
	all["an algorithm that is not the signature's"] = f.signed(t, f.key, map[string]any{"alg": "PS256", "kid": f.keyID}, f.claims(nil))
	all["two algorithms"] = encoded([]byte(`{"alg":"none","alg":"RS256","kid":"`+f.keyID+`"}`)) + "." + encoded(f.marshal(t, f.claims(nil))) + "."
	return all
}

// keys are tokens that bring, or name, the key that they want to be checked with.
func (f *forger) keys(t *testing.T) map[string]string {
	t.Helper()
	public := f.mine.PublicKey
	jwk := jose.JSONWebKey{Key: &public, KeyID: f.keyID}
	all := map[string]string{}
	for name, header := range map[string]map[string]any{
		"known key's id":         {"kid": f.keyID},
		"no id":                  {},
		"empty id":               {"kid": ""},
		"id that is a path":      {"kid": "../../../../../../dev/null"},
		"id that is a query":     {"kid": "x' UNION SELECT 'secret' --"},
		"id that commands":       {"kid": "x\r\n\x1b[2JBearer: admin"},
		"endless id":             {"kid": strings.Repeat("k", 8<<10)},
		"id that is a number":    {"kid": 1},
		"id that is a list":      {"kid": []string{f.keyID}},
		"id of nothing":          {"kid": nil},
		"jwk":                    {"kid": f.keyID, "jwk": jwk},
		"jwk of its own id":      {"kid": "mine", "jwk": jwk},
		"jku":                    {"kid": "mine2", "jku": f.lure + "/keys"},
		"jku beside a known id":  {"kid": f.keyID, "jku": f.lure + "/keys"},
		"x5u":                    {"kid": "mine3", "x5u": f.lure + "/certificate"},
		"x5c that is no good":    {"kid": f.keyID, "x5c": []string{"AAAA"}},
		"issuer in the header":   {"kid": f.keyID, "iss": f.lure},
		"thumbprint of the real": {"kid": f.keyID, "x5t#S256": encoded([]byte(f.keyID))},
	} {
		header["alg"] = "RS256"
		all["a key of the forger's: "+name] = f.signed(t, f.mine, header, f.claims(nil))
	}
	return all
}

// shapes are tokens that are of another form than is taken.
func (f *forger) shapes(t *testing.T) map[string]string {
	t.Helper()
	good := f.own(t, nil, f.claims(nil))
	parts := strings.Split(good, ".")
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: f.key.Public(), KeyID: f.keyID},
		(&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := encrypter.Encrypt([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"a JWE with a good token in it":          secret,
		"a token in a token":                     f.own(t, map[string]any{"cty": "JWT"}, []byte(good)),
		"the JSON form":                          `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"without its signature":                  parts[0] + "." + parts[1],
		"with an empty signature":                parts[0] + "." + parts[1] + ".",
		"detached":                               parts[0] + ".." + parts[2],
		"four parts":                             good + "." + parts[2],
		"other claims under a good signature":    parts[0] + "." + encoded(f.marshal(t, f.claims(map[string]any{"sub": "root"}))) + "." + parts[2],
		"padded":                                 parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"an extension that has to be understood": f.own(t, map[string]any{"crit": []string{"exp"}, "exp": 1}, f.claims(nil)),
		"an extension that nobody knows":         f.own(t, map[string]any{"crit": []string{"lasso"}, "lasso": true}, f.claims(nil)),
		"a payload that is not encoded":          f.own(t, map[string]any{"b64": false, "crit": []string{"b64"}}, f.claims(nil)),
		"compressed":                             f.own(t, map[string]any{"zip": "DEF"}, []byte{0x4b, 0x04, 0x00}),
		"too long":                               f.own(t, nil, f.claims(map[string]any{"x": strings.Repeat("x", 13<<10)})),
		"no JSON":                                f.own(t, nil, []byte("operator")),
		"a list":                                 f.own(t, nil, []byte(`[]`)),
		"null":                                   f.own(t, nil, []byte(`null`)),
		"JSON that goes deep":                    f.own(t, nil, []byte(strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000))),
		"a token that is spelled like a static one ": "egt_" + good[:60],
	}
}

// contents are tokens of the provider's that say what must not be believed here.
func (f *forger) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, change := range map[string]map[string]any{
		"a list of other audiences":       {"aud": []string{"a", "b"}},
		"an audience that is an object":   {"aud": map[string]any{audience: true}},
		"an audience in a list in a list": {"aud": [][]string{{audience}}},
		"an audience that begins like it": {"aud": audience + "-dev"},
		"an audience in capitals":         {"aud": "EXPORTGATE"},
		"an audience under another name":  {"aud": "x", "AUD": audience, "Aud": audience},
		"an issuer with a slash":          {"iss": f.iss + "/"},
		"an issuer in a list":             {"iss": []string{f.iss}},
		"an end that is text":             {"exp": strconv.FormatInt(f.now.Add(time.Hour).Unix(), 10)},
		"an end before the beginning":     {"exp": -1},
		"an end that is true":             {"exp": true},
		"an end after all":                {"exp": 1e300},
		"a beginning that is text":        {"nbf": "now"},
		"a subject with an escape":        {"sub": "operator\x1b[2J"},
		"a subject that turns around":     {"sub": "operator\u202e"},
		"a subject that is a number":      {"sub": 1},
		"an endless subject":              {"sub": strings.Repeat("s", 256)},
	} {
		all[name] = f.own(t, nil, f.claims(change))
	}
	return all
}

// twice are claims that say two things, and what is to be believed of them.
func (f *forger) twice(t *testing.T) map[string]verdict {
	t.Helper()
	begun := strings.TrimSuffix(string(f.marshal(t, f.claims(map[string]any{"groups": []string{"viewers"}}))), "}")
	return map[string]verdict{
		begun + `,"aud":"another"}`:                     who,
		begun + `,"iss":"https://issuer.example.test"}`: who,
		begun + `,"exp":1}`:                             who,
		begun + `,"groups":["nobody"]}`:                 denied,
		strings.Replace(begun, `"aud":"`+audience+`"`, `"aud":"another","aud":"`+audience+`"`, 1) + "}": ok,
	}
}

// TestForgedTokens: none of them is anybody, each is counted and audited once a call, nobody is told what was wrong, and nothing
// that a token names is ever fetched.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	p := provider.Start(t)
	w := start(t, p)
	var lured atomic.Int64
	lure := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured.Add(1) }))
	t.Cleanup(lure.Close)
	mine, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{key: p.Key(), keyID: p.KeyID(), mine: mine, lure: lure.URL, now: time.Now(), iss: p.Issuer()}
	// What is wrong below is wrong with a token that would be good without it.
	w.expectBoth(t, "a good token of the forger's making", bearer(f.own(t, nil, f.claims(nil))), ok)
	w.expectBoth(t, "one for several audiences", bearer(f.own(t, nil, f.claims(map[string]any{"aud": []string{"x", audience}}))), ok)
	for payload, want := range f.twice(t) { // Of claims that are there twice the last counts (RFC 7519, section 4).
		w.expectBoth(t, payload, bearer(f.own(t, nil, []byte(payload))), want)
	}
	before, tried := w.ledger(t), 0
	counted := w.metric(t, "exportgate_refused_total", `reason="UNAUTHENTICATED"`) + w.metric(t, "exportgate_refused_total", `reason="IDENTITY_UNAVAILABLE"`)
	for name, token := range f.tokens(t) {
		w.secrets.add("a forged token: "+name, token)
		for _, door := range servertest.Doors() {
			tried++
			c := w.dial(t, door, bearer(token))
			a := c.pause(t)
			// Keys that nobody knows are asked for, though not for each token that invents one.
			if told := (verdict{a.code, a.reason}); a.err != nil || told != who && told != away {
				t.Errorf("%s through %s: got %v", name, door, a)
			}
			w.expectAudited(t, name, c, a)
		}
	}
	after := w.metric(t, "exportgate_refused_total", `reason="UNAUTHENTICATED"`) + w.metric(t, "exportgate_refused_total", `reason="IDENTITY_UNAVAILABLE"`)
	if after-counted != float64(tried) {
		t.Errorf("%v refusals were counted, want %d", after-counted, tried)
	}
	if after := w.ledger(t); after != before {
		t.Errorf("something changed. Before:\n%s\nafter:\n%s", before, after)
	}
	if lured.Load() > 0 {
		t.Errorf("%d times something was fetched that a token named", lured.Load())
	}
}

// pause asks for the anonymous hold.
func (c *client) pause(t *testing.T) answer {
	t.Helper()
	if c.door == servertest.GRPC {
		return c.invoke(t, methodPause, &exportgatev1.PauseRequest{})
	}
	return c.do(t, http.MethodPost, "/exporting/pause", &exportgatev1.PauseResponse{}, "")
}

// expectAudited fails the test unless the audit log has one line of what a client was refused.
func (w *world) expectAudited(t *testing.T, what string, c *client, a answer) {
	t.Helper()
	var lines []audit.Line
	w.await(t, what+" is in the audit log", func() bool {
		lines = nil
		for _, line := range w.lines(t, audit.KindRefused) {
			if strings.HasPrefix(line.Address, c.address+":") {
				lines = append(lines, line)
			}
		}
		return len(lines) > 0
	})
	door := strings.ToLower(string(c.door))
	if line := lines[0]; len(lines) != 1 || line.Operation != methodPause || line.Door != door || line.ErrorReason != a.reason || line.Caller != "" {
		t.Errorf("%s was answered %v, and the audit log has %+v", what, a, lines)
	}
}
