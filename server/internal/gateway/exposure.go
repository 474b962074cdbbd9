package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// Exposure is which endpoints there are, by Spring Boot's rules: those that are included and not excluded. "*" is all of
// them, and so is an empty Include. What is not exposed is not found, and has no link.
type Exposure struct{ Include, Exclude []string }

// The ids of the endpoints.
const (
	idExporting  = "exporting"
	idHealth     = "health"
	idInfo       = "info"
	idLoggers    = "loggers"
	idOpenAPI    = "openapi"
	idPrometheus = "prometheus"
)

// EndpointIDs are what [Exposure] may name, besides "*".
func EndpointIDs() []string {
	return []string{idExporting, idHealth, idInfo, idLoggers, idOpenAPI, idPrometheus}
}

func (e Exposure) check() error {
	for key, ids := range map[string][]string{"include": e.Include, "exclude": e.Exclude} {
		for _, id := range ids {
			if id != "*" && !slices.Contains(EndpointIDs(), id) {
				return fmt.Errorf("gateway: management.endpoints.web.exposure.%s has %q; there are %s, and * for all of them", key, id,
					strings.Join(EndpointIDs(), ", "))
			}
		}
	}
	return nil
}

// has reports whether an endpoint is exposed.
func (e Exposure) has(id string) bool {
	in := func(ids []string) bool { return slices.Contains(ids, "*") || slices.Contains(ids, id) }
	return (len(e.Include) == 0 || in(e.Include)) && !in(e.Exclude)
}

// has reports whether there is an endpoint: whether it is exposed, and has what it shows.
func (h *handler) has(id string) bool {
	return h.exposure.has(id) && (id != idLoggers || h.loggers != nil)
}
