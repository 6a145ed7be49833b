//go:build race

package selftest

// race: the race detector is on, and would see the breakers that are races.
const race = true
