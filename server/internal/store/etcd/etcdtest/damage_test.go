package etcdtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

// What somebody else did to the key is found by everybody who reads, told by the watch, and never replaced.
func TestDamage(t *testing.T) {
	t.Parallel()
	c := start(t)
	raw := client(t, c)
	key := prefix + "/ledger"
	tests := []struct {
		name, want string
		do         func(context.Context) error
		fresh      string // what one that opens afterwards says; as want if empty
	}{
		{"written by hand", "did not write it", func(ctx context.Context) error {
			_, err := raw.Put(ctx, key, "nonsense")
			return err
		}, ""},
		{"written again", "written by hand", func(ctx context.Context) error {
			answer, err := raw.Get(ctx, key)
			must(t, err)
			_, err = raw.Put(ctx, key, string(answer.Kvs[0].GetValue()))
			return err
		}, ""},
		{"of a newer program", "a newer exportgate", func(ctx context.Context) error {
			_, err := raw.Put(ctx, key, `{"exportgate":2,"revision":3}`+"\nx")
			return err
		}, ""},
		{"deleted", "restart", func(ctx context.Context) error {
			_, err := raw.Delete(ctx, key)
			return err
		}, "none"},
		{"deleted and restored", "written by hand", func(ctx context.Context) error {
			answer, err := raw.Get(ctx, key)
			must(t, err)
			_, err = raw.Delete(ctx, key)
			must(t, err)
			_, err = raw.Put(ctx, key, string(answer.Kvs[0].GetValue()))
			return err
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := raw.Delete(t.Context(), key)
			must(t, err)
			s := open(t, "a", c.Endpoints()...)
			must(t, s.Swap(t.Context(), record(1)))
			must(t, s.Swap(t.Context(), record(2)))
			revisions, ended, _ := watch(t, s)
			until(t, revisions, 2)
			must(t, test.do(t.Context()))

			_, err = s.Read(t.Context())
			damaged(t, err, test.want)
			damaged(t, <-ended, test.want)
			if err := s.Swap(t.Context(), record(3)); !errors.Is(err, hold.ErrConflict) && test.name != "deleted" {
				t.Errorf("it was replaced: %v", err)
			}
			r, err := open(t, "b", c.Endpoints()...).Read(t.Context())
			if test.fresh == "none" {
				if err != nil || r.Revision != 0 {
					t.Errorf("one that opens afterwards reads revision %d and %v", r.Revision, err)
				}
				return
			}
			damaged(t, err, test.want)
		})
	}
}

func damaged(t *testing.T, err error, want string) {
	t.Helper()
	d, is := errors.AsType[*hold.DamagedError](err)
	if !is || !strings.Contains(err.Error(), want) || !strings.Contains(d.Where, prefix+"/ledger") {
		t.Errorf("got %v, want a DamagedError that names the key and says %q", err, want)
	}
}

// An etcd that is full refuses writes and serves reads. The write that first meets the limit may fail and be made all the
// same, so that such a failure must not pass for a certain one.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, 1, 100*time.Millisecond, time.Second, func(config *embed.Config) { config.QuotaBackendBytes = 4 << 20 })
	s := open(t, "a", c.Endpoints()...)
	large := hold.Record{Data: make([]byte, hold.MaxRecord)}
	failures := 0
	for range 10 {
		r, err := s.Read(t.Context())
		must(t, err)
		large.Revision = r.Revision + 1
		if err := s.Swap(t.Context(), large); err != nil {
			failures++
			if !isUncertain(err) || !strings.Contains(err.Error(), "space") {
				t.Fatalf("a write to a full etcd: %v, want it uncertain", err)
			}
		}
	}
	if failures < 5 {
		t.Errorf("%d writes of 10 failed", failures)
	}
}

// A password is enough for everything, also after the members that gave tokens for it were restarted.
func TestPassword(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, 3, 100*time.Millisecond, time.Second, func(config *embed.Config) {
		config.BcryptCost = 4 // The race detector makes it costly enough.
	})
	raw := client(t, c)
	_, err := raw.UserAdd(t.Context(), "root", "secret")
	must(t, err)
	_, err = raw.UserGrantRole(t.Context(), "root", "root")
	must(t, err)
	_, err = raw.UserAdd(t.Context(), "gate", "word")
	must(t, err)
	_, err = raw.RoleAdd(t.Context(), "gate")
	must(t, err)
	_, err = raw.RoleGrantPermission(t.Context(), "gate", prefix+"/", clientv3.GetPrefixRangeEnd(prefix+"/"),
		clientv3.PermissionType(clientv3.PermReadWrite))
	must(t, err)
	_, err = raw.UserGrantRole(t.Context(), "gate", "gate")
	must(t, err)
	_, err = raw.AuthEnable(t.Context())
	must(t, err)

	with := func(password string) *etcd.Store {
		s, err := etcd.Open(etcd.Options{
			Endpoints: c.Endpoints(), Prefix: prefix, Name: "a", LeaseTTL: ttl, Username: "gate", Password: password,
		})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return s
	}
	if _, err := with("wrong").Read(t.Context()); err == nil || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("with a wrong password: %v", err)
	}
	if _, err := open(t, "b", c.Endpoints()...).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "user name is empty") {
		t.Errorf("without a password: %v", err)
	}
	s := with("word")
	must(t, s.Swap(t.Context(), record(1)))
	revisions := watchOn(t, s)
	run(t, s.Election().Run)
	eventually(t, "drive", func() error { return drives(s) })
	for i := range 3 {
		c.Stop(i)
		c.StartMembers(i)
		eventually(t, "read", func() error {
			_, err := s.Read(t.Context())
			return err
		})
	}
	holds(t, s, 1)
	must(t, s.Swap(t.Context(), record(2)))
	until(t, revisions, 2)
	eventually(t, "drive again", func() error { return drives(s) })
}
