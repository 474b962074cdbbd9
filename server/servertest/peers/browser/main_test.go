// Package browser_test has a real Chromium meet a whole server: pages of other sites must get nothing out of it and nothing
// done by it, and the page of the API must be one that people can read.
package browser_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
