package cluster

import (
	"context"
	"flag"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var programsFlag = flag.String("programs", "etcd,etcd,etcd", "the members: etcd, holdfast or paths")

// TestHarness proves the harness itself: every thing that it can do to a cluster, once.
func TestHarness(t *testing.T) {
	programs := strings.Split(*programsFlag, ",")
	c, err := Start(Options{Programs: programs, Dir: t.TempDir(), Flags: []string{"--log-level=warn"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer func() {
		if t.Failed() {
			t.Log(c.LogTails(20))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func() {
		must(c.retry(ctx, func(ctx context.Context, admin *clientv3.Client) error {
			_, err := admin.Put(ctx, "k", "v")
			return err
		}))
	}
	recovered := func() {
		t.Helper()
		must(c.WaitHealthy(ctx))
		put()
		_, err := c.CheckEqual(ctx)
		must(err)
	}
	leader := func() *Node {
		t.Helper()
		n, err := c.Leader(ctx)
		must(err)
		return n
	}
	recovered()
	must(c.CheckMemberLists(ctx))

	// All links carry traffic, each under its own name.
	for _, a := range c.Nodes() {
		for _, b := range c.Nodes() {
			if a != b && c.Network.Connections(a.Name(), b.Name()) == 0 {
				t.Fatalf("no connection between %s and %s", a.Name(), b.Name())
			}
		}
	}
	others := func(n *Node) (others []*Node) {
		for _, o := range c.Nodes() {
			if o != n {
				others = append(others, o)
			}
		}
		return others
	}
	for name, isolate := range map[string]func(a, b string){
		"cut":  c.Network.Cut,
		"held": c.Network.Hold,
		"mute": func(a, b string) { c.Network.Hold(b, a) },
	} {
		old := leader()
		for _, o := range others(old) {
			isolate(o.Name(), old.Name())
		}
		must(Until(ctx, func() error {
			now, err := c.Leader(ctx)
			if err == nil && now == old {
				return context.DeadlineExceeded
			}
			return err
		}))
		c.Network.Heal()
		recovered()
		t.Logf("%s: %s was deposed", name, old.Name())
	}

	old := leader()
	must(c.Pause(old))
	if now := leader(); now == old {
		t.Fatal("a paused member leads")
	}
	put()
	must(c.Resume(old))
	recovered()

	old = leader()
	c.Kill(old)
	put()
	must(c.Spawn(old))
	recovered()

	must(c.MoveLeader(ctx, others(leader())[0]))
	must(c.Stop(leader()))
	put()
	for _, n := range c.Nodes() {
		if c.StateOf(n) == Down {
			must(c.Spawn(n))
		}
	}
	recovered()

	added, err := c.Add(ctx, programs[0], true)
	must(err)
	must(c.WaitServing(ctx, added))
	recovered()
	must(c.Promote(ctx, added))
	recovered()
	must(c.CheckMemberLists(ctx))
	gone := leader()
	must(c.Remove(ctx, gone))
	word, err := c.LastWord(ctx, gone)
	must(err)
	t.Logf("last word: %s", word)
	recovered()
	must(c.CheckMemberLists(ctx))
}
