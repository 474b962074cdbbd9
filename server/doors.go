package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/broadcast"
	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/interceptor"
	"github.com/exportgate/exportgate/server/internal/limits"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// openGRPC opens the door for gRPC.
func (s *Server) openGRPC(ctx context.Context, cfg *Config, svc exportgatev1.ExportingServiceServer, chain *interceptor.Chain) error {
	l, err := listen(ctx, "grpc.port", cfg.GRPC)
	if err != nil {
		return err
	}
	s.grpcAddr = l.Addr()
	streams, endStreams := context.WithCancelCause(context.Background())
	calls, arrivals := new(interceptor.InFlight), new(interceptor.Arrivals)
	transport := insecure.NewCredentials()
	if s.files.doors != nil {
		transport = credentials.NewTLS(s.files.doors.Server(serverOptions(cfg)))
	}
	server := grpc.NewServer(
		grpc.Creds(transport),
		grpc.ForceServerCodecV2(broadcast.NewCodec()),
		grpc.InTapHandle(arrivals.Tap),
		grpc.ChainUnaryInterceptor(arrivals.Unary),
		grpc.ChainUnaryInterceptor(append(chain.Unary(), calls.Unary)...),
		grpc.ChainStreamInterceptor(arrivals.Stream),
		grpc.ChainStreamInterceptor(append(chain.Stream(), interceptor.EndWith(streams))...),
		grpc.MaxRecvMsgSize(64<<10), // Requests are a few names.
		grpc.MaxHeaderListSize(32<<10),
		grpc.MaxConcurrentStreams(1000),
		grpc.ConnectionTimeout(10*time.Second),
		// A client behind a load balancer pings to keep its connection; one that pings all the time is sent away.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 30 * time.Minute, Time: 2 * time.Minute, Timeout: 20 * time.Second,
		}),
	)
	exportgatev1.RegisterExportingServiceServer(server, svc)
	checks := health.NewServer()
	healthv1.RegisterHealthServer(server, checks)
	checks.SetServingStatus(exportgatev1.ExportingService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	reflection.Register(server)
	s.serve("gRPC", s.limited(l, cfg, "grpc"), server.Serve, grpc.ErrServerStopped, func(ctx context.Context) error {
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
	info func() gateway.Info,
) error {
	channel := new(inprocgrpc.Channel).
		WithCloner(broadcast.Cloner{}).
		WithServerUnaryInterceptor(interceptor.ChainUnary(chain.Unary())).
		WithServerStreamInterceptor(interceptor.ChainStream(chain.Stream()))
	exportgatev1.RegisterExportingServiceServer(channel, svc)
	l, err := listen(ctx, "server.port", cfg.HTTP)
	if err != nil {
		return err
	}
	s.httpAddr = l.Addr()
	handler, err := gateway.New(gateway.Options{
		Conn: channel, Admit: chain.Admit, Allows: chain.Allows, Refused: chain.Refused,
		Loopback: onLoopback(l.Addr()), Hosts: cfg.AllowedHosts, Exposure: gateway.Exposure(cfg.Exposure),
		Details: gateway.Details(cfg.HealthDetails), Loggers: s.levels, Bearer: cfg.Auth.TokensFile != "" || cfg.Auth.JWT.Issuer != "",
		BasePath: cfg.ActuatorPath(), Response: gateway.Response(cfg.Response), Timeout: callTimeout(cfg), Draining: s.draining,
		Info: info, Health: s.health, Metrics: s.metrics.Handler(), Logger: s.part("gateway"),
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	options := gateway.ServerOptions{Timeout: callTimeout(cfg), Logger: s.part("gateway")}
	if s.files.doors != nil {
		options.TLS = s.files.doors.Server(serverOptions(cfg))
	}
	server := gateway.NewServer(handler, options)
	server.ConnContext = limits.ConnContext
	s.serve("HTTP", s.limited(l, cfg, "http"), server.Serve, http.ErrServerClosed, func(ctx context.Context) error {
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

// onLoopback reports that a door can be reached from this machine alone.
func onLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// serverOptions are how both doors speak TLS.
func serverOptions(cfg *Config) certs.ServerOptions {
	return certs.ServerOptions{ClientAuth: certs.ClientAuth(cfg.SSL.ClientAuth), MinVersion: cfg.SSL.MinVersion}
}
