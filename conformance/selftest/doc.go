// Package selftest tests the conformance suite with broken hosts: each has one
// fault, and every case of the suite is seen to fail on at least one of them.
// There is nothing in it but tests.
package selftest
