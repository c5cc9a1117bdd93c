package conformance

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"testing"
	"time"

	"holdfast/tests/go/member"
)

var (
	opsFlag  = flag.Int("ops", 10_000, "operations to compare; 200000 in CI")
	seedFlag = flag.Uint64("seed", 0, "seed of the operations; 0 chooses one and prints it")
)

// opsPerFloor: everything that can be exercised must be, once in so many operations.
const opsPerFloor = 2000

func TestEveryAnswerEqualsEtcds(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	replay := fmt.Sprintf("cd tests && go test ./conformance -run EveryAnswer -count 1 -v -args -seed=%d -ops=%d", seed, *opsFlag)
	t.Logf("%d operations from seed %d; again: %s", *opsFlag, seed, replay)

	reference, err := startSide("etcd", member.Etcd(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer reference.close()
	tested, err := startSide("tested", member.Holdfast(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tested.close()

	began := time.Now()
	d, err := newDriver(seed, [2]*side{reference, tested}, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	stopped := d.run(*opsFlag)
	elapsed := time.Since(began)
	if !errors.Is(stopped, errUnavailable) {
		// Also after a divergence: it shows where the stores differ.
		if err := d.compareStores(t.TempDir()); err != nil {
			t.Error(err)
		}
	}

	floor := max(1, *opsFlag/opsPerFloor)
	gaps := d.coverage.print(os.Stdout, d.requests, floor)
	fmt.Printf("%d operations in %.0f s (%.0f/s), up to revision %d, from seed %d\n",
		d.done, elapsed.Seconds(), float64(d.done)/elapsed.Seconds(), d.know.rev, seed)
	printDifferences(d)
	if stopped != nil {
		t.Errorf("stopped after %d operations: %v\nthe server's log ends:\n%s\netcd's log ends:\n%s",
			d.done, stopped, tested.process.LogTail(15), reference.process.LogTail(40))
	}
	if len(d.differences) > 0 {
		t.Errorf("%d kinds of difference; again: %s", len(d.differences), replay)
	}
	if stopped == nil && len(gaps) > 0 {
		t.Errorf("exercised less than %d times: %v", floor, gaps)
	}
}

func printDifferences(d *driver) {
	names := make([]string, 0, len(d.differences))
	for name := range d.differences {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("  %6d times: %s\n", d.differences[name].count, name)
	}
}
