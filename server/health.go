package server

import (
	"context"
	"errors"
	"time"

	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// health: nothing about the server's own state would get better by a restart, and a server without brokers is still the
// one that can say so.
func (s *Server) health(context.Context) gateway.Health {
	status := s.known()
	h := gateway.Health{Liveness: gateway.HealthUp, Readiness: gateway.HealthUp, Startup: gateway.HealthUp}
	if s.draining.Err() != nil {
		h.Readiness = gateway.HealthOutOfService
	}
	if status == nil {
		h.Startup = gateway.HealthDown
	}
	h.Components = []gateway.Component{brokersHealth(status), storeHealth(status)}
	if certificates := s.files.certificates(); len(certificates) > 0 {
		component := gateway.Component{Name: "certificates", Status: gateway.HealthUp, Details: map[string]any{}}
		for _, c := range certificates {
			err := c.Err
			if now := time.Now(); err == nil && (ended(c.NotAfter, now) || ended(c.TrustNotAfter, now)) {
				err = errExpired
			}
			component.Details[c.Use] = trouble(err)
			if err != nil {
				component.Status = gateway.HealthDown
			}
		}
		h.Components = append(h.Components, component)
	}
	if s.audit != nil {
		h.Components = append(h.Components, componentOf("audit", s.audit.State().Err))
	}
	return h
}

var errExpired = errors.New("a certificate has expired: renew the files, which are read again by themselves")

// ended reports whether a certificate's time, if there is one, is over.
func ended(at, now time.Time) bool { return !at.IsZero() && now.After(at) }

// brokersHealth is DOWN while one broker does not answer, because no pause can be placed then.
func brokersHealth(status *reconcile.Status) gateway.Component {
	component := gateway.Component{Name: "brokers", Status: gateway.HealthUnknown}
	switch {
	case status == nil:
		return component
	case status.View.Topology == nil && status.View.TopologyErr != nil:
		return componentOf("brokers", status.View.TopologyErr)
	case status.View.Topology == nil:
		return component
	}
	component.Status, component.Details = gateway.HealthUp, map[string]any{}
	for _, b := range status.View.Topology.Brokers {
		err := status.View.Observations[b.ID].Err
		component.Details[string(b.ID)] = trouble(err)
		if err != nil {
			component.Status = gateway.HealthDown
		}
	}
	return component
}

func storeHealth(status *reconcile.Status) gateway.Component {
	if status == nil {
		return gateway.Component{Name: "store", Status: gateway.HealthUnknown}
	}
	return componentOf("store", status.Stale)
}

func componentOf(name string, err error) gateway.Component {
	component := gateway.Component{Name: name, Status: gateway.HealthUp}
	if err != nil {
		component.Status, component.Details = gateway.HealthDown, map[string]any{"error": trouble(err)}
	}
	return component
}

// trouble is an error in words, and "UP" where there is none.
func trouble(err error) string {
	if err == nil {
		return string(gateway.HealthUp)
	}
	return err.Error()
}
