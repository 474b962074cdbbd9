package zeebe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

var _ exporting.Disks = (*Client)(nil)

// diskMetrics is where a broker tells of its disks, beside much else. Spring Boot leaves out what was not named; whoever
// does not know that tells everything.
const diskMetrics = "/prometheus?includedNames=" + freeMetric + "," + totalMetric

// What metrics are written in. The first is asked for; some tell the other all the same.
const (
	textMetrics = "text/plain"
	openMetrics = "application/openmetrics-text"
)

// Disk measures the volume of [Options.DiskPath] on a broker, by what its metrics tell; see [exporting.Disks].
//
// Whether a broker tells its metrics says nothing of whether it can be driven, so that no failure here is remembered.
func (c *Client) Disk(ctx context.Context, broker exporting.Broker) (exporting.Disk, error) {
	switch {
	case c.volume == "":
		return exporting.Disk{}, errors.New("no path says which of its disks counts: set exporting.guard.disk-path")
	case broker.Address == "":
		return exporting.Disk{}, errors.New("its address is not known: is it down, or missing in zeebe.brokers?")
	}
	r := get(operationMetrics, broker.Address, diskMetrics)
	ctx, end := c.begin(ctx, r)
	disk, err := c.measure(ctx, r)
	end(err)
	if err != nil {
		return exporting.Disk{}, located(broker.ID, broker.Address, err)
	}
	return disk, nil
}

// measure reads the metrics as they come: there may be megabytes of them, and two lines count.
func (c *Client) measure(ctx context.Context, r request) (exporting.Disk, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.do(ctx, r, textMetrics+";version=0.0.4, */*;q=0.5")
	if err != nil {
		return exporting.Disk{}, err
	}
	disk, err := decodeMetrics(resp, c.volume)
	return disk, errors.Join(err, resp.Body.Close())
}

// decodeMetrics takes an answer for metrics only if it says that it is: a page for people may say anything.
func decodeMetrics(resp *http.Response, path string) (exporting.Disk, error) {
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine)) // What is missing of it, is missing in an error's words.
		if resp.StatusCode == http.StatusNotFound {
			return exporting.Disk{}, errNoMetrics
		}
		return exporting.Disk{}, refusal(answer{status: resp.StatusCode, location: resp.Header.Get("Location"), body: body})
	}
	told := resp.Header.Get("Content-Type")
	kind, _, _ := mime.ParseMediaType(told) // What is none has no kind.
	if told != "" && kind != textMetrics && kind != openMetrics {
		return exporting.Disk{}, fmt.Errorf("it answered %q, which are no metrics: check that the address is the broker's "+
			"management port", excerpt(told, shortExcerpt))
	}
	disk, err := decodeDisk(resp.Body, path, kind == openMetrics)
	switch {
	case errors.Is(err, errNotRead):
		return exporting.Disk{}, &silentError{words: "the answer broke off", err: err}
	case err != nil:
		return exporting.Disk{}, err
	}
	return disk, nil
}

// errNoMetrics is the answer of a broker whose metrics are not exposed, or of something that is no broker.
var errNoMetrics = refused("it has no prometheus endpoint (404): expose it in management.endpoints.web.exposure.include, " +
	"or check the base path")
