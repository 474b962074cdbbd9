package tracing

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

func TestEnvironmentRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	certstest.WriteFile(t, empty, nil)
	huge := filepath.Join(dir, "huge.pem")
	certstest.WriteFile(t, huge, make([]byte, 2<<20))
	const secret = "s3cr3t"
	for _, test := range []struct {
		name, value string
		says        []string
	}{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"}},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:" + secret + "@collector", []string{"_HEADERS"}},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/?key=" + secret, []string{"query"}},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://\x7f" + secret, []string{"not a URL"}},
		{"OTEL_EXPORTER_OTLP_INSECURE", "false", []string{"OTEL_EXPORTER_OTLP_INSECURE", "http://"}},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "thrift", []string{`"thrift"`, "http/protobuf"}},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "udp", []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"}},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "milliseconds"}},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", empty, []string{"https://"}},
		{"OTEL_EXPORTER_OTLP_HEADERS", secret, []string{"OTEL_EXPORTER_OTLP_HEADERS", "entry 1"}},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%zz" + secret, []string{"entry 2"}},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a b=" + secret, []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS"}},
		{"OTEL_RESOURCE_ATTRIBUTES", "a", []string{"OTEL_RESOURCE_ATTRIBUTES"}},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", []string{`"zstd"`}},
		{"OTEL_TRACES_SAMPLER", "sometimes", []string{`"sometimes"`}},
		{"OTEL_TRACES_EXPORTER", "zipkin", []string{`"zipkin"`, "OTEL_EXPORTER_OTLP_ENDPOINT"}},
		{"OTEL_SDK_DISABLED", "maybe", []string{"OTEL_SDK_DISABLED"}},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "-1", []string{"OTEL_BSP_MAX_QUEUE_SIZE"}},
		{"OTEL_BSP_SCHEDULE_DELAY", "5s", []string{"OTEL_BSP_SCHEDULE_DELAY"}},
	} {
		_, err := read(lookup("OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1", test.name+"="+test.value))
		wantError(t, test.name+"="+test.value, err, test.says...)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error %q tells a secret", test.name, err)
		}
	}
	secure := "OTEL_EXPORTER_OTLP_ENDPOINT=https://a:1"
	for _, test := range []struct {
		variables []string
		says      string
	}{
		{[]string{"OTEL_EXPORTER_OTLP_INSECURE=true"}, "contradicts"},
		{[]string{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + empty}, "no certificate"},
		{[]string{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + huge}, "larger than"},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=" + empty + ".not"}, "no such file"},
		{[]string{"OTEL_EXPORTER_OTLP_CLIENT_KEY=" + empty}, "only together"},
		{[]string{"OTEL_EXPORTER_OTLP_CLIENT_KEY=" + empty, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + empty}, "OTEL_EXPORTER_OTLP_CLIENT_KEY"},
		{[]string{"OTEL_EXPORTER_OTLP_CLIENT_KEY=" + empty, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + empty + ".not"}, "no such file"},
		{[]string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=NaN"}, "OTEL_TRACES_SAMPLER_ARG"},
	} {
		_, err := read(lookup(append(test.variables, secure)...))
		wantError(t, strings.Join(test.variables, " "), err, test.says)
	}
}

func TestEnvironmentTakes(t *testing.T) {
	s, err := read(lookup("OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT= https://b:2/x ",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_TIMEOUT=1500",
		"OTEL_TRACES_SAMPLER=ParentBased_TraceIDRatio", "OTEL_TRACES_SAMPLER_ARG=0.25", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
		"OTEL_EXPORTER_OTLP_INSECURE=false", "OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_SDK_DISABLED=false", "OTEL_TRACES_EXPORTER=otlp"))
	if err != nil {
		t.Fatal(err)
	}
	if s.endpoint.String() != "https://b:2/x" || s.protocol != protocolJSON || s.timeout != 1500*time.Millisecond {
		t.Errorf("it is %v by %s within %v", s.endpoint, s.protocol, s.timeout)
	}
}

// lookup is an environment of variables, of which the last of a name counts.
func lookup(variables ...string) func(string) string {
	env := map[string]string{}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	return func(name string) string { return env[name] }
}

func wantError(t *testing.T, name string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one that says %q", name, words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: error %q does not say %q", name, err, word)
		}
	}
}
