// Package exporting is the core: what it means that a Zeebe cluster exports or is paused, and [Fanout], which brings
// every replica of every partition to a phase and believes only what it reads back.
//
// It must not know how brokers are spoken to, nor by whom it is called: no gRPC, no protobuf, no net/http. The brokers
// are behind the [Cluster] port.
package exporting
