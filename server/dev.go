package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
)

// DevOptions say what the cluster inside the process is. Zero values are the embedded cluster's defaults.
type DevOptions struct {
	Brokers, Partitions, ReplicationFactor int
	// Version that the brokers behave like: "8.5" to "8.10".
	Version string
	// Dir for logs and exported records; a temporary one, removed at the end, if empty.
	Dir string
	// ControlAddress is the host:port of a page that makes trouble on demand; none if empty.
	ControlAddress string
	// Out takes the words for whoever tries this.
	Out io.Writer
}

// RunDev serves over a whole cluster inside this process, until the context ends. It is for trying and testing, and says
// so.
func RunDev(ctx context.Context, cfg *Config, dev DevOptions, log *slog.Logger) (err error) {
	var stop lifecycle
	defer func() { err = errors.Join(err, stop.close(cfg.ShutdownTimeout)) }()
	if dev.Dir == "" {
		if dev.Dir, err = os.MkdirTemp("", "exportgate-dev-"); err != nil {
			return fmt.Errorf("make a directory for the embedded cluster: %w", err)
		}
		stop.onStop("temporary directory", func(context.Context) error { return os.RemoveAll(dev.Dir) })
	}
	cluster, err := embedded.Start(ctx, embedded.Options{
		Dir: dev.Dir, Brokers: dev.Brokers, Partitions: dev.Partitions, ReplicationFactor: dev.ReplicationFactor,
		Version: dev.Version, Logger: log,
	})
	if err != nil {
		return err // It says that it is the embedded cluster.
	}
	stop.onStop("embedded cluster", func(context.Context) error { return cluster.Close() })
	if dev.ControlAddress != "" {
		if dev.ControlAddress, err = serveControl(ctx, &stop, dev.ControlAddress, cluster.Control(), log); err != nil {
			return err
		}
	}
	withCluster := *cfg
	withCluster.Zeebe.Brokers, withCluster.Zeebe.ClusterID = nil, "embedded" // Its ports are others each time.
	if withCluster.Store.Path == "" {
		withCluster.Store.Path = filepath.Join(dev.Dir, "exportgate.db")
	}
	for id, address := range cluster.Addresses() {
		withCluster.Zeebe.Brokers = append(withCluster.Zeebe.Brokers, fmt.Sprintf("%d=%s", id, address))
	}
	s, err := New(ctx, &withCluster, log)
	if err != nil {
		return err
	}
	if err := welcome(dev, s, cfg.ActuatorPath(), cluster); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Run(ctx)
}

// serveControl serves the page that makes trouble, and returns where: the port may have been any. It has no authentication,
// so it must stay on this machine.
func serveControl(ctx context.Context, stop *lifecycle, address string, page http.Handler, log *slog.Logger) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("control address: %w; choose another with --control-address, or none with an empty one", err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return "", errors.Join(fmt.Errorf("control address %s is not a loopback address, and the page has no authentication", address),
			l.Close())
	}
	server := &http.Server{
		Handler: page, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // It ends when it is closed.
	}()
	stop.onStop("control page", func(context.Context) error {
		err := server.Close()
		<-done
		return err
	})
	return l.Addr().String(), nil
}

// welcome tells what runs where, and what to type.
func welcome(dev DevOptions, s *Server, base string, cluster *embedded.Cluster) error {
	var text strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	scheme := "http"
	if s.files.doors != nil {
		scheme = "https"
	}
	say("\nThis is Exportgate over an embedded cluster: for trying and testing, never for production.\n")
	say("  cluster   %d brokers, %d partitions, %d replicas, like Zeebe %s",
		len(cluster.Brokers()), len(cluster.Partitions()), len(cluster.Replicas()), cluster.Broker(0).Version())
	say("  records   %s", filepath.Join(dev.Dir, "export", "*.ndjson"))
	if s.GRPCAddr() != nil {
		say("  gRPC      %s", s.GRPCAddr())
	}
	if dev.ControlAddress != "" {
		say("  trouble   http://%s/  (stop brokers, make them hang, and so on)", dev.ControlAddress)
	}
	if s.HTTPAddr() != nil {
		say("  HTTP      %s://%s%s/exporting", scheme, s.HTTPAddr(), base)
		say("\nIn another terminal:\n")
		for _, call := range []string{"pause?soft=true", "resume", "pause", "resume"} {
			say("  curl -fsS -X POST '%s://%s%s/exporting/%s'", scheme, s.HTTPAddr(), base, call)
		}
		say("  curl -fsS '%s://%s%s/exporting'\n", scheme, s.HTTPAddr(), base)
	}
	_, err := io.WriteString(dev.Out, text.String())
	return err
}
