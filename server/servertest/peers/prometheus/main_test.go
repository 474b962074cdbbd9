// Package prometheus_test has a real Prometheus scrape Exportgate, judge its metrics and go by its alert rules.
package prometheus_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
