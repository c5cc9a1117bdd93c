package kube

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	store "holdfast/tests/go/cluster"
)

var (
	binaryFlag = flag.String("binary", "holdfast", "the members' program for the test on three: holdfast, etcd or a path")
	killsFlag  = flag.Int("kills", 2, "members killed in the test on three, one each half minute")
)

const (
	killEvery = 30 * time.Second
	downFor   = 5 * time.Second
	// writers change objects of their own without pause while members die.
	writers = 6
	// objectsPerWriter are created anew and changed in turn.
	objectsPerWriter = 40
)

// TestThreeMembersUnderKubernetes kills a member each half minute under an API server that is being
// written to and watched: no object is lost, no watch is stuck.
func TestThreeMembersUnderKubernetes(t *testing.T) {
	members, err := store.Start(store.Options{
		Programs: []string{*binaryFlag, *binaryFlag, *binaryFlag}, Dir: t.TempDir(),
		Heartbeat: 100 * time.Millisecond, Election: time.Second, Flags: []string{"--log-level=warn"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer members.Close()
	c, err := startOn(t.TempDir(), members.Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	defer func() {
		if t.Failed() {
			t.Logf("the API server's log ends:\n%s\n%s", tail(c.apiserver.log), members.LogTails(10))
		}
	}()
	s := suite{c, t}
	r := &survival{suite: s, path: s.namespace("three") + "/configmaps", final: make([]map[string]int, writers)}
	r.run(members)
	t.Run("DeploymentAfterwards", func(t *testing.T) { suite{c, t}.deployment() })
}

// survival is a load on the API server and what it must show for it.
type survival struct {
	suite
	path  string
	final []map[string]int // by writer: the last acknowledged value of each object

	acknowledged, failed atomic.Int64
	longest              atomic.Int64 // nanoseconds without an acknowledged write of one writer
}

func (r *survival) run(members *store.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*killsFlag+2)*killEvery+2*patience)
	defer cancel()
	var watching, writing sync.WaitGroup
	stop := make(chan struct{})
	watches := make([]*follower, 4)
	for i := range watches {
		watches[i] = &follower{seen: map[string]int{}}
		watching.Go(func() { watches[i].follow(ctx, r) })
	}
	for i := range writers {
		r.final[i] = map[string]int{}
		writing.Go(func() { r.write(ctx, i, stop) })
	}
	for kill := range *killsFlag {
		wait(ctx, killEvery-downFor)
		victim := members.Voters()[kill%3]
		if kill%2 == 0 { // leaders are what hurts
			var err error
			if victim, err = members.Leader(ctx); err != nil {
				r.t.Fatal(err)
			}
		}
		members.Kill(victim)
		wait(ctx, downFor)
		if err := errors.Join(members.Spawn(victim), members.WaitHealthy(ctx)); err != nil {
			r.t.Fatal(err)
		}
		fmt.Printf("kill %d, %s: %d writes acknowledged so far, %d refused\n", kill+1, victim.Name(), r.acknowledged.Load(), r.failed.Load())
	}
	wait(ctx, downFor)
	close(stop)
	writing.Wait()
	r.create(r.path, configMap("marker", nil))
	watching.Wait()
	r.check(watches)
	if _, err := members.CheckEqual(ctx); err != nil {
		r.t.Error(err)
	}
	restarts := 0
	for _, w := range watches {
		restarts += w.restarts
	}
	fmt.Printf("kills: %d members in turn; %d writes acknowledged, %d refused and made again, longest time of a writer without one %d ms; %d watches opened again\n",
		*killsFlag, r.acknowledged.Load(), r.failed.Load(), time.Duration(r.longest.Load()).Milliseconds(), restarts)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// write creates, changes and now and then deletes its objects until told to stop. A call that fails is
// made again until it is known what came of it.
func (r *survival) write(ctx context.Context, writer int, stop chan struct{}) {
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		name := fmt.Sprintf("w%d-%02d", writer, n%objectsPerWriter)
		value := object{"n": strconv.Itoa(n)}
		_, exists := r.final[writer][name]
		for {
			status, _, err := 0, object(nil), error(nil)
			if exists {
				status, _, err = r.call(http.MethodPatch, r.path+"/"+name, mergePatch, object{"data": value})
			} else {
				status, _, err = r.call(http.MethodPost, r.path, "", configMap(name, value))
			}
			// An earlier attempt that came to nothing as far as we heard may have created it.
			exists = exists || status == http.StatusConflict
			if err == nil && (status == http.StatusOK || status == http.StatusCreated) {
				break
			}
			r.failed.Add(1)
			if ctx.Err() != nil || status == http.StatusNotFound {
				r.t.Errorf("writing %s: %d, %v", name, status, err)
				return
			}
			wait(ctx, 20*time.Millisecond)
		}
		r.final[writer][name] = n
		r.acknowledged.Add(1)
		if gap := int64(time.Since(last)); gap > r.longest.Load() {
			r.longest.Store(gap)
		}
		last = time.Now()
	}
}

// check compares what the API server has, and what each watch has shown, with what was acknowledged.
func (r *survival) check(watches []*follower) {
	stored := map[string]int{}
	for _, item := range r.pages(r.path, 100, nil) {
		stored[item.name()], _ = strconv.Atoi(item.text("data", "n"))
	}
	for _, final := range r.final {
		for name, n := range final {
			if stored[name] != n {
				r.t.Errorf("%s is %d, %d was acknowledged", name, stored[name], n)
			}
			for i, w := range watches {
				if w.seen[name] != n {
					r.t.Errorf("watch %d last saw %s at %d, %d was acknowledged", i, name, w.seen[name], n)
				}
			}
		}
	}
	for i, w := range watches {
		if w.failure != nil {
			r.t.Errorf("watch %d: %v", i, w.failure)
		}
	}
}

// follower is a client that lists and watches, as informers do, until it sees the marker.
type follower struct {
	seen     map[string]int // by name: the newest value
	restarts int
	failure  error
}

func (f *follower) follow(ctx context.Context, r *survival) {
	for ctx.Err() == nil {
		status, list, err := r.call(http.MethodGet, r.path, "", nil)
		if err != nil || status != http.StatusOK {
			wait(ctx, 50*time.Millisecond)
			continue
		}
		for _, item := range list.items() {
			if f.take(item) {
				return
			}
		}
		if f.watch(ctx, r, list.resourceVersion()) {
			return
		}
		f.restarts++
	}
	f.failure = errors.New("the watch is stuck: it never showed the last object")
}

// take notes an object; true if it is the last. A value that goes back is a failure.
func (f *follower) take(item object) bool {
	n, _ := strconv.Atoi(item.text("data", "n"))
	if n < f.seen[item.name()] && f.failure == nil {
		f.failure = fmt.Errorf("%s goes from %d back to %d", item.name(), f.seen[item.name()], n)
	}
	f.seen[item.name()] = n
	return item.name() == "marker"
}

// watch follows changes until the stream ends; true once the marker has come.
func (f *follower) watch(ctx context.Context, r *survival, version string) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := r.open(ctx, r.path, "resourceVersion="+version)
	if err != nil {
		return false
	}
	for c := range changes {
		switch c.Type {
		case "ADDED", "MODIFIED":
			if f.take(c.Object) {
				return true
			}
		case "ERROR":
			return false
		}
	}
	return false
}
