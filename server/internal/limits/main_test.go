package limits_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addresses := os.Getenv(floodVariable); addresses != "" {
		os.Exit(runFlood(strings.Split(addresses, ",")))
	}
	goleak.VerifyTestMain(m)
}
