package exporting

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Disk is the volume that holds a broker's log, which grows for as long as exporting is paused.
type Disk struct {
	// Free and Total are bytes: Total is positive, and Free is from 0 to Total.
	Free, Total int64
}

// Disks is the port to the brokers' disks. Its method returns soon after its context ends, and may be called by many
// goroutines at once.
type Disks interface {
	// Disk measures a broker's disk. Whatever leaves a doubt of that, such as an answer without the volume in question, is
	// an error, never a guess: a disk that is not measured must not pass for one with room.
	Disk(ctx context.Context, broker Broker) (Disk, error)
}

// Measurement is what came of measuring a broker's disk.
type Measurement struct {
	Disk Disk
	// Err is why it could not be measured; nil if it could, and only then Disk counts.
	Err error
	// At is when that was known.
	At time.Time
}

// Measure measures the disk of every broker that was found, as many at a time as are read at a time, each within the
// request timeout. Reads do not wait for it, however slowly metrics come. It remembers nothing. Brokers that had not
// answered when the context ended are left out, because that says more of us than of them.
func (f *Fanout) Measure(ctx context.Context, disks Disks) map[BrokerID]Measurement {
	topology := f.View().Topology
	if topology == nil {
		return nil
	}
	measured := make([]Measurement, len(topology.Brokers))
	slots := make(chan struct{}, f.opts.Concurrency)
	var requests sync.WaitGroup
	for i, b := range topology.Brokers {
		requests.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				measured[i] = f.measure(ctx, disks, b)
			case <-ctx.Done():
			}
		})
	}
	requests.Wait()
	all := make(map[BrokerID]Measurement, len(measured))
	for i, b := range topology.Brokers {
		if !measured[i].At.IsZero() {
			all[b.ID] = measured[i]
		}
	}
	return all
}

// measure measures one broker's disk. It returns the zero value where the context ended first.
func (f *Fanout) measure(ctx context.Context, disks Disks, b Broker) Measurement {
	if b.Address == "" {
		return Measurement{Err: errNoAddress, At: time.Now()}
	}
	request, cancel := context.WithTimeout(ctx, f.opts.RequestTimeout)
	defer cancel()
	disk, err := disks.Disk(request, b)
	switch {
	case err != nil && ctx.Err() != nil:
		return Measurement{}
	case err == nil && (disk.Total <= 0 || disk.Free < 0 || disk.Free > disk.Total):
		err = errNoDisk
	}
	return Measurement{Disk: disk, Err: err, At: time.Now()}
}

var errNoDisk = errors.New("it tells of a disk that cannot be")
