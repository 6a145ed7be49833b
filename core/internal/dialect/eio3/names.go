package eio3

import (
	"fmt"
	"maps"
	"slices"
)

// repairs and framings are the choices by the names that options have for them; "" is the
// default.
var (
	repairs = map[string]Repair{
		"": RepairDetected, "detected": RepairDetected, "never": RepairNever, "always": RepairAlways, "everywhere": RepairEverywhere,
	}
	framings = map[string]Framing{
		"": FramingDetected, "detected": FramingDetected, "text": FramingText, "binary": FramingBinary,
	}
)

// ParseRepair is the Repair with this name.
func ParseRepair(name string) (Repair, error) { return choice(repairs, name) }

// ParseFraming is the Framing with this name.
func ParseFraming(name string) (Framing, error) { return choice(framings, name) }

func choice[T any](from map[string]T, name string) (T, error) {
	c, ok := from[name]
	if !ok {
		return c, fmt.Errorf("unknown choice %q; there are %q", name, slices.Sorted(maps.Keys(from))[1:])
	}
	return c, nil
}
