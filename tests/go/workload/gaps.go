package workload

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Severity says what a fault may do to writes.
type Severity int

const (
	// Unnoticed faults leave a leader that a majority hears, or hand over in good order.
	Unnoticed Severity = iota
	// LeaderLost faults need an election. Now and then two candidates share the votes and it takes
	// two: so the median is held to the limit, and each single one to twice the longest election.
	LeaderLost
	// QuorumLost faults stop writes for as long as they last: nothing to judge.
	QuorumLost
)

// slack is what clients need, above an election timeout, to find the new leader.
const slack = time.Second

// Gaps collects the longest gap of each fault and judges them: the election timeout and one second,
// what the machine itself stood still taken off.
type Gaps struct {
	Election time.Duration
	kinds    map[string]*gapsOfKind
}

type gapsOfKind struct {
	severity Severity
	gaps     []Gap
}

// Add files the longest gap of one fault.
func (g *Gaps) Add(kind string, severity Severity, gap Gap) {
	if g.kinds == nil {
		g.kinds = map[string]*gapsOfKind{}
	}
	if g.kinds[kind] == nil {
		g.kinds[kind] = &gapsOfKind{severity: severity}
	}
	g.kinds[kind].gaps = append(g.kinds[kind].gaps, gap)
}

// net returns the gaps in ascending order, without the machine's part.
func (k *gapsOfKind) net() []time.Duration {
	var lengths []time.Duration
	for _, gap := range k.gaps {
		lengths = append(lengths, gap.Length-gap.Machine)
	}
	slices.Sort(lengths)
	return lengths
}

func (g *Gaps) names() []string {
	names := make([]string, 0, len(g.kinds))
	for name := range g.kinds {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Table is one line a kind: how often, and the gaps in writes.
func (g *Gaps) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-32s %5s %10s %10s %14s   (election timeout %v)\n", "longest time without a write", "times", "median", "longest", "machine stood", g.Election)
	for _, name := range g.names() {
		k := g.kinds[name]
		slices.SortFunc(k.gaps, func(a, b Gap) int { return int(a.Length - b.Length) })
		last := k.gaps[len(k.gaps)-1]
		fmt.Fprintf(&b, "  %-32s %5d %7d ms %7d ms %11d ms\n", name, len(k.gaps),
			k.gaps[len(k.gaps)/2].Length.Milliseconds(), last.Length.Milliseconds(), last.Machine.Milliseconds())
	}
	return b.String()
}

// Judge returns what was too long.
func (g *Gaps) Judge() error {
	var failures []error
	var elections []time.Duration
	limit := g.Election + slack
	for _, name := range g.names() {
		k := g.kinds[name]
		lengths := k.net()
		longest, allowed := lengths[len(lengths)-1], limit
		switch k.severity {
		case QuorumLost:
			continue
		case LeaderLost:
			elections = append(elections, lengths...)
			allowed = 4*g.Election + slack
		}
		if longest > allowed {
			failures = append(failures, fmt.Errorf("%s: %v without a write, the limit is %v", name, longest, allowed))
		}
	}
	slices.Sort(elections)
	if len(elections) > 2 && elections[len(elections)/2] > limit {
		failures = append(failures, fmt.Errorf("a lost leader: the median is %v without a write, the limit %v", elections[len(elections)/2], limit))
	}
	return errors.Join(failures...)
}
