package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/logging"
	"github.com/exportgate/exportgate/server/internal/reason"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/telemetry"
	"github.com/exportgate/exportgate/server/internal/tracing"
)

// surroundings is what everything else is built in: who is told of what happens, and by which certificates others are known.
type surroundings struct {
	levels  *logging.Levels
	log     *slog.Logger
	metrics *telemetry.Metrics
	tracing *tracing.Tracing
	audit   *audit.Log // nil where there is none
	files   tlsFiles
}

// part is the logger of a part of the program, whose level can be changed by that name.
func (s *surroundings) part(name string) *slog.Logger { return s.log.With(logging.Key, name) }

// surround begins what everything else needs, and sees to its end.
func (s *Server) surround(ctx context.Context, cfg *Config, log *slog.Logger) error {
	s.levels, s.log = logging.Of(log)
	var err error
	if s.metrics, err = telemetry.New(telemetry.Options{
		Methods: auth.Operations(), Refusals: refusals(), Guard: guardWord(cfg), Version: cfg.Build.Version, Commit: cfg.Build.Commit, Logger: s.log,
	}); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if s.tracing, err = tracing.New(ctx, tracing.Options{
		Version: cfg.Build.Version, Instance: cfg.Name, Logger: s.log,
	}); err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	s.lifecycle.onStop("traces", s.tracing.Shutdown)
	if err := s.openFiles(cfg); err != nil {
		return err
	}
	return s.openAudit(cfg)
}

// openAudit opens the audit log, if there is one. It ends after everything that has something to say there.
func (s *Server) openAudit(cfg *Config) error {
	if cfg.Audit.Path == "" {
		return nil
	}
	log, err := audit.Open(audit.Options{
		Path: cfg.Audit.Path, Writer: os.Stdout, Server: cfg.Name, MaxBytes: cfg.Audit.MaxSize, Keep: cfg.Audit.Keep,
		RefusePauses: cfg.Audit.OnFailure == AuditRefuse, Snapshot: func() audit.Snapshot { return snapshot(s.known()) },
		Logger: s.part("audit"), Stderr: os.Stderr, Failed: s.metrics.AuditFailed,
	})
	if err != nil {
		return err // It names the key.
	}
	s.audit = log
	s.lifecycle.onStop("audit log", func(context.Context) error { return log.Close() })
	return nil
}

// snapshot is what the audit log tells of the cluster.
func snapshot(status *reconcile.Status) audit.Snapshot {
	told := audit.Snapshot{Holds: []string{}}
	if status == nil {
		return told
	}
	told.Target, told.Observed = status.Target.String(), status.Observed.String()
	for i := range status.Holds {
		told.Holds = append(told.Holds, status.Holds[i].ID)
	}
	return told
}

// ledgerObservers are told what this server writes to the ledger.
func (s *surroundings) ledgerObservers() []hold.Observer {
	if s.audit == nil {
		return nil
	}
	return []hold.Observer{s.audit.Change}
}

// tlsFiles are the files of TLS, read again while the server runs: of the doors, towards brokers and gateway, towards etcd,
// and towards the identity providers of callers and of the gateway. Each is nil where none are given.
type tlsFiles struct {
	doors, zeebe, etcd, issuer, oauth *certs.Source

	given []givenFiles // those that are not nil
}

// givenFiles are files of TLS by what metrics and health call their use.
type givenFiles struct {
	use    string
	source *certs.Source
}

// openFiles reads the files of TLS, and keeps them up to date.
func (s *Server) openFiles(cfg *Config) error {
	for _, each := range []struct {
		use, key string
		files    TLSFiles
		source   **certs.Source
	}{
		{"server", "server.ssl", cfg.SSL.Files, &s.files.doors},
		{"zeebe", "zeebe.tls", cfg.Zeebe.TLS, &s.files.zeebe},
		{"etcd", "store.etcd.tls", cfg.Store.Etcd.TLS, &s.files.etcd},
		{"issuer", "auth.jwt.ca", TLSFiles{CA: cfg.Auth.JWT.CA}, &s.files.issuer},
		{"oauth", "zeebe.oauth.ca", TLSFiles{CA: cfg.Zeebe.OAuth.CA}, &s.files.oauth},
	} {
		if each.files == (TLSFiles{}) {
			continue
		}
		source, err := certs.Open(each.files.files(), certs.Options{Name: each.key, Logger: s.part("certs")})
		if err != nil {
			return fmt.Errorf("%s: %w", each.key, err)
		}
		*each.source = source
		s.files.given = append(s.files.given, givenFiles{each.use, source})
		s.start(each.key, source.Run)
	}
	return nil
}

// certificates is what metrics and health tell of the files.
func (f *tlsFiles) certificates() []telemetry.Certificate {
	var told []telemetry.Certificate
	for _, each := range f.given {
		state := each.source.State()
		told = append(told, telemetry.Certificate{
			Use: each.use, NotBefore: state.NotBefore, NotAfter: state.NotAfter, TrustNotAfter: state.TrustNotAfter, Err: state.Err,
		})
	}
	return told
}

// observers tell metrics and audit log what the reconciler does.
type observers struct {
	metrics *telemetry.Metrics
	audit   *audit.Log
}

// Passed implements [reconcile.Observer].
func (o observers) Passed(took time.Duration) { o.metrics.Passed(took) }

// Event implements [reconcile.Observer]. What the ledger says of holds is in the audit log already, by the line of its change,
// and what brokers do by themselves is for the ordinary log.
func (o observers) Event(e reconcile.Event) {
	o.metrics.Event(e)
	if o.audit == nil {
		return
	}
	switch e.Kind {
	case reconcile.EventNotSettled, reconcile.EventResumed, reconcile.EventForeign, reconcile.EventRepaused, reconcile.EventStore,
		reconcile.EventDisk:
		o.audit.Event(audit.Own{Kind: e.Kind.String(), Message: e.Message, Hold: e.Hold})
	case reconcile.EventHoldPlaced, reconcile.EventHoldSettled, reconcile.EventHoldEnded, reconcile.EventHoldBroken,
		reconcile.EventReplica, reconcile.EventBroker:
	}
}

// refusals are the reasons that calls are turned away for before the service sees them.
func refusals() []string {
	reasons := gateway.Causes()
	for _, why := range []exportgatev1.ErrorReason{
		exportgatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, exportgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
		exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_CALLS, exportgatev1.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE,
		exportgatev1.ErrorReason_ERROR_REASON_IDENTITY_UNAVAILABLE, exportgatev1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT,
	} {
		reasons = append(reasons, reason.Word(why))
	}
	return reasons
}

// guardWord is what metrics call the disk guard's policy.
func guardWord(cfg *Config) string {
	if cfg.Exporting.Guard.MinFree == (MinFree{}) {
		return "off"
	}
	return string(cfg.Exporting.Guard.Policy)
}
