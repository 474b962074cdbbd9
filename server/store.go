package server

import (
	"context"
	"fmt"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
	"github.com/exportgate/exportgate/server/internal/store/etcd"
)

// ledgerStore is where the ledger is kept, and who of those that share it drives.
type ledgerStore struct {
	hold.Store

	where    string                      // for people
	election reconcile.Election          // nil where it is this process's alone
	run      func(context.Context) error // carries on the election; nil where there is none
	// clocks is how far the other servers' clocks are ahead of this one's, by name.
	clocks func() map[string]time.Duration
}

// openStore opens the configured store.
func openStore(cfg *Config, s *surroundings) (ledgerStore, error) {
	if cfg.Store.Type == StoreEtcd {
		return openEtcd(cfg, s)
	}
	store, err := bolt.Open(cfg.Store.Path)
	if err != nil {
		return ledgerStore{}, fmt.Errorf("store.path: %w", err)
	}
	return ledgerStore{Store: store, where: cfg.Store.Path, clocks: noClocks}, nil
}

func openEtcd(cfg *Config, s *surroundings) (ledgerStore, error) {
	o := cfg.Store.Etcd
	store, err := etcd.Open(etcd.Options{
		Endpoints: o.Endpoints, Prefix: o.Prefix, TLS: s.files.etcd, Username: o.Username, Password: string(o.Password), Name: cfg.Name,
		LeaseTTL: o.LeaseTTL, Logger: s.part("store"),
	})
	if err != nil {
		return ledgerStore{}, err
	}
	election := store.Election()
	return ledgerStore{Store: store, where: store.Where(), election: election, run: election.Run, clocks: func() map[string]time.Duration {
		clocks := map[string]time.Duration{}
		for _, s := range election.Servers() {
			clocks[s.Name] = s.Ahead
		}
		return clocks
	}}, nil
}

// noClocks is where no other server shares the ledger.
func noClocks() map[string]time.Duration { return nil }
