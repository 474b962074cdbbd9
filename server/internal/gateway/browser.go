package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reason"
)

// This file is what keeps web pages out. A browser sends requests to whatever a page names, from inside the network that
// the port is in, and as whoever its user is.

// contentPolicy lets an answer load nothing, run nothing and be shown in no frame. No answer ever lets another origin read
// it either: there are no Access-Control headers anywhere.
const contentPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// setCommonHeaders sets what every answer has: states must not be cached, and JSON must not be taken for a page, nor be
// any use to one.
func setCommonHeaders(w http.ResponseWriter, r *http.Request) {
	headers := w.Header()
	headers.Set("Cache-Control", "no-store")
	headers.Set("Content-Security-Policy", contentPolicy)
	headers.Set("Cross-Origin-Opener-Policy", "same-origin")
	headers.Set("Cross-Origin-Resource-Policy", "same-origin")
	headers.Set("Referrer-Policy", "no-referrer")
	headers.Set("X-Content-Type-Options", "nosniff")
	// Browsers apply it to every port of a host. localhost is everybody's, and would lose all that speaks no TLS.
	if r.TLS != nil && !isLoopback(hostName(r.Host)) {
		headers.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// hosts are the host names by which a door may be asked for.
type hosts struct {
	loopback bool // the door listens on loopback
	listed   map[string]bool
}

func newHosts(loopback bool, names []string) (hosts, error) {
	h := hosts{loopback: loopback, listed: map[string]bool{}}
	for _, name := range names {
		clean := hostName(name)
		if clean == "" {
			return hosts{}, fmt.Errorf("gateway: %q is no host name; server.allowed-hosts takes names like exportgate.example.com",
				name)
		}
		h.listed[clean] = true
	}
	return h, nil
}

// check refuses a request that names a host which this door is not known by: a page may have made its own name point to
// this machine, and would then be of the same origin as the door (DNS rebinding). An IP address cannot be made to point
// anywhere, so that one that is not loopback's is refused on loopback only, where nobody could have reached it by that. A
// request that names no host comes from no browser.
func (h hosts) check(r *http.Request) *status.Status {
	if !h.loopback && len(h.listed) == 0 || r.Host == "" || h.known(r.Host) {
		return nil
	}
	return refusedPage(causeHost, "this server is not known as %s: use its address or localhost, or put that name into "+
		"server.allowed-hosts", quote(r.Host))
}

// checkOrigin refuses what a page from elsewhere sends. What changes something is refused wherever the door listens; where
// it knows its hosts, what only reads is refused as well.
func (h hosts) checkOrigin(protection *http.CrossOriginProtection, r *http.Request) *status.Status {
	if protection.Check(r) != nil {
		return refusedPage(causeOrigin, "this request comes from a page of another origin, and no such page may change anything")
	}
	if !h.loopback && len(h.listed) == 0 {
		return nil
	}
	origin := r.Header.Get("Origin")
	if origin == "" && embedded(r) {
		return refusedPage(causeOrigin, "a page of another site loads this as a part of itself: open it by itself instead")
	}
	if origin == "" {
		return nil
	}
	if from, err := url.Parse(origin); err == nil && from.Host != "" && h.known(from.Host) {
		return nil
	}
	return refusedPage(causeOrigin, "this request comes from a page of %s, which is not in server.allowed-hosts", quote(origin))
}

// embedded reports whether a page of another site asks for something as an image, a script or a frame of its own, without an
// Origin. It cannot read the answer, but each such request counts by the limits of whoever's browser it is, so that the page
// could keep that person out. To follow a link is to ask for a document.
func embedded(r *http.Request) bool {
	destination := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && destination != "" && destination != "document"
}

// known reports whether a host, with or without a port, is one of this door's.
func (h hosts) known(hostPort string) bool {
	name := hostName(hostPort)
	if name == "" {
		return false
	}
	_, err := netip.ParseAddr(name)
	return isLoopback(name) || h.listed[name] || err == nil && !h.loopback
}

// isLoopback reports whether a name, as hostName has it, can only be this machine: browsers resolve localhost and what is
// below it themselves.
func isLoopback(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// hostName is the host of a Host header or an Origin, without port, brackets and the dot of a full name, in lower case;
// empty where there is none, or anything is strange about it.
func hostName(hostPort string) string {
	name := hostPort
	if host, port, err := net.SplitHostPort(hostPort); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return ""
		}
		name = host
	} else if bare, ok := strings.CutPrefix(hostPort, "["); ok {
		if name, ok = strings.CutSuffix(bare, "]"); !ok {
			return ""
		}
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.WithZone("").String()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return ""
	}
	return name
}

// What the door refuses by itself, as the "cause" in an ErrorInfo's metadata.
const (
	causeHost          = "host"
	causeOrigin        = "cross-origin"
	causeAuthorization = "authorization"
)

// Causes are those that [Options.Refused] is told of beside the contract's reasons.
func Causes() []string { return []string{causeHost, causeOrigin, causeAuthorization} }

// refusedPage refuses a request that a web page may have made. The cause is for counting.
func refusedPage(cause, format string, args ...any) *status.Status {
	return reason.With(status.Newf(codes.PermissionDenied, format, args...),
		exportgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, map[string]string{"cause": cause})
}
