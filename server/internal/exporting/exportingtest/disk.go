package exportingtest

import (
	"context"
	"errors"
	"strconv"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// disk is what a broker has to measure.
type disk struct {
	exporting.Disk

	err error
}

// newDisk is half full.
func newDisk() disk { return disk{Disk: exporting.Disk{Free: 50 << 30, Total: 100 << 30}} }

// SetFree leaves a part of a broker's disk free, in percent. If it is negative the disk cannot be measured.
func (c *Cluster) SetFree(i int, percent float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &c.brokers[i].disk
	if d.err = nil; percent < 0 {
		d.err = errors.New("it does not tell of its disk")
		return
	}
	d.Free = int64(percent / 100 * float64(d.Total))
}

// Measured counts the requests for a disk.
func (c *Cluster) Measured() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.measured
}

// Disk implements exporting.Disks: a broker that is down or hangs tells nothing.
func (c *Cluster) Disk(ctx context.Context, eb exporting.Broker) (exporting.Disk, error) {
	d, fault, err := c.disk(string(eb.ID))
	switch {
	case err != nil:
		return exporting.Disk{}, err
	case fault == Hanging:
		<-ctx.Done()
		return exporting.Disk{}, ctx.Err()
	case fault == Down:
		return exporting.Disk{}, errors.New("connection refused")
	}
	return d.Disk, d.err
}

func (c *Cluster) disk(id string) (disk, Fault, error) {
	i, err := strconv.Atoi(id)
	if err != nil {
		return disk{}, Healthy, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured++
	return c.brokers[i].disk, c.brokers[i].fault, nil
}
