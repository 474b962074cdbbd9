package server

import (
	"context"
	"log/slog"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
)

// ledgerStore is where the ledger is kept, and who of those that share it drives.
type ledgerStore struct {
	hold.Store

	where    string                      // for people
	election reconcile.Election          // nil where it is this process's alone
	run      func(context.Context) error // carries on the election; nil where there is none
}

// openStore opens the configured store.
func openStore(_ context.Context, cfg *Config, _ *slog.Logger) (ledgerStore, error) {
	store, err := bolt.Open(cfg.Store.Path)
	if err != nil {
		return ledgerStore{}, err
	}
	return ledgerStore{Store: store, where: cfg.Store.Path}, nil
}
