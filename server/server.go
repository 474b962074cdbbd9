// Package server puts Exportgate together: configuration in, a running server out. It is the only package that knows all
// the others, and it has no logic of its own.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/service"
	"github.com/exportgate/exportgate/server/internal/zeebe"
)

// Server is a server whose doors are bound. Run it, or Close it.
type Server struct {
	surroundings

	shutdown  time.Duration
	lifecycle lifecycle
	doors     []stopStep
	failed    chan error               // has room for all that runs: each ends once, by itself or when it is stopped
	known     func() *reconcile.Status // as of the last reads; nil before the first
	open      map[string]func() int    // how many connections are open, by door; it does not change once the server serves
	draining  context.Context
	drain     context.CancelCauseFunc
	httpAddr  net.Addr
	grpcAddr  net.Addr
}

// cluster is the brokers and the connections to them.
type cluster interface {
	exporting.Cluster
	exporting.Disks
	Close() error
}

// Run serves until the context ends, and then until the calls in flight have ended or the shutdown timeout is over.
func Run(ctx context.Context, cfg *Config, log *slog.Logger) error {
	s, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// New builds everything from the bottom up, binds the doors and starts to serve. If it fails, all that it began is undone.
func New(ctx context.Context, cfg *Config, log *slog.Logger) (*Server, error) {
	for _, warning := range cfg.Warnings() {
		log.WarnContext(ctx, "configuration", "warning", warning)
	}
	return newServer(ctx, cfg, log, func(s *surroundings) (cluster, error) { return zeebe.New(zeebeOptions(cfg, s)) }, openStore)
}

// newServer is New with other ways to the brokers and the store.
func newServer(ctx context.Context, cfg *Config, log *slog.Logger, reach func(*surroundings) (cluster, error),
	open func(*Config, *surroundings) (ledgerStore, error),
) (_ *Server, err error) {
	s := &Server{
		shutdown: cfg.ShutdownTimeout, failed: make(chan error, 16), known: func() *reconcile.Status { return nil },
		open: map[string]func() int{},
	}
	s.draining, s.drain = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lifecycle.close(cfg.ShutdownTimeout))
		}
	}()

	if err := s.surround(ctx, cfg, log); err != nil {
		return nil, err
	}
	access, err := s.openAccess(cfg) // Before anything is asked of brokers or store: its files may be at fault.
	if err != nil {
		return nil, err
	}
	brokers, err := reach(&s.surroundings)
	if err != nil {
		return nil, err
	}
	s.lifecycle.onStop("broker connections", func(context.Context) error { return brokers.Close() })
	store, err := open(cfg, &s.surroundings)
	if err != nil {
		return nil, err
	}
	s.lifecycle.onStop("store", func(context.Context) error { return store.Close() })
	ledger, err := hold.Open(ctx, store, store.where, s.ledgerObservers()...)
	if err != nil {
		return nil, err
	}
	if s.audit != nil {
		s.audit.Found(ledger.Recorded())
	}
	s.start("ledger", ledger.Run)
	if store.run != nil {
		s.start("election", store.run)
	}

	witness := reconcile.NewWitness(cfg.Exporting.Drain)
	fanout, err := exporting.NewFanout(brokers, exporting.Options{
		Concurrency: cfg.Zeebe.Concurrency, RequestTimeout: fanoutTimeout(cfg), PlanTimeout: cfg.Exporting.Timeout,
		ConfirmInterval: cfg.Exporting.ConfirmInterval, RetryInterval: cfg.Exporting.ReconcileInterval,
		Until: reconcile.Until(store.election, ledger), Heed: witness.Heed,
	})
	if err != nil {
		return nil, fmt.Errorf("fan-out: %w", err)
	}
	s.lifecycle.onStop("fan-out", func(context.Context) error { fanout.Close(); return nil })

	reconciler, err := reconcile.New(reconcile.Options{
		Fanout: fanout, Ledger: ledger, Witness: witness, Election: store.election, Interval: cfg.Exporting.ReconcileInterval,
		Timeout: cfg.Exporting.Timeout, OnFailure: onFailure(cfg.Exporting.OnFailure),
		ReportForeign: cfg.Exporting.OnForeignChange == ForeignObserve,
		DefaultTTL:    cfg.Holds.DefaultTTL, MaxTTL: cfg.Holds.MaxTTL, Logger: s.part("reconcile"),
		Observer: observers{s.metrics, s.audit}, Guard: guard(cfg, brokers), Tracing: s.tracing.TracerProvider(),
	})
	if err != nil {
		return nil, fmt.Errorf("reconciler: %w", err)
	}
	s.known = reconciler.Known
	s.start("reconciler", reconciler.Run)

	s.lifecycle.onStop("doors", s.closeDoors)
	exportingService := service.New(reconciler, s.part("calls"))
	if !cfg.GRPC.Off() {
		if err := s.openGRPC(ctx, cfg, exportingService, access.chain); err != nil {
			return nil, err
		}
	}
	if !cfg.HTTP.Off() {
		told := func() gateway.Info { return info(cfg.Build, fanout.View()) }
		if err := s.openHTTP(ctx, cfg, exportingService, access.chain, told); err != nil {
			return nil, err
		}
	}
	if err := s.metrics.Expose(s.sources(cfg, reconciler, &store, access)); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return s, nil
}

// HTTPAddr is where the HTTP door listens; nil if it is off.
func (s *Server) HTTPAddr() net.Addr { return s.httpAddr }

// GRPCAddr is where the gRPC door listens; nil if it is off.
func (s *Server) GRPCAddr() net.Addr { return s.grpcAddr }

// Run serves until the context ends or a door fails, and then closes the server.
func (s *Server) Run(ctx context.Context) error {
	var err error
	select {
	case err = <-s.failed:
	case <-ctx.Done():
		s.log.InfoContext(ctx, "stopping: calls in flight may still end", "timeout", s.shutdown)
	}
	return errors.Join(err, s.Close())
}

// Close takes no new calls, lets those in flight end within the shutdown timeout, and stops. It may be called again.
func (s *Server) Close() error {
	s.drain(reconcile.ErrShuttingDown)
	return s.lifecycle.close(s.shutdown)
}

// closeDoors closes them at once: a door that waits for its calls must not leave the other open.
func (s *Server) closeDoors(ctx context.Context) error {
	errs := make([]error, len(s.doors))
	var closing sync.WaitGroup
	for i, door := range s.doors {
		closing.Go(func() { errs[i] = door.stop(ctx) })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// start runs something that blocks until its context ends, and stops it when the server stops.
func (s *Server) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	s.lifecycle.onStop(name, func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}
