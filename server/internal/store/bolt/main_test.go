package bolt_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if status, ok := runChild(); ok {
		os.Exit(status)
	}
	goleak.VerifyTestMain(m)
}
