package zeebe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestIdentities(t *testing.T) {
	at := func(id exporting.BrokerID, from origin, address string) endpoint {
		return endpoint{id: id, from: from, address: address}
	}
	for _, test := range []struct {
		name      string
		endpoints []endpoint
		listed    []exporting.BrokerID
		want      []exporting.BrokerID
		certain   bool
	}{
		{"configured, whatever is listed", []endpoint{
			at("0", fromOperator, "a"), at("7", fromOperator, "b"),
		}, ids("0", "1"), ids("0", "7"), true},
		{"names that agree", []endpoint{
			at("0", fromName, "a"), at("2", fromName, "b"),
		}, ids("0", "1", "2"), ids("0", "2"), true},
		{"names of more brokers than are listed", []endpoint{
			at("0", fromName, "a"), at("1", fromName, "b"), at("2", fromName, "c"),
		}, ids("0", "1"), ids("0", "1", "2"), true},
		{"names that count from 1", []endpoint{
			at("1", fromName, "a"), at("2", fromName, "b"), at("3", fromName, "c"),
		}, ids("0", "1", "2"), ids("a", "b", "c"), false},
		{"names, where ids are not numbers", []endpoint{at("0", fromName, "a")}, ids("us_0"), ids("a"), false},
		{"names, where nothing is listed", []endpoint{at("0", fromName, "a")}, nil, ids("0"), true},
		{"two sets of names", []endpoint{at("0", fromName, "a-0"), at("0", fromName, "b-0")}, nil, ids("a-0", "b-0"), false},
		{"a name beside a configured id", []endpoint{
			at("0", fromName, "a"), at("0", fromOperator, "b"),
		}, ids("0", "1"), ids("a", "0"), false},
		{"a name and a configured id", []endpoint{
			at("1", fromName, "a"), at("0", fromOperator, "b"),
		}, ids("0", "1"), ids("1", "0"), true},
		{"an address", []endpoint{at("", fromNobody, "a"), at("0", fromOperator, "b")}, ids("0", "1"), ids("a", "0"), false},
		{"a gateway that knows one more", []endpoint{
			at("0", fromGateway, "a"), at("3", fromGateway, "b"),
		}, ids("0", "1", "2"), ids("0", "3"), true},
		{"a gateway with zones", []endpoint{at("0", fromGateway, "a")}, ids("us_0", "eu_0"), ids("a"), false},
		{"a gateway that tells an id twice", []endpoint{
			at("0", fromGateway, "a"), at("0", fromGateway, "b"),
		}, nil, ids("a", "b"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, certain := identities(test.endpoints, test.listed)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("ids differ (-want +got):\n%s", diff)
			}
			if certain != test.certain {
				t.Errorf("certain is %t, want %t", certain, test.certain)
			}
		})
	}
}
