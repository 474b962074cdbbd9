package caller

import "net/netip"

// Network is what tells apart callers of whom nothing but the address is known, given as "host:port" or alone: the IP
// address without the port, which a caller chooses, and of an IPv6 address the network of 64 bits, in which it may choose
// the rest. What is no address stands for itself, cut short where it is longer than any.
func Network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		withPort, err := netip.ParseAddrPort(addr)
		if err != nil {
			const enough = 64
			return addr[:min(len(addr), enough)]
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	const subscriber = 64
	return netip.PrefixFrom(ip, subscriber).Masked().String()
}
