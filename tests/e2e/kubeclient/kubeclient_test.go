package kubeclient

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"holdfast/tests/go/apiserver"
)

var (
	objectsFlag = flag.Int("objects", 1000, "objects listed in pages; 5000 in CI")
	updatesFlag = flag.Int("updates", 4000, "updates under a cache whose memory is measured; 20000 in CI")
)

// suite is an API server that may do anything, and the client's user on it.
type suite struct {
	*apiserver.Server
	t *testing.T
}

// TestClient runs everything on one API server: starting one costs more than most of the tests.
func TestClient(t *testing.T) {
	server, err := apiserver.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	defer func() {
		if t.Failed() {
			t.Logf("the API server's log ends:\n%s", server.LogTail())
		}
	}()
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"CallsDoWhatTheySayAndRefusalsAreToldApart", plain("calls")},
		{"ApplyKeepsFieldManagersApart", plain("apply")},
		{"PagesAreOneSnapshot", suite.pages},
		{"AbsentKindsAreFoundAbsent", plain("discovery")},
		{"RepeatedEventsBecomeASeries", plain("events")},
		{"TokenOfADeletedAccountIsReplacedWithoutAFailedCall", suite.token},
		{"MemoryIsSteadyUnderUpdates", suite.memory},
		{"LeaseIsTakenFromAKilledLeaderAndNeverHeldTwice", suite.leaders},
		{"WatchOutlivesTheAPIServer", suite.restarted},
		{"WatchOfACompactedVersionListsAgain", suite.compacted},
	} {
		began := time.Now()
		if !t.Run(test.name, func(t *testing.T) { test.run(suite{server, t}) }) {
			return // what follows would only repeat it
		}
		t.Logf("%s: %.1f s", test.name, time.Since(began).Seconds())
	}
}

func (s suite) start(scenario string, arguments ...string) *program {
	s.t.Helper()
	return start(s.t, s.Kubeconfig(), scenario, arguments...)
}

// plain is a scenario in which nothing happens to the server.
func plain(scenario string) func(suite) {
	return func(s suite) { s.start(scenario).finish() }
}

func (s suite) pages() { s.start("pages", strconv.Itoa(*objectsFlag)).finish() }

func (s suite) memory() { s.start("memory", strconv.Itoa(*updatesFlag)).finish() }

func (s suite) token() { s.start("token", filepath.Join(s.t.TempDir(), "token")).finish() }

func (s suite) restarted() {
	for i, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		p := s.start("watch", fmt.Sprintf("watch-%d", i), "restarted")
		p.await("watching")
		s.End(signal)
		if err := s.Begin(); err != nil {
			s.t.Fatal(err)
		}
		p.tell("back")
		p.finish()
	}
}

// compacted ends the server, changes and deletes behind its back and compacts all of that away. The
// server that comes back has no cache of its own: the watch goes to the store, and its refusal comes
// inside the watch.
func (s suite) compacted() {
	p := s.start("watch", "compacted", "expired")
	p.await("watching")
	s.End(syscall.SIGKILL)
	store, err := clientv3.New(clientv3.Config{Endpoints: []string{s.StoreAddr()}, DialTimeout: time.Minute})
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	deleted, err := store.Delete(ctx, "/registry/configmaps/compacted/object-3")
	if err != nil || deleted.Deleted != 1 {
		s.t.Fatalf("deleting an object in the store: %v, %v", deleted, err)
	}
	// The version to be compacted is one that the watch still waits for.
	later, err := store.Put(ctx, "/e2e/later", "")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := store.Compact(ctx, later.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Begin("--watch-cache=false"); err != nil {
		s.t.Fatal(err)
	}
	p.tell("back")
	p.finish()
	answer, err := s.Call(http.MethodGet, "/api/v1/namespaces/compacted/configmaps/object-3", "", nil)
	if err != nil || answer.Status != http.StatusNotFound {
		s.t.Fatalf("the deleted object: %d, %v", answer.Status, err)
	}
}

// candidate is a run of the leader scenario, and when it said that it led.
type candidate struct {
	*program
	led []int64 // the machine's monotonic milliseconds
}

// until reads the candidate's lines until it says what begins with word, and notes when it led.
func (c *candidate) until(word string) int64 {
	c.t.Helper()
	for {
		line, ok := c.next()
		if !ok {
			c.t.Fatalf("the candidate ended before it said '%s'", word)
		}
		what, when, _ := strings.Cut(line, " ")
		at, _ := strconv.ParseInt(when, 10, 64)
		if what == "leading" {
			c.led = append(c.led, at)
		}
		if what == word {
			return at
		}
	}
}

// drain notes what an ended candidate said last.
func (c *candidate) drain() {
	for line := range c.lines {
		if when, ok := strings.CutPrefix(line, "leading "); ok {
			at, _ := strconv.ParseInt(when, 10, 64)
			c.led = append(c.led, at)
		}
	}
}

func (s suite) leaders() {
	candidates := map[string]*candidate{}
	enter := func(name string) *candidate {
		candidates[name] = &candidate{program: s.start("leader", name)}
		return candidates[name]
	}
	first := enter("first")
	first.until("leading")
	second := enter("second")
	second.until("waiting")
	first.cmd.Process.Signal(syscall.SIGKILL)
	first.drain()
	taken := second.until("leading")
	s.t.Logf("taken over %.1f s after the killed leader's last word", float64(taken-first.led[len(first.led)-1])/1000)

	// A leader that is stopped, not ended, must find its term over when it goes on.
	third := enter("third")
	third.until("waiting")
	second.cmd.Process.Signal(syscall.SIGSTOP)
	third.until("leading")
	second.cmd.Process.Signal(syscall.SIGCONT)
	second.until("waiting")

	// A clean stop gives the Lease back: the next need not wait for its end.
	third.tell("stop")
	third.drain()
	given := second.until("leading")
	s.t.Logf("taken %.1f s after a clean stop", float64(given-third.led[len(third.led)-1])/1000)
	second.tell("stop")
	second.drain()

	// Whatever was said by whom: between two words of one leader there is none of another.
	owner := map[int64]string{}
	for name, c := range candidates {
		for _, at := range c.led {
			if other, ok := owner[at]; ok && other != name {
				s.t.Fatalf("%s and %s led at %d", name, other, at)
			}
			owner[at] = name
		}
	}
	if a, b := first.led[len(first.led)-1], second.led[0]; a >= b {
		s.t.Fatalf("the killed one led at %d, its successor from %d", a, b)
	}
	begin, end := third.led[0], third.led[len(third.led)-1]
	for _, at := range second.led {
		if begin <= at && at <= end {
			s.t.Fatalf("the stopped leader said at %d that it led; its successor led from %d to %d", at, begin, end)
		}
	}
}
