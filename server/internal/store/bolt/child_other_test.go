//go:build !unix

package bolt_test

func runChild() (status int, ok bool) { return 0, false }
