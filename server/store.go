package server

import (
	"context"
	"fmt"
	"log/slog"

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
}

// openStore opens the configured store.
func openStore(cfg *Config, log *slog.Logger) (ledgerStore, error) {
	if cfg.Store.Type == StoreEtcd {
		return openEtcd(cfg, log)
	}
	store, err := bolt.Open(cfg.Store.Path)
	if err != nil {
		return ledgerStore{}, fmt.Errorf("store.path: %w", err)
	}
	return ledgerStore{Store: store, where: cfg.Store.Path}, nil
}

func openEtcd(cfg *Config, log *slog.Logger) (ledgerStore, error) {
	o := cfg.Store.Etcd
	tls, err := o.ClientTLS()
	if err != nil {
		return ledgerStore{}, err
	}
	store, err := etcd.Open(etcd.Options{
		Endpoints: o.Endpoints, Prefix: o.Prefix, TLS: tls, Username: o.Username, Password: string(o.Password), Name: cfg.Name,
		LeaseTTL: o.LeaseTTL, Logger: log,
	})
	if err != nil {
		return ledgerStore{}, err
	}
	election := store.Election()
	return ledgerStore{Store: store, where: store.Where(), election: election, run: election.Run}, nil
}
