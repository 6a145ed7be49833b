package conformance

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// headings are those of the public texts that cases point to. docs/protocol.md says where
// the texts are.
var headings = map[string][]string{
	"Engine.IO 3": {"Payload", "JSONP", "Transport upgrading", "Timeouts"},
	"Engine.IO 4": {"Sending data", "Receiving data", "WebSocket", "Handshake", "Heartbeat", "Upgrade", "Packet encoding"},
	"Socket.IO 0.9": {"Handshake", "Messages", "Framing", "(1) Connect", "(2) Heartbeat", "(6) ACK", "(8) Noop",
		"Forced socket disconnection"},
	"Socket.IO 4": {"Exchange protocol", "Connection to the default namespace"},
	"Socket.IO 5": {"Connection to a namespace", "Acknowledgement", "Disconnection from a namespace", "Packet encoding"},
}

var (
	rfc     = regexp.MustCompile(`^RFC (\d+) \d+(\.\d+)*$`)
	own     = regexp.MustCompile(`^docs/protocol\.md (\d+\.\d+)$`)
	section = regexp.MustCompile(`(?m)^### (\d+\.\d+) `)
)

// TestSpecs: every case says where its rule stands, in a form that a reader can follow, and
// every section of docs/protocol.md is verified by a case.
func TestSpecs(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]int{}
	for _, m := range section.FindAllStringSubmatch(string(page), -1) {
		if _, twice := sections[m[1]]; twice {
			t.Errorf("section %s is there twice", m[1])
		}
		sections[m[1]] = 0
	}
	cases := slices.Concat(allCases(), asCases(allSessionCases()), asCases(allCookieCases()))
	for _, c := range allClusterCases() {
		cases = append(cases, testCase{name: c.name, spec: c.spec})
	}
	for _, c := range cases {
		for _, place := range strings.Split(c.spec, "; ") {
			if problem := unknownPlace(place, string(page), sections); problem != "" {
				t.Errorf("%s: %q: %s", c.name, place, problem)
			}
		}
	}
	for name, cases := range sections {
		if cases == 0 {
			t.Errorf("no case points to section %s of docs/protocol.md", name)
		}
	}
}

// unknownPlace says why a reader could not find a place, or "". It counts the sections.
func unknownPlace(place, page string, sections map[string]int) string {
	if m := own.FindStringSubmatch(place); m != nil {
		if _, ok := sections[m[1]]; !ok {
			return "the page has no such section"
		}
		sections[m[1]]++
		return ""
	}
	if m := rfc.FindStringSubmatch(place); m != nil {
		if !strings.Contains(page, "| `RFC "+m[1]+"` |") {
			return "the page does not list the text"
		}
		return ""
	}
	text, heading, ok := strings.Cut(place, ": ")
	switch {
	case !ok || headings[text] == nil:
		return "neither a section of docs/protocol.md, nor an RFC, nor a public text"
	case !slices.Contains(headings[text], heading):
		return "the text has no such heading"
	case !strings.Contains(page, "["+text+"]: https://"):
		return "the page does not list the text"
	}
	return ""
}

// TestUnknownPlaces: places that no reader would find are noticed.
func TestUnknownPlaces(t *testing.T) {
	page := "| `RFC 6455` | websockets |\n[Engine.IO 4]: https://example.com\n### 2.1 The mount point\n"
	sections := map[string]int{"2.1": 0}
	for _, place := range []string{"docs/protocol.md 2.1", "RFC 6455 5.2", "Engine.IO 4: Upgrade"} {
		if problem := unknownPlace(place, page, sections); problem != "" {
			t.Errorf("%q: %s", place, problem)
		}
	}
	for _, place := range []string{
		"", "notes 3", "docs/protocol.md 2.2", "docs/protocol.md", "RFC 6455", "RFC 9110 9.3", "RFC 6455 5.2, 7.4",
		"Engine.IO 4", "Engine.IO 4: Upgrades", "Socket.IO 5: Acknowledgement",
	} {
		if unknownPlace(place, page, sections) == "" {
			t.Errorf("%q is taken for a place", place)
		}
	}
}
