// Package server puts Exportgate together: configuration in, a running server out. It is the only package that knows all
// the others, and it has no logic of its own.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/broadcast"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/interceptor"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/service"
	"github.com/exportgate/exportgate/server/internal/telemetry"
	"github.com/exportgate/exportgate/server/internal/zeebe"
)

// Server is a server whose doors are bound. Run it, or Close it.
type Server struct {
	log       *slog.Logger
	shutdown  time.Duration
	lifecycle lifecycle
	doors     []stopStep
	failed    chan error // capacity 5: a door, the loop, the ledger or the election ended by itself
	draining  context.Context
	drain     context.CancelCauseFunc
	httpAddr  net.Addr
	grpcAddr  net.Addr
}

// cluster is the brokers and the connections to them.
type cluster interface {
	exporting.Cluster
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
	brokers, err := zeebe.New(zeebeOptions(cfg, log))
	if err != nil {
		return nil, err
	}
	store, err := openStore(cfg, log)
	if err != nil {
		return nil, errors.Join(err, brokers.Close())
	}
	return newServer(ctx, cfg, log, brokers, store)
}

// newServer is New over brokers and a store that are already there. It closes them in the end.
func newServer(ctx context.Context, cfg *Config, log *slog.Logger, brokers cluster, store ledgerStore) (_ *Server, err error) {
	s := &Server{
		log: log, shutdown: cfg.ShutdownTimeout, failed: make(chan error, 5),
	}
	s.draining, s.drain = context.WithCancelCause(context.Background())
	s.lifecycle.onStop("broker connections", func(context.Context) error { return brokers.Close() })
	s.lifecycle.onStop("store", func(context.Context) error { return store.Close() })
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lifecycle.close(cfg.ShutdownTimeout))
		}
	}()

	ledger, err := hold.Open(ctx, store, store.where)
	if err != nil {
		return nil, err
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
		DefaultTTL:    cfg.Holds.DefaultTTL, MaxTTL: cfg.Holds.MaxTTL, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("reconciler: %w", err)
	}
	s.start("reconciler", reconciler.Run)

	s.lifecycle.onStop("doors", s.closeDoors)
	exportingService := service.New(reconciler, log)
	guard, err := auth.New(auth.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	chain := interceptor.New(interceptor.Options{Logger: log, ClientContext: inprocgrpc.ClientContext, Guard: guard})
	if !cfg.GRPC.Off() {
		if err := s.openGRPC(ctx, cfg, exportingService, chain); err != nil {
			return nil, err
		}
	}
	if !cfg.HTTP.Off() {
		metrics, err := telemetry.New(telemetry.Options{Version: cfg.Build.Version, Commit: cfg.Build.Commit, Logger: log})
		if err != nil {
			return nil, err
		}
		if err := metrics.Expose(telemetry.Sources{Status: reconciler.Known, Clocks: store.clocks}); err != nil {
			return nil, err
		}
		if err := s.openHTTP(ctx, cfg, exportingService, chain, fanout, metrics.Handler()); err != nil {
			return nil, err
		}
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

// openGRPC opens the door for gRPC.
func (s *Server) openGRPC(ctx context.Context, cfg *Config, svc exportgatev1.ExportingServiceServer, chain *interceptor.Chain) error {
	l, err := listen(ctx, "grpc.port", cfg.GRPC)
	if err != nil {
		return err
	}
	s.grpcAddr = l.Addr()
	streams, endStreams := context.WithCancelCause(context.Background())
	calls := new(interceptor.InFlight)
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(broadcast.NewCodec()),
		grpc.ChainUnaryInterceptor(append(chain.Unary(), calls.Unary)...),
		grpc.ChainStreamInterceptor(append(chain.Stream(), interceptor.EndWith(streams))...),
		grpc.MaxRecvMsgSize(64<<10), // Requests are a few names.
		grpc.MaxHeaderListSize(32<<10),
		grpc.MaxConcurrentStreams(1000),
		grpc.ConnectionTimeout(10*time.Second),
		// A client behind a load balancer pings to keep its connection; one that pings all the time is sent away.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
	)
	exportgatev1.RegisterExportingServiceServer(server, svc)
	checks := health.NewServer()
	healthv1.RegisterHealthServer(server, checks)
	checks.SetServingStatus(exportgatev1.ExportingService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	reflection.Register(server)
	s.serve("gRPC", l, server.Serve, grpc.ErrServerStopped, func(ctx context.Context) error {
		checks.Shutdown()
		endStreams(reconcile.ErrShuttingDown) // A stream that watches would last until the timeout.
		waiting, enough := context.WithCancel(ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			defer enough()
			server.GracefulStop()
		}()
		// A client that does not read is not reached by the end of its stream: once no call needs a connection any more,
		// those that are left are cut.
		_ = calls.Quiet(waiting, time.Second)
		server.Stop()
		<-stopped
		return nil
	})
	return nil
}

// openHTTP opens the door for HTTP. Its calls go through an in-process channel and the same interceptors as gRPC's.
func (s *Server) openHTTP(ctx context.Context, cfg *Config, svc exportgatev1.ExportingServiceServer, chain *interceptor.Chain,
	fanout *exporting.Fanout, metrics http.Handler,
) error {
	channel := new(inprocgrpc.Channel).
		WithCloner(broadcast.Cloner{}).
		WithServerUnaryInterceptor(interceptor.ChainUnary(chain.Unary())).
		WithServerStreamInterceptor(interceptor.ChainStream(chain.Stream()))
	exportgatev1.RegisterExportingServiceServer(channel, svc)
	handler, err := gateway.New(gateway.Options{
		Conn: channel, BasePath: cfg.BasePath, Response: gateway.Response(cfg.Response), Timeout: callTimeout(cfg),
		Draining: s.draining, Info: func() gateway.Info { return info(cfg.Build, fanout.View()) },
		Health: s.health, Metrics: metrics, Logger: s.log,
	})
	if err != nil {
		return err
	}
	l, err := listen(ctx, "server.port", cfg.HTTP)
	if err != nil {
		return err
	}
	s.httpAddr = l.Addr()
	server := gateway.NewServer(handler, gateway.ServerOptions{Timeout: callTimeout(cfg), Logger: s.log})
	s.serve("HTTP", l, server.Serve, http.ErrServerClosed, func(ctx context.Context) error {
		if err := server.Shutdown(ctx); err != nil {
			return server.Close()
		}
		return nil
	})
	return nil
}

// serve runs a door until it is stopped, which lets its calls end for as long as the context lasts.
func (s *Server) serve(name string, l net.Listener, serve func(net.Listener) error, stopped error,
	stop func(context.Context) error,
) {
	s.log.Info("listening", "door", name, "address", l.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := serve(l); err != nil && !errors.Is(err, stopped) {
			s.failed <- fmt.Errorf("%s on %s: %w", name, l.Addr(), err)
		}
	}()
	s.doors = append(s.doors, stopStep{name, func(ctx context.Context) error {
		err := stop(ctx)
		<-done
		return err
	}})
}

func listen(ctx context.Context, key string, where Listener) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", where.HostPort())
	if err != nil {
		return nil, fmt.Errorf("%s: %w; is another server running, or is the port for root only?", key, err)
	}
	return l, nil
}

// health: nothing about the server's own state would get better by a restart, and a server without brokers is still the
// one that can say so.
func (s *Server) health(context.Context) gateway.Health {
	h := gateway.Health{Liveness: gateway.HealthUp, Readiness: gateway.HealthUp}
	if s.draining.Err() != nil {
		h.Readiness = gateway.HealthOutOfService
	}
	return h
}
