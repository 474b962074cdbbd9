package telemetry

import (
	"time"

	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Sources are asked at every scrape and must answer at once, from what they know. Only Status is required; what the others
// would tell is left out where they are nil.
type Sources struct {
	// Status is as of the last reads; nil before the first.
	Status func() *reconcile.Status
	// Term is the term that this server drives the brokers in, or last did, and whether it does now; nil where it is the
	// only one, which always does.
	Term func() (term uint64, drives bool)
	// Clocks is how far the clocks of the other servers over one ledger are ahead of this one's, by name.
	Clocks func() map[string]time.Duration
	// Disks are the brokers' disks, as they were measured last; empty while nothing is to be measured.
	Disks func() []reconcile.DiskState
	// Certificates are what the doors show and what this server shows and trusts elsewhere, each with its own Use.
	Certificates func() []Certificate
	// Tokens is why the file of tokens could not be read again; nil if it could.
	Tokens func() error
	// Identity is what is known of the identity provider; nil where none is trusted.
	Identity func() Identity
	// Audit is why the audit log could not be written the last time; nil if it could.
	Audit func() error
	// Connections are those that are open, by door.
	Connections func() map[string]int
}

// Identity is an identity provider.
type Identity struct {
	Issuer string
	// Keys is how many of its keys are known; with none, none of its tokens can be checked. Err is why they could not be
	// fetched the last time; nil if they could.
	Keys int
	Err  error
}

// Certificate is a certificate and the authorities that others are checked with.
type Certificate struct {
	// Use is what it is for, in one word: "server", "zeebe", "etcd", "issuer", "oauth".
	Use string
	// NotBefore and NotAfter are those of the certificate, TrustNotAfter is when the first authority expires; zero where
	// there is none.
	NotBefore, NotAfter, TrustNotAfter time.Time
	// Err is why the files could not be read again; nil if they could.
	Err error
}
