// Command bench measures a server under test and etcd 3.7.1 side by side. README.md tells how.
package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/tests/go/member"
)

// bench is one run.
type bench struct {
	quick bool
	lines []line
}

// seconds is sized for a flag of holdfast_load.
func (b *bench) seconds(full, quick int) string { return strconv.Itoa(sized(b, full, quick)) }

func rows() []row {
	return slices.Concat(putRows(), authRows(), sealedRows(), readRows(), txnRows(), watchRows(), leaseRows(), floodRows(), millionRows(), clusterRows())
}

func main() {
	b := &bench{}
	var names []string
	for _, argument := range os.Args[1:] { // options may stand among the rows
		switch {
		case argument == "--list":
			for _, r := range rows() {
				fmt.Printf("%-16s %s\n", r.name, r.work)
			}
			return
		case argument == "--quick":
			b.quick = true
		case strings.HasPrefix(argument, "-"):
			fmt.Fprintf(os.Stderr, "bench: unknown option %s (there are --quick and --list)\n", argument)
			os.Exit(2)
		default:
			names = append(names, argument)
		}
	}
	wanted, err := choose(names)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if !b.run(wanted) {
		os.Exit(1)
	}
}

func choose(names []string) ([]row, error) {
	all := rows()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []row
	for _, name := range names {
		i := slices.IndexFunc(all, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no row named %s (see --list)", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// run measures the rows, printing each when it is there. Returns whether all could be measured.
func (b *bench) run(wanted []row) bool {
	fmt.Printf("holdfast: %s\netcd:     %s\nload average: %s\n\n", member.Holdfast(), member.Etcd(), loadAverage())
	fmt.Println(tableHead)
	complete := true
	for _, r := range wanted {
		began := time.Now()
		lines, err := b.measure(r)
		if err != nil {
			complete = false
			fmt.Printf("| %s | could not be measured: %s\n", r.name, strings.ReplaceAll(err.Error(), "\n", "\n    "))
			continue
		}
		for _, l := range lines {
			fmt.Println(l.table())
		}
		fmt.Fprintf(os.Stderr, "  (%s: %.0f s, load average %s)\n", r.name, time.Since(began).Seconds(), loadAverage())
		b.lines = append(b.lines, lines...)
		if !b.quick {
			if err := publish(b.lines); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
				return false
			}
		}
	}
	return complete
}

func (b *bench) measure(r row) ([]line, error) {
	var best [2]values
	for range max(1, r.rounds) {
		for i, binary := range []string{member.Etcd(), member.Holdfast()} {
			measured, err := b.measureOn(r, []string{"etcd", "holdfast"}[i], binary)
			if err != nil {
				return nil, err
			}
			best[i] = r.better(best[i], measured)
		}
	}
	return r.compare(best[0], best[1]), nil
}

// measureOn runs the row on one server, started for it alone.
func (b *bench) measureOn(r row, name, binary string) (values, error) {
	s, err := startSide(name, binary, r.members)
	if err != nil {
		return nil, err
	}
	defer s.end()
	measured, err := r.measure(b, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; its log ends with:\n%s", name, err, s.LogTail(5))
	}
	return measured, nil
}
