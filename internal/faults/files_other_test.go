//go:build !unix

package faults

import "testing"

func noFiles(t *testing.T) {
	t.Skip("this system has no bound of descriptors that a process can lower")
}
