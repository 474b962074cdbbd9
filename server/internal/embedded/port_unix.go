//go:build unix

package embedded

import (
	"fmt"
	"net/netip"
	"syscall"
)

// portReservation keeps the port of a stopped broker from everybody else: a socket that is bound and does not listen,
// so that connections are refused. Without it, a test that runs at the same time could be given the port.
type portReservation struct {
	socket int
	held   bool
}

func (p *portReservation) reserve(address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reserving a port: %w", err)
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("reserving a port: %w", err)
	}
	// Connections that the broker has just cut may linger on the port.
	err = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(socket, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())})
	}
	if err != nil {
		_ = syscall.Close(socket)
		return fmt.Errorf("reserving port %d: %w", addr.Port(), err)
	}
	p.socket, p.held = socket, true
	return nil
}

func (p *portReservation) release() {
	if p.held {
		_ = syscall.Close(p.socket)
		p.held = false
	}
}
