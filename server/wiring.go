package server

import (
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/telemetry"
	"github.com/exportgate/exportgate/server/internal/zeebe"
)

func zeebeOptions(cfg *Config, s *surroundings) zeebe.Options {
	return zeebe.Options{
		Brokers: cfg.Zeebe.Brokers, Gateway: cfg.Zeebe.Gateway, ManagementURL: cfg.Zeebe.ManagementURL,
		Version: cfg.Zeebe.Version, ClusterSize: cfg.Zeebe.ClusterSize, Partitions: cfg.Zeebe.Partitions,
		ReplicationFactor: cfg.Zeebe.ReplicationFactor, RequestTimeout: cfg.Zeebe.RequestTimeout,
		AllowSoftToHard: cfg.Exporting.AllowSoftToHard, ClusterID: cfg.Zeebe.ClusterID, DiskPath: cfg.Exporting.Guard.DiskPath,
		TLS: s.files.zeebe, OAuth: oauth(cfg, s), Observe: s.metrics.BrokerRequest, Tracing: s.tracing.TracerProvider(),
		Logger: s.part("zeebe"),
	}
}

func oauth(cfg *Config, s *surroundings) zeebe.OAuth {
	o := cfg.Zeebe.OAuth
	return zeebe.OAuth{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), Audience: o.Audience, Scope: o.Scope,
		TLS: s.files.oauth,
	}
}

// guard is what looks after the brokers' disks; it does nothing unless the configuration says what has to be free.
func guard(cfg *Config, disks exporting.Disks) reconcile.Guard {
	g := cfg.Exporting.Guard
	if g.MinFree == (MinFree{}) {
		return reconcile.Guard{}
	}
	return reconcile.Guard{Disks: disks, MinFree: reconcile.MinFree(g.MinFree), Release: g.Policy == GuardRelease}
}

// sources are what metrics tell at a scrape.
func (s *Server) sources(cfg *Config, r *reconcile.Reconciler, store *ledgerStore, a *access) telemetry.Sources {
	sources := telemetry.Sources{
		Status: r.Known, Clocks: store.clocks, Disks: r.Disks, Certificates: s.files.certificates,
		Identity: a.identity(cfg.Auth.JWT.Issuer), Connections: s.connections,
	}
	if store.election != nil {
		sources.Term = func() (uint64, bool) {
			term, drives, _ := store.election.Term()
			return term.ID, drives
		}
	}
	if cfg.Auth.TokensFile != "" {
		sources.Tokens = func() error { return a.guard.State().TokensErr }
	}
	if s.audit != nil {
		sources.Audit = func() error { return s.audit.State().Err }
	}
	return sources
}

// connections are those that are open, by door.
func (s *Server) connections() map[string]int {
	open := map[string]int{}
	for door, count := range s.open {
		open[door] = count()
	}
	return open
}

func onFailure(o OnFailure) reconcile.OnFailure {
	if o == OnFailureKeep {
		return reconcile.Keep
	}
	return reconcile.Revert
}

// callTimeout is how long a door gives a call: a little more than the call gives itself, so that it is the call that says
// what was late.
func callTimeout(cfg *Config) time.Duration { return cfg.Exporting.Timeout + time.Second }

// fanoutTimeout is how long the fan-out gives a request: a little more than the client of the brokers gives it, so that it
// is the client that says what happened.
func fanoutTimeout(cfg *Config) time.Duration { return cfg.Zeebe.RequestTimeout + 500*time.Millisecond }

// info is what the info endpoint tells.
func info(build Build, view *exporting.View) gateway.Info {
	told := gateway.Info{Version: build.Version, Commit: build.Commit, LedgerVersion: hold.Format}
	if view.Topology != nil {
		told.ZeebeVersions = view.Topology.Versions()
	}
	return told
}
