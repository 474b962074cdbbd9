package servertest_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/servertest"
)

// answered is an answer of HTTP, whole.
type answered struct {
	status int
	header http.Header
	body   string
}

// ask asks an HTTP door for a path below its base path. It fails the test where no answer comes.
func ask(tb testing.TB, client *http.Client, method, base, path string) answered {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, base+path, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	const enough = 4 << 20
	body, err := io.ReadAll(io.LimitReader(answer.Body, enough))
	_ = answer.Body.Close() // It was read.
	if err != nil {
		tb.Fatal(err)
	}
	return answered{answer.StatusCode, answer.Header, string(body)}
}

// scrape is what Prometheus is told: values by name and labels, as they are written.
func scrape(tb testing.TB, client *http.Client, base string) map[string]float64 {
	tb.Helper()
	values := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(ask(tb, client, http.MethodGet, base, "/prometheus").body))
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if strings.HasPrefix(lines.Text(), "#") || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(lines.Text()[at+1:], 64)
		if err != nil {
			tb.Fatalf("%v in line %q", err, lines.Text())
		}
		values[lines.Text()[:at]] = value
	}
	return values
}

// clientOf is a client of HTTP for somebody, and the base path of a server's HTTP door. It ends with the test.
func clientOf(tb testing.TB, h *servertest.Harness, who servertest.Identity) (client *http.Client, base string) {
	tb.Helper()
	client, scheme := who.Client()
	tb.Cleanup(client.CloseIdleConnections)
	return client, scheme + "://" + h.Server.HTTPAddr().String() + "/actuator"
}

// once is a client in the clear that keeps no connection.
func once() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}
