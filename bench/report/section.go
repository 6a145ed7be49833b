//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// The metrics of the load generator that are shown.
const (
	cpuTime = "cpu_s_1m"     // CPU seconds for a million: microseconds for one
	memory  = "kib_per_conn" // resident
)

// table is one of the section.
type table struct {
	title, text string
	metric      string
	columns     []column
	base        string
}

// column is a scenario and its heading.
type column struct{ scenario, heading string }

// curve is a table whose columns are points, and a plot of them.
type curve struct {
	table
	name string // of the file, and of the scenarios
	x, y string // the axes
	at   []int
}

func (p *numbers) tables() []table {
	return []table{
		{
			title: "Echoes", base: library, metric: cpuTime,
			text: fmt.Sprintf("Microseconds for a message of 16 bytes that comes back: as an event, and as an ack, one in flight on each "+
				"of %d connections; and 16 in flight on each of %d.", p.Echo, p.Pipeline),
			columns: []column{{"echo", "echo"}, {"ack", "ack"}, {"pipeline", "16 in flight"}},
		},
		{
			title: "Broadcasts", base: floor, metric: cpuTime,
			text: fmt.Sprintf("Microseconds for one delivery of a broadcast of 16 bytes to %d connections, with one and with 8 on "+
				"the way.", p.Broadcast),
			columns: []column{{"broadcast", "broadcast"}, {"broadcast-8", "8 on the way"}},
		},
		{
			title: "Connects and polls", base: node, metric: cpuTime,
			text: fmt.Sprintf("Microseconds for a client that connects over a websocket, over polls, or over polls and then a "+
				"websocket, gets one echo and leaves, %d at a time; and for an echo over polls, on %d connections.", p.Pipeline, p.Polls),
			columns: []column{{"connect", "websocket"}, {"session", "polls"}, {"upgrade", "upgrade"}, {"poll", "echo over polls"}},
		},
	}
}

func (p *numbers) curves() []curve {
	return []curve{
		p.curve("connections", "Number of connections", library, cpuTime, p.Connections, "connections", "CPU µs for an echo",
			"Microseconds for an echo of 16 bytes, one in flight on each connection."),
		p.curve("room", "Size of a room", floor, cpuTime, p.Rooms, "members of the room", "CPU µs for a delivery",
			"Microseconds for one delivery of an event of 16 bytes to a room that all clients have joined, one on the way. "+
				"Bare websockets and TCP have no rooms, and send to all."),
		p.curve("size", "Size of a message", library, cpuTime, p.Sizes, "bytes", "CPU µs for an echo",
			fmt.Sprintf("Microseconds for an echo, one in flight on each of %d connections.", p.Echo)),
		p.curve("rate", "Rate of messages", library, cpuTime, p.Rates, "messages a second", "CPU µs for an echo",
			fmt.Sprintf("Microseconds for an echo of 16 bytes when so many are sent each second, over %d connections in turn.", p.Paced)),
		p.curve("memory", "Memory of idle connections", node, memory, p.Idle, "connections", "KiB for a connection",
			"KiB of resident memory of the server for each connection that says nothing, after a collection of garbage. "+
				"What the kernel keeps for a socket is not in it."),
	}
}

func (p *numbers) curve(name, title, base, metric string, at []int, x, y, text string) curve {
	c := curve{name: name, at: at, x: x, y: y, table: table{
		title: title, base: base, metric: metric, text: text,
	}}
	for _, n := range at {
		c.columns = append(c.columns, column{point(name, n), thousands(n)})
	}
	return c
}

// thousands writes 10000 as 10 000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// sift takes the runs that failed out of the cells, and says whose they were. ours is how many of
// them were of siokit.
func sift(cells []matrix.Cell, entries []entry) (good []matrix.Cell, failures []string, ours int, err error) {
	type key struct{ server, scenario string }
	all, bad := map[key]int{}, map[key]int{}
	var order []key
	for _, c := range cells {
		k := key{c.Server, c.Scenario}
		all[k]++
		failed := false
		for _, metric := range []string{"errors", "reordered"} {
			n, _, err := matrix.Field(c.Result, metric)
			if err != nil {
				return nil, nil, 0, fmt.Errorf("%s, %s: %w", c.Server, c.Scenario, err)
			}
			failed = failed || n > 0
		}
		if !failed {
			good = append(good, c)
			continue
		}
		if bad[k]++; bad[k] == 1 {
			order = append(order, k)
		}
		if slices.ContainsFunc(entries, func(e entry) bool { return e.Ours && e.Name == c.Server }) {
			ours++
		}
	}
	for _, k := range order {
		failures = append(failures, fmt.Sprintf("%s, %s: %d of %d runs.", k.server, k.scenario, bad[k], all[k]))
	}
	return good, failures, ours, nil
}

// The lines around the section.
const (
	begin = "<!-- Written by make bench-report, up to the line that says end: changes by hand get lost. -->"
	end   = "<!-- end of what make bench-report writes -->"
)

// section is what the page shows.
func (in *info) section(cells []matrix.Cell, failures []string) (string, error) {
	var b strings.Builder
	b.WriteString(begin + "\n\n## Compared with others\n\n    make bench-report\n\n")
	paragraph(&b, fmt.Sprintf("measures all servers in turn, in %d rounds. %s Servers and load generator share the machine, over "+
		"the loopback interface. A cell is the median of the rounds, with the least and the most, and in bold the median of the ratios "+
		"of the rounds to the server that the text names. Microseconds are CPU time of the server, user and system. A ratio between 0.87 and "+
		"1.15 is no difference.", in.Rounds, in.Machine))
	b.WriteString("| server | what it is | version |\n| --- | --- | --- |\n")
	for _, e := range in.Entries {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.Name, e.Is, e.Version)
	}
	b.WriteByte('\n')
	list(&b, "Left out:", in.Left)
	list(&b, "Runs in which an operation failed, went unanswered or came out of order, which are not in the figures:", failures)
	for _, t := range in.Points.tables() {
		if err := in.table(&b, &t, cells); err != nil {
			return "", err
		}
	}
	if err := in.latencies(&b, cells); err != nil {
		return "", err
	}
	for _, c := range in.Points.curves() {
		if err := in.table(&b, &c.table, cells); err != nil {
			return "", err
		}
		if len(c.at) > 0 {
			fmt.Fprintf(&b, "![%s](performance/%s.svg)\n\n", c.title, c.name)
		}
	}
	b.WriteString(end + "\n")
	return b.String(), nil
}

// table writes one: a row for each server that has a figure.
func (in *info) table(b *strings.Builder, t *table, cells []matrix.Cell) error {
	if len(t.columns) == 0 {
		return nil
	}
	values, err := matrix.Tabulate(cells, "", []string{t.metric})
	if err != nil {
		return err
	}
	head := "| server |"
	for _, c := range t.columns {
		head += " " + c.heading + " |"
	}
	fmt.Fprintf(b, "### %s\n\n", t.title)
	base, text := in.base(t.base), t.text
	if base != "" {
		text += " The ratio is to " + says(base) + "."
	}
	paragraph(b, text)
	fmt.Fprintf(b, "%s\n|%s\n", head, strings.Repeat(" --- |", len(t.columns)+1))
	for _, e := range in.Entries {
		row, any := "| "+e.Name+" |", false
		for _, c := range t.columns {
			text := figure(values, e.Name, c.scenario, base, in.Rounds)
			row, any = row+" "+text+" |", any || text != ""
		}
		if any {
			b.WriteString(row + "\n")
		}
	}
	b.WriteByte('\n')
	return nil
}

// base is the server that others are compared with: the one that is wanted, or, where there is
// no Node, another Socket.IO server. It is empty when none of them is measured.
func (in *info) base(want string) string {
	try := []string{want}
	if want == node {
		try = append(try, port, hosts[0].name)
	}
	for _, name := range try {
		if slices.ContainsFunc(in.Entries, func(e entry) bool { return e.Name == name }) {
			return name
		}
	}
	return ""
}

// says is a base in a sentence.
func says(base string) string {
	switch base {
	case library:
		return base + ", a bare websocket library"
	case floor:
		return base + ", which sends the bytes as they are"
	case node:
		return base + " on Node"
	case port:
		return base + ", the port of socket.io"
	}
	return "siokit on " + base
}

// figure is a cell.
func figure(t *matrix.Table, server, scenario, base string, rounds int) string {
	s := t.Spread(server, scenario)
	if s.N == 0 {
		return ""
	}
	text := fmt.Sprintf("%s (%s–%s", short(s.Median), short(s.Least), short(s.Most))
	if s.N != rounds {
		text += fmt.Sprintf(", %d rounds", s.N)
	}
	text += ")"
	if ratios := t.Ratios(server, scenario, base); len(ratios) > 0 {
		text += fmt.Sprintf(" **%.2f**", matrix.Median(ratios))
	}
	return text
}

// short is a number with three digits, or all before the point.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// latencies writes the table of them.
func (in *info) latencies(b *strings.Builder, cells []matrix.Cell) error {
	columns := []column{{"echo", "echo"}, {"pipeline", "16 in flight"}, {"broadcast", "broadcast"}}
	for _, n := range in.Points.Rates {
		columns = append(columns, column{point("rate", n), thousands(n) + " a second"})
	}
	var half, most *matrix.Table
	var errs [2]error
	half, errs[0] = matrix.Tabulate(cells, "", []string{"lat.p50_us"})
	most, errs[1] = matrix.Tabulate(cells, "", []string{"lat.p99_us"})
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	b.WriteString("### Latencies\n\n")
	paragraph(b, "Milliseconds, the median and the 99th percentile of a run; medians of the rounds. A broadcast takes until the last "+
		"client has it. At a fixed rate the time counts from when a message was to be sent; without one, generator and server "+
		"take all of the machine, and the time says how long the queue is.")
	b.WriteString("| server |")
	for _, c := range columns {
		b.WriteString(" " + c.heading + " |")
	}
	fmt.Fprintf(b, "\n|%s\n", strings.Repeat(" --- |", len(columns)+1))
	for _, e := range in.Entries {
		row, any := "| "+e.Name+" |", false
		for _, c := range columns {
			text := ""
			if h, m := half.Spread(e.Name, c.scenario), most.Spread(e.Name, c.scenario); h.N > 0 {
				text, any = short(h.Median/1e3)+" / "+short(m.Median/1e3), true
			}
			row += " " + text + " |"
		}
		if any {
			b.WriteString(row + "\n")
		}
	}
	b.WriteByte('\n')
	return nil
}

// paragraph writes a text in lines of at most 100 characters.
func paragraph(b *strings.Builder, text string) { wrap(b, "", text); b.WriteByte('\n') }

// list writes sentences under a heading, when there are some.
func list(b *strings.Builder, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	paragraph(b, heading)
	for _, line := range lines {
		wrap(b, "- ", line)
	}
	b.WriteByte('\n')
}

func wrap(b *strings.Builder, first, text string) {
	const width = 100
	line, indent := first, strings.Repeat(" ", len(first))
	for i, word := range strings.Fields(text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > width {
			b.WriteString(line + "\n")
			line = indent
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

// insert puts the section in the place of the one before, or, the first time, before the second
// heading of the page.
func insert(page, section string) (string, error) {
	from, to := strings.Index(page, begin), strings.Index(page, end+"\n")
	switch {
	case from >= 0 && to > from:
		return page[:from] + section + page[to+len(end)+1:], nil
	case from >= 0 || to >= 0:
		return "", errors.New("docs/performance.md has one of the two lines around the section")
	}
	at := strings.Index(page, "\n## ")
	if at < 0 {
		return "", errors.New("docs/performance.md has no second heading")
	}
	return page[:at+1] + section + "\n" + page[at+1:], nil
}
