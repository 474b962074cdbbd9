package etcd

import (
	"testing"

	"go.uber.org/goleak"
)

// What needs an etcd is tested in etcdtest, a module of its own.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
