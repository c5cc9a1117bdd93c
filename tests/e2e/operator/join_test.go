package operator

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// nodeAddress is where processes beside the Pods listen; Pods reach it.
const nodeAddress = "10.250.0.1"

const finishJoin = `
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastOperation
metadata: {name: leave-etcd, namespace: %[1]s}
spec: {clusterRef: {name: db}, type: FinishJoin, finishJoin: {}}
`

// oldCluster is an etcd that runs beside Kubernetes, to be taken over.
type oldCluster struct {
	t         *testing.T
	endpoints []string
	members   []*exec.Cmd
}

func clientURL(member int) string { return fmt.Sprintf("http://%s:%d", nodeAddress, 23790+2*member) }
func peerURL(member int) string   { return fmt.Sprintf("http://%s:%d", nodeAddress, 23791+2*member) }

func startOldCluster(t *testing.T, members int) *oldCluster {
	t.Helper()
	var initial []string
	for i := range members {
		initial = append(initial, fmt.Sprintf("old-%d=%s", i, peerURL(i)))
	}
	old := &oldCluster{t: t}
	for i := range members {
		old.endpoints = append(old.endpoints, clientURL(i))
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		member := exec.Command("etcd", "--name", fmt.Sprintf("old-%d", i), "--data-dir", filepath.Join(t.TempDir(), "data"),
			"--listen-client-urls", clientURL(i), "--advertise-client-urls", clientURL(i),
			"--listen-peer-urls", peerURL(i), "--initial-advertise-peer-urls", peerURL(i),
			"--initial-cluster", strings.Join(initial, ","))
		member.Stdout, member.Stderr = log, log
		member.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := member.Start(); err != nil {
			t.Fatal(err)
		}
		old.members = append(old.members, member)
		t.Cleanup(func() {
			_ = member.Process.Kill()
			_ = member.Wait()
		})
	}
	return old
}

func dial(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (o *oldCluster) awaitLeader() {
	o.t.Helper()
	client := dial(o.t, o.endpoints...)
	within(o.t, patience, "the etcd answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		_, err := client.Get(ctx, "any")
		return err
	})
}

// names of all members of the cluster behind the endpoint.
func names(endpoint *clientv3.Client) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	list, err := endpoint.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, member := range list.Members {
		all = append(all, member.Name)
	}
	return all, nil
}

// expectEqualHashes compares what all have stored at one revision.
func expectEqualHashes(t *testing.T, urls []string) {
	t.Helper()
	client := dial(t, urls[0])
	within(t, patience, "equal hashes", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		first, err := client.HashKV(ctx, urls[0], 0)
		if err != nil {
			return err
		}
		for _, url := range urls[1:] {
			other, err := client.HashKV(ctx, url, first.HashRevision)
			if err != nil {
				return err
			}
			if other.Hash != first.Hash || other.CompactRevision != first.CompactRevision {
				return fmt.Errorf("at %d %s has %x and %s has %x", first.HashRevision, urls[0], first.Hash, url, other.Hash)
			}
		}
		return nil
	})
}

func TestTakingOverAnEtcd(t *testing.T) {
	old := startOldCluster(t, 3)
	old.awaitLeader()
	operator := startOperator(t)
	c := declareAs(t, "join", plain+fmt.Sprintf("  bootstrap: {join: {endpoints: [%q]}}\n", old.endpoints[0]))
	ours := []string{}
	for i := range 3 {
		ours = append(ours, fmt.Sprintf("http://db-%d.db-peers.join.svc.cluster.local:2379", i))
	}
	// Clients know both, as they would while they are being moved.
	l := startLoad(t, strings.Join(append(old.endpoints, ours...), ","))

	step(t, l, "three members join", func(t *testing.T) {
		c.awaitReady(3)
		expectEqualHashes(t, append(ours, old.endpoints...))
	})
	step(t, l, "the etcd is left behind", func(t *testing.T) {
		apply(t, fmt.Sprintf(finishJoin, "join"))
		client := dial(t, ours...)
		within(t, patience, "only ours are members", func() error {
			all, err := names(client)
			if err == nil && (len(all) != 3 || strings.Contains(strings.Join(all, " "), "old-")) {
				err = fmt.Errorf("members are %v", all)
			}
			if err == nil {
				err = c.isReady(3)
			}
			return err
		})
		within(t, patience, "the operation is complete", func() error {
			text, err := tryKubectl("--namespace", c.ns, "get", "holdfastoperation", "leave-etcd", "--output", "json")
			if err == nil && !strings.Contains(text, `"Complete"`) {
				err = fmt.Errorf("%s", text)
			}
			return err
		})
	})
	for _, member := range old.members {
		_ = member.Process.Kill()
	}
	step(t, l, "kill the leader", func(t *testing.T) {
		victim := c.leader()
		before := c.podUID(victim)
		c.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
		within(t, patience, "another Pod in its place", func() error {
			if uid := c.podUID(victim); uid == "" || uid == before {
				return fmt.Errorf("%s is not there yet", victim)
			}
			return c.isReady(3)
		})
	})
	expectEqualHashes(t, ours)
	l.finish()
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", "join", "--timeout=90s")
}
