package zeebe

import (
	"slices"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// identities returns the endpoints' ids in their order, and whether all of them are known. A broker's answers do not
// say which broker it is, so an id is only as good as its origin: what the operator configured stands; what the gateway
// told and what a host name suggests must agree with the brokers that the cluster lists, where it lists them. An
// endpoint whose id is not known goes by its address.
func identities(endpoints []endpoint, listed []exporting.BrokerID) (ids []exporting.BrokerID, certain bool) {
	agreed := map[origin]bool{
		fromOperator: true,
		fromGateway:  agrees(endpoints, fromGateway, listed),
		fromName:     agrees(endpoints, fromName, listed),
	}
	certain = true
	ids = make([]exporting.BrokerID, len(endpoints))
	for i, e := range endpoints {
		ids[i] = e.id
		if !agreed[e.from] {
			ids[i], certain = exporting.BrokerID(e.address), false
		}
	}
	return ids, certain
}

// agrees reports whether the ids of an origin may be believed. Whatever the origin, no two endpoints may share one.
//
// A gateway tells numbers only, so where brokers have names ("us-east1_0") none of its ids is listed, and several are
// the same; else it is right. Numbers in host names are right if they cover the list or are covered by it: names that
// count from 1 do neither.
func agrees(endpoints []endpoint, from origin, listed []exporting.BrokerID) bool {
	all, own := make(map[exporting.BrokerID]bool), make(map[exporting.BrokerID]bool)
	for _, e := range endpoints {
		if e.id == "" {
			continue
		}
		if e.from == from {
			own[e.id] = true
		}
		if all[e.id] && (own[e.id] || e.from == from) {
			return false
		}
		all[e.id] = true
	}
	if len(listed) == 0 {
		return true
	}
	known := 0
	for id := range own {
		if slices.Contains(listed, id) {
			known++
		}
	}
	if from == fromGateway {
		return known > 0
	}
	uncovered := func(id exporting.BrokerID) bool { return !all[id] }
	return known == len(own) || !slices.ContainsFunc(listed, uncovered)
}
