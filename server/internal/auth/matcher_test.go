package auth

import (
	"slices"
	"strings"
	"testing"

	"github.com/exportgate/exportgate/server/internal/caller"
)

func TestMatches(t *testing.T) {
	named := func(names ...string) identity { return identity{names: names} }
	said := func(claims map[string]any) identity {
		return identity{names: []string{"jwt:" + issuerURL + "#me"}, claims: claims}
	}
	roles := map[string]any{"realm_access": map[string]any{"roles": []any{"ops", 7.0, map[string]any{}}}}
	tests := []struct {
		entry string
		id    identity
		want  bool
	}{
		{"*", named("dns:a"), true},
		{"token:backup", named("token:backup"), true},
		{"token:backup", named("token:Backup"), false},
		{"token:backup", named("token:backup2"), false},
		{"spiffe://example.org/ns/ops", named("spiffe://example.org/ns/ops"), true},
		{"spiffe://example.org/ns/ops", named("spiffe://example.org/ns/ops/a"), false},
		{"spiffe://example.org/ns/ops/*", named("spiffe://example.org/ns/ops/a"), true},
		{"spiffe://example.org/ns/ops/*", named("spiffe://example.org/ns/ops/a/b"), true},
		{"spiffe://example.org/ns/ops/*", named("spiffe://example.org/ns/ops"), false},
		{"spiffe://example.org/ns/ops/*", named("spiffe://example.org/ns/ops2/a"), false},
		{"spiffe://example.org/ns/ops/*", named("spiffe://example.org/ns/OPS/a"), false},
		{"spiffe://example.org/*", named("spiffe://example.org/a"), true},
		{"spiffe://example.org/*", named("spiffe://example.org.evil/a"), false},
		{"spiffe://example.org/*", named("dns:a", "email:spiffe://example.org/a"), false},
		{"dns:Ops.Example.ORG", named("spiffe://a/b", "dns:ops.example.org"), true},
		{"dns:ops.example.org", named("dns:ops.example.org.evil"), false},
		{"dns:example.org", named("dns:ops.example.org"), false},
		{"email:a@example.org", named("email:a@example.org"), true},
		{"email:a@example.org", named("email:A@example.org"), false},
		{"subject:CN=ops,O=Acme", named("dns:a", "subject:CN=ops,O=Acme"), true},
		{"subject:CN=ops", named("subject:CN=ops,O=Acme"), false},
		{"jwt:" + issuerURL + "#me", said(nil), true},
		{"jwt:" + issuerURL + "#me", named("token:me"), false},
		{"claim:groups=admins", said(map[string]any{"groups": "admins"}), true},
		{"claim:groups=admins", said(map[string]any{"groups": []any{"x", "admins"}}), true},
		{"claim:groups=admins", said(map[string]any{"groups": []any{"admins,x"}}), false},
		{"claim:groups=admins", said(map[string]any{"groups": "admins x"}), false},
		{"claim:groups=admins", said(map[string]any{"Groups": "admins"}), false},
		{"claim:groups=admins", said(map[string]any{"groups": map[string]any{"admins": true}}), false},
		{"claim:admin=true", said(map[string]any{"admin": true}), false},
		{"claim:n=1", said(map[string]any{"n": 1.0}), false},
		{"claim:realm_access.roles=ops", said(roles), true},
		{"claim:realm_access.roles=dev", said(roles), false},
		{"claim:realm_access=ops", said(roles), false},
		{"claim:https://example.org/roles=ops", said(map[string]any{"https://example.org/roles": []any{"ops"}}), true},
		{"claim:a.b.c=x", said(map[string]any{"a": map[string]any{"b.c": "x"}}), true},
		{"claim:a.b.c=x", said(map[string]any{"a.b": map[string]any{"c": "x"}}), true},
		{"claim:a=b=c", said(map[string]any{"a": "b=c"}), true},
		{"claim:groups=admins", named("claim:groups=admins", "token:x"), false},
	}
	for _, test := range tests {
		m, err := parseMatcher(test.entry)
		if err != nil {
			t.Errorf("%s: %v", test.entry, err)
			continue
		}
		if got := m.matches(test.id); got != test.want {
			t.Errorf("%s matches %q, %v: %v", test.entry, test.id.names, test.id.claims, got)
		}
	}
}

func TestEntriesThatSayNothing(t *testing.T) {
	for _, entry := range []string{
		"", "ops", "user:ops", "**", "token:", "token:a b", "token:*", "spiffe://", "spiffe://a/", "spiffe://a/b/", "spiffe://a/*/b", "spiffe://a/b*",
		"spiffe://A/b", "spiffe://*", "spiffe://a/../*", "dns:", "dns:*.example.org", "dns:a/b", "dns:a:1", "email:", "email:a", "email:@a", "email:*@a",
		"subject:", "subject:ops", "subject:=x", "jwt:", "jwt:https://a", "jwt:#me", "jwt:https://a#", "claim:", "claim:a", "claim:a=", "claim:=b",
		"dns:a\n", "subject:CN=\x00", "claim:a=\xff", "Token:a", " token:a", "subject:CN=" + strings.Repeat("a", maxName),
	} {
		_, err := parseRoles(Roles{Holder: []string{"token:fine", entry}})
		if err == nil || !strings.HasPrefix(err.Error(), "auth.roles.holder: \"") {
			t.Errorf("%q: error %v", entry, err)
		}
	}
}

func TestSplitEntries(t *testing.T) {
	tests := []struct {
		list string
		want []string
	}{
		{"*", []string{"*"}},
		{" token:a , dns:b ", []string{"token:a", "dns:b"}},
		{"subject:CN=a, O=b,L=c,claim:groups=x,*", []string{"subject:CN=a, O=b,L=c", "claim:groups=x", "*"}},
		{"subject:CN=a,subject:CN=b,O=c", []string{"subject:CN=a", "subject:CN=b,O=c"}},
		{"token:a,O=b", nil},
		{"token:a,", nil},
		{"", nil},
		{"dns:*.example.org", nil},
		{"spiffe:a", nil},
	}
	for _, test := range tests {
		got, err := SplitEntries(test.list)
		if !slices.Equal(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%q: %q, %v", test.list, got, err)
		}
	}
}

// The highest role counts, in whatever order they are written.
func TestRoleOf(t *testing.T) {
	parsed, err := parseRoles(Roles{Viewer: []string{"*"}, Holder: []string{"dns:b", "dns:a"}, Operator: []string{"token:x", "subject:CN=a"}})
	if err != nil {
		t.Fatal(err)
	}
	for want, names := range map[caller.Role][]string{
		caller.Viewer: {"dns:c"}, caller.Holder: {"spiffe://a/b", "dns:a"}, caller.Operator: {"dns:a", "subject:CN=a"},
	} {
		if got := parsed.of(identity{names: names}); got != want {
			t.Errorf("%q: %v, want %v", names, got, want)
		}
	}
	if got := parsed[1:4].of(identity{names: []string{"token:x"}}); got != caller.None {
		t.Errorf("nobody's role is %v", got)
	}
}

func FuzzMatcher(f *testing.F) {
	for _, entry := range []string{"*", "token:a", "spiffe://a/b/*", "dns:A.", "email:a@b", "subject:CN=a", "jwt:https://a#b", "claim:a.b=c"} {
		f.Add(entry, "a")
	}
	f.Fuzz(func(t *testing.T, entry, name string) {
		m, err := parseMatcher(entry)
		if err != nil {
			return
		}
		id := identity{names: []string{name}, claims: map[string]any{name: name, "a": map[string]any{name: []any{name}}}}
		meant := name == m.value || m.below && strings.HasPrefix(name, m.value)
		if m.matches(id) && !meant && m.kind != kindEverybody && m.kind != kindClaim {
			t.Errorf("%q matches %q", entry, name)
		}
		if m.matches(identity{names: []string{"nobody"}}) && m.kind != kindEverybody {
			t.Errorf("%q matches nobody", entry)
		}
	})
}
