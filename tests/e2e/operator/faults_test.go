package operator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What happens to clusters, their operator and their Kubernetes when things fail, under the same load
// as a cluster's life. The nodes' power and cables are in the hands of the process that runs this one
// (see run).

// aim is the longest time without a write that a fault should cost: an election timeout and a second.
const aim = 2 * time.Second

// crashLimit bounds how often an operator is killed on its way.
const crashLimit = 8

// --- faults ---------------------------------------------------------------------------------------

// machine carries out deploy/node/fault outside the node; run has made the pipes to it.
var machine = sync.OnceValues(func() (*bufio.ReadWriter, error) {
	requests, err := os.OpenFile(os.Getenv("FAULTS")+"-requests", os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("nobody carries faults out: start this by tests/e2e/operator/run: %w", err)
	}
	answers, err := os.Open(os.Getenv("FAULTS") + "-answers")
	if err != nil {
		return nil, err
	}
	return bufio.NewReadWriter(bufio.NewReader(answers), bufio.NewWriter(requests)), nil
})

func fault(t *testing.T, what, node string) {
	t.Helper()
	m, err := machine()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(m, "%s %s\n", what, strings.TrimPrefix(node, "node"))
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	if answer, err := m.ReadString('\n'); err != nil || strings.TrimSpace(answer) != "done" {
		t.Fatalf("fault %s %s: %q, %v", what, node, answer, err)
	}
}

// signalAPIServer reaches the API server of the node that this test runs in.
func signalAPIServer(t *testing.T, signal syscall.Signal) {
	t.Helper()
	text, err := os.ReadFile("/run/daemons/kube-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, signal)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// crash kills the operator as nothing else does and starts another. The dead one's Lease is taken
// away: waiting it out would leave few crashes for the time there is.
func (p *process) crash() *process {
	p.t.Helper()
	p.kill()
	kubectl(p.t, "--namespace", "default", "delete", "lease", "holdfast-operator", "--ignore-not-found")
	return startOperator(p.t)
}

// crashUntil crashes the operator at random moments until the goal is reached or it has had enough;
// the last one comes to the goal by itself.
func crashUntil(t *testing.T, operator *process, goal func() error) *process {
	t.Helper()
	crashes := 0
	for ; crashes < crashLimit && goal() != nil; crashes++ {
		time.Sleep(time.Second + rand.N(2*time.Second))
		operator = operator.crash()
	}
	within(t, patience, "the goal after the last crash", goal)
	t.Logf("the operator was killed %d times", crashes)
	return operator
}

// --- a cluster that is watched --------------------------------------------------------------------

// guard follows a cluster's Pods and remembers the lowest number that could serve at once.
type guard struct {
	t       *testing.T
	command *exec.Cmd

	mu     sync.Mutex // guards all below
	ready  map[string]bool
	lowest int
	when   string
}

type podObject struct {
	Metadata struct{ Name, DeletionTimestamp string }
	Spec     struct{ NodeName string }
	Status   struct {
		Conditions []struct{ Type, Status string }
	}
}

func (p podObject) serves() bool {
	for _, condition := range p.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True" && p.Metadata.DeletionTimestamp == ""
		}
	}
	return false
}

func (c cluster) guard() *guard {
	c.t.Helper()
	g := &guard{t: c.t, ready: map[string]bool{}, lowest: len(c.pods())}
	g.command = exec.Command("kubectl", "--namespace", c.ns, "get", "pods", "--watch", "--output-watch-events", "--output", "json")
	out, err := g.command.StdoutPipe()
	if err == nil {
		err = g.command.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = g.command.Process.Kill()
		_ = g.command.Wait()
	})
	go g.follow(json.NewDecoder(out), g.lowest)
	return g
}

func (g *guard) follow(events *json.Decoder, first int) {
	for {
		var event struct {
			Type   string
			Object podObject
		}
		if events.Decode(&event) != nil {
			return
		}
		g.mu.Lock()
		g.ready[event.Object.Metadata.Name] = event.Type != "DELETED" && event.Object.serves()
		serving := 0
		for _, ready := range g.ready {
			if ready {
				serving++
			}
		}
		// The watch begins with the Pods one by one.
		first--
		if first < 0 && serving < g.lowest {
			g.lowest, g.when = serving, event.Type+" "+event.Object.Metadata.Name
		}
		g.mu.Unlock()
	}
}

// atLeast fails the test if fewer Pods than these were ever ready at once.
func (g *guard) atLeast(quorum int) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lowest < quorum {
		g.t.Errorf("only %d Pods were ready at a time (%s), a quorum is %d", g.lowest, g.when, quorum)
	}
	g.t.Logf("never fewer than %d Pods were ready", g.lowest)
}

func (c cluster) patch(patch string) {
	c.t.Helper()
	c.kubectl("patch", "hfc", "db", "--type=merge", "--patch", patch)
}

func (c cluster) nodeOf(pod string) string {
	c.t.Helper()
	return c.kubectl("get", "pod", pod, "--output", "jsonpath={.spec.nodeName}")
}

// away is a member on a node that can be powered off, a follower if there is one.
func (c cluster) away() (pod, node string) {
	c.t.Helper()
	leader := c.leader()
	for _, candidate := range c.pods() {
		if at := c.nodeOf(candidate); at != "node1" && (pod == "" || candidate != leader) {
			pod, node = candidate, at
		}
	}
	if pod == "" {
		c.t.Fatalf("every member is on node 1: %s", c.describe())
	}
	return pod, node
}

func (c cluster) claimUID(claim string) string {
	uid, _ := tryKubectl("--namespace", c.ns, "get", "pvc", claim, "--output", "jsonpath={.metadata.uid}")
	return uid
}

// areNew returns an error until every Pod is another than before, by UID.
func (c cluster) areNew(before map[string]string) error {
	for _, pod := range c.pods() {
		if uid := c.podUID(pod); uid == "" || slices.Contains(values(before), uid) {
			return fmt.Errorf("%s is the old one", pod)
		}
	}
	return nil
}

func values(of map[string]string) (all []string) {
	for _, value := range of {
		all = append(all, value)
	}
	return all
}

func (c cluster) uids() map[string]string {
	c.t.Helper()
	uids := map[string]string{}
	for _, pod := range c.pods() {
		uids[pod] = c.podUID(pod)
	}
	return uids
}

// isDegraded returns an error until the condition gives this reason in its message.
func (c cluster) isDegraded(why string) error {
	object, err := c.get()
	if err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "Degraded" && condition.Status == "True" && strings.Contains(condition.Message, why) {
			return nil
		}
	}
	return fmt.Errorf("%+v", object.Status.Conditions)
}

// stays holds a condition for a while: what must not happen has time to.
func stays(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if err := check(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// bed is a cluster of three under load, with the operator that looks after it.
type bed struct {
	cluster
	operator *process
	load     *load
}

func lay(t *testing.T, ns string, patches ...string) *bed {
	t.Helper()
	operator := startOperator(t)
	b := &bed{cluster: declareAs(t, ns, plain), operator: operator}
	for _, patch := range patches {
		b.patch(patch)
	}
	b.awaitReady(3)
	b.load = startLoad(t, fmt.Sprintf("http://db.%s.svc.cluster.local:2379", ns))
	return b
}

// step is one fault: what it cost is told, and that it cost no more than it may is checked.
func (b *bed) step(name string, change func(t *testing.T)) {
	b.t.Helper()
	if b.t.Failed() {
		return
	}
	began := time.Now()
	step(b.t, b.load, name, change)
	if gap := b.load.longestGap(began); gap > aim {
		b.t.Logf("%-28s MISSED the aim of %v", name, aim)
	}
}

// clear ends the load, judges what it saw, and leaves nothing behind.
func (b *bed) clear() {
	b.t.Helper()
	b.load.finish()
	b.operator.stop()
	if !b.t.Failed() {
		b.remove()
	}
}

func (b *bed) remove() {
	// Nobody is left to take the finalizer off.
	_, _ = tryKubectl("--namespace", b.ns, "patch", "hfc", "db", "--type=merge", "--patch", `{"metadata":{"finalizers":null}}`)
	kubectl(b.t, "delete", "namespace", b.ns, "--timeout=90s")
}

// --- the faults -----------------------------------------------------------------------------------

func TestFaults(t *testing.T) {
	b := lay(t, "faults")
	b.step("a claim is deleted", func(t *testing.T) {
		pod, _ := b.away()
		claim := "data-" + pod
		before := b.claimUID(claim)
		g := b.guard()
		b.kubectl("delete", "pvc", claim, "--wait=false")
		within(t, patience, "another member in its place", func() error {
			if uid := b.claimUID(claim); uid == before {
				return fmt.Errorf("%s is still there", claim)
			}
			return b.isReady(3)
		})
		if slices.Contains(b.pods(), pod) {
			t.Errorf("%s is back: its number was given twice", pod)
		}
		g.atLeast(3)
	})
	b.step("an image that is not there", func(t *testing.T) {
		before := b.uids()
		g := b.guard()
		b.patch(`{"spec":{"image":"holdfast.dev/holdfast:is-not-there"}}`)
		within(t, patience, "one member is down and the condition says why", func() error {
			return b.isDegraded("its image cannot be pulled")
		})
		stays(t, 10*time.Second, "the other two keep running", func() error {
			kept := 0
			for pod, uid := range before {
				if b.podUID(pod) == uid {
					kept++
				}
			}
			if kept != 2 {
				return fmt.Errorf("%d of the three Pods are the same as before", kept)
			}
			return nil
		})
		corrected := time.Now()
		b.patch(`{"spec":{"image":null}}`)
		b.awaitReady(3)
		t.Logf("ready %.1f s after the correction", time.Since(corrected).Seconds())
		g.atLeast(2)
	})
	b.step("grow, the operator crashes", func(t *testing.T) {
		g := b.guard()
		b.kubectl("scale", "hfc", "db", "--replicas=5")
		b.operator = crashUntil(b.t, b.operator, func() error { return b.isReady(5) })
		g.atLeast(3)
	})
	b.step("roll, the operator crashes", func(t *testing.T) {
		before := b.uids()
		g := b.guard()
		b.patch(`{"spec":{"podTemplate":{"resources":{"requests":{"cpu":"11m"}}}}}`)
		b.operator = crashUntil(b.t, b.operator, func() error {
			if err := b.areNew(before); err != nil {
				return err
			}
			return b.isReady(5)
		})
		g.atLeast(4)
	})
	b.clear()
}

// A node loses its power and is given up later. Until then its member may come back with its data,
// so that nothing of it is given to another.
func TestANodeIsLost(t *testing.T) {
	const deadline = 75 * time.Second // longer than Kubernetes takes to notice that a node is silent
	b := lay(t, "lost", fmt.Sprintf(`{"spec":{"updatePolicy":{"progressDeadlineSeconds":%d}}}`, int(deadline.Seconds())))
	pod, node := b.away()
	t.Logf("%s with %s", node, pod)
	uid, claim := b.podUID(pod), b.claimUID("data-"+pod)
	t.Cleanup(func() {
		fault(t, "on", node)
		within(t, time.Minute, node+" is back", func() error {
			_, err := tryKubectl("wait", "node", node, "--for=condition=Ready", "--timeout=1s")
			return err
		})
	})
	b.step("a node is powered off", func(t *testing.T) {
		began := time.Now()
		fault(t, "off", node)
		stays(t, deadline-10*time.Second, "nothing is done before the deadline", func() error {
			if b.podUID(pod) != uid || len(b.pods()) != 3 {
				return fmt.Errorf("the Pods are %v", b.pods())
			}
			return nil
		})
		within(t, patience, "another member in its place", func() error { return b.isReady(3) })
		t.Logf("three members are ready again %.0f s after the power was lost", time.Since(began).Seconds())
		if got := b.claimUID("data-" + pod); got != claim {
			t.Errorf("the volume of a Pod that may still run is %q, it was %q", got, claim)
		}
	})
	b.step("its Node object is deleted", func(t *testing.T) {
		kubectl(t, "delete", "node", node)
		within(t, patience, "what is left of the member goes", func() error {
			if b.podUID(pod) == uid || b.claimUID("data-"+pod) == claim {
				return fmt.Errorf("%s", b.describe())
			}
			return b.isReady(3)
		})
	})
	b.clear()
}

func TestANodeIsCutOff(t *testing.T) {
	b := lay(t, "cutoff")
	pod, node := b.away()
	before := b.uids()
	t.Cleanup(func() { fault(t, "join", node) })
	b.step("a node is cut off", func(t *testing.T) {
		fault(t, "cut", node)
		within(t, patience, "the condition says so", func() error {
			if b.isReady(3) == nil {
				return fmt.Errorf("%s still counts as ready", pod)
			}
			return nil
		})
		stays(t, 45*time.Second, "nobody is replaced before the deadline", func() error {
			for pod, uid := range before {
				if got := b.podUID(pod); got != uid {
					return fmt.Errorf("%s was %s, is %q", pod, uid, got)
				}
			}
			return nil
		})
	})
	b.step("and is joined again", func(t *testing.T) {
		began := time.Now()
		fault(t, "join", node)
		b.awaitReady(3)
		t.Logf("ready %.1f s later", time.Since(began).Seconds())
		for pod, uid := range before {
			if b.podUID(pod) != uid {
				t.Errorf("%s is another Pod", pod)
			}
		}
	})
	b.clear()
}

func TestADrainRacesARollingChange(t *testing.T) {
	b := lay(t, "drain")
	before := b.uids()
	_, node := b.away()
	t.Cleanup(func() { kubectl(t, "uncordon", node) })
	g := b.guard()
	b.step("a drain during a rolling change", func(t *testing.T) {
		b.patch(`{"spec":{"podTemplate":{"resources":{"requests":{"cpu":"12m"}}}}}`)
		within(t, patience, "the change is under way", func() error {
			if object, err := b.get(); err != nil || object.Status.Operation == nil {
				return fmt.Errorf("nothing is under way (%v)", err)
			}
			return nil
		})
		out := kubectl(t, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=3m")
		t.Logf("%s", out)
		// Its volume is on that node: it can't be elsewhere.
		kubectl(t, "uncordon", node)
		within(t, patience, "the change is made", func() error {
			if err := b.areNew(before); err != nil {
				return err
			}
			return b.isReady(3)
		})
	})
	g.atLeast(2)
	b.clear()
}

func TestTheAPIServerStopsForAWhile(t *testing.T) {
	b := lay(t, "api")
	before := b.uids()
	t.Cleanup(func() { signalAPIServer(t, syscall.SIGCONT) })
	untouched := func(t *testing.T) {
		t.Helper()
		if b.operator.command.ProcessState != nil || b.operator.command.Process.Signal(syscall.Signal(0)) != nil {
			t.Error("the operator has ended")
		}
		for pod, uid := range before {
			if b.podUID(pod) != uid {
				t.Errorf("%s is another Pod", pod)
			}
		}
	}
	b.step("the API server stands still", func(t *testing.T) {
		signalAPIServer(t, syscall.SIGSTOP)
		time.Sleep(30 * time.Second)
		signalAPIServer(t, syscall.SIGCONT)
		b.awaitReady(3)
		untouched(t)
	})
	b.step("and answers slowly during growth", func(t *testing.T) {
		b.kubectl("scale", "hfc", "db", "--replicas=5")
		for range 12 {
			signalAPIServer(t, syscall.SIGSTOP)
			time.Sleep(1500 * time.Millisecond)
			signalAPIServer(t, syscall.SIGCONT)
			time.Sleep(500 * time.Millisecond)
		}
		b.awaitReady(5)
		untouched(t)
	})
	b.clear()
}

func TestAClusterIsDeletedWhileItGrows(t *testing.T) {
	b := lay(t, "anew")
	b.kubectl("scale", "hfc", "db", "--replicas=5")
	within(t, patience, "it grows", func() error {
		object, err := b.get()
		if err == nil && (object.Status.Operation == nil || object.Status.Operation.Type != "Grow") {
			err = fmt.Errorf("%+v", object.Status.Operation)
		}
		return err
	})
	b.load.finish()
	b.kubectl("delete", "hfc", "db", "--timeout=60s")
	within(t, patience, "no Pod is left", func() error {
		if pods := b.pods(); len(pods) > 0 {
			return fmt.Errorf("%v", pods)
		}
		return nil
	})
	claims := b.kubectl("get", "pvc", "--output", "jsonpath={.items[*].metadata.uid}")
	if kept := len(strings.Fields(claims)); kept < 3 {
		t.Errorf("%d volumes were kept", kept)
	}
	declareAs(t, "anew", plain)
	refused := func() error {
		object, err := b.get()
		if err != nil {
			return err
		}
		for _, condition := range object.Status.Conditions {
			if condition.Reason == "VolumeOfAnotherCluster" {
				return nil
			}
		}
		return fmt.Errorf("%+v", object.Status.Conditions)
	}
	within(t, patience, "it is refused", refused)
	stays(t, 10*time.Second, "it stays refused", func() error {
		if pods := b.pods(); len(pods) > 0 {
			return fmt.Errorf("Pods were made: %v", pods)
		}
		return refused()
	})
	if now := b.kubectl("get", "pvc", "--output", "jsonpath={.items[*].metadata.uid}"); now != claims {
		t.Errorf("the volumes were %s, are %s", claims, now)
	}
	b.kubectl("delete", "pvc", "--all", "--timeout=60s")
	b.awaitReady(3)
	b.operator.stop()
	if !t.Failed() {
		b.remove()
	}
}
