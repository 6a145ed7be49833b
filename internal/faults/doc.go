// Package faults has the faults that a server has to survive, one row each, with the tests that
// show what holds. Its tests run those rows that no other package has, on the loopback interface.
//
//	go test ./internal/faults        the short form
//	make faults                      the long form, with the tests of other packages
package faults
