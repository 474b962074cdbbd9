package server

import (
	"log/slog"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/zeebe"
)

func zeebeOptions(cfg *Config, log *slog.Logger) zeebe.Options {
	return zeebe.Options{
		Brokers: cfg.Zeebe.Brokers, Gateway: cfg.Zeebe.Gateway, ManagementURL: cfg.Zeebe.ManagementURL,
		Version: cfg.Zeebe.Version, ClusterSize: cfg.Zeebe.ClusterSize, Partitions: cfg.Zeebe.Partitions,
		ReplicationFactor: cfg.Zeebe.ReplicationFactor, RequestTimeout: cfg.Zeebe.RequestTimeout,
		AllowSoftToHard: cfg.Exporting.AllowSoftToHard, ClusterID: cfg.Zeebe.ClusterID, Logger: log,
	}
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
	told := gateway.Info{Version: build.Version, Commit: build.Commit}
	if view.Topology != nil {
		told.ZeebeVersions = view.Topology.Versions()
	}
	return told
}
