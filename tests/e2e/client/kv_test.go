package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
)

func TestGuardedTransactionsLoseNoIncrement(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	put(t, c, "counter", "0")
	const clients, increments = 8, 50
	var group sync.WaitGroup
	for range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			own := connect(t, m.ClientAddr())
			for range increments {
				increment(t, own, "counter")
			}
		}()
	}
	group.Wait()
	if got := string(get(t, c, "counter").Kvs[0].Value); got != strconv.Itoa(clients*increments) {
		t.Fatalf("%s after %d increments", got, clients*increments)
	}
}

// increment retries until no one has written between its read and its write.
func increment(t *testing.T, c *clientv3.Client, key string) {
	for {
		kv := get(t, c, key).Kvs[0]
		n, _ := strconv.Atoi(string(kv.Value))
		response, err := c.Txn(testContext(t)).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision)).
			Then(clientv3.OpPut(key, strconv.Itoa(n+1))).
			Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			t.Error(err)
			return
		}
		if response.Succeeded {
			return
		}
		if response.Responses[0].GetResponseRange().Kvs[0].ModRevision <= kv.ModRevision {
			t.Error("a failed guard's else branch shows nothing newer")
		}
	}
}

func TestOnlyOneOfManyCreatesAKey(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	created := make(chan bool, 32)
	for i := range cap(created) {
		go func() {
			response, err := c.Txn(testContext(t)).If(clientv3.Compare(clientv3.CreateRevision("once"), "=", 0)).
				Then(clientv3.OpPut("once", fmt.Sprint(i))).Commit()
			created <- err == nil && response.Succeeded
		}()
	}
	count := 0
	for range cap(created) {
		if <-created {
			count++
		}
	}
	if count != 1 {
		t.Fatalf("%d clients created the key", count)
	}
}

func TestReadsWaitForARestartingServer(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	put(t, c, "k", "v")
	m.Kill()
	restarted := make(chan error, 1)
	go func() { restarted <- m.Restart() }()
	if string(get(t, c, "k").Kvs[0].Value) != "v" {
		t.Fatal("another value after the restart")
	}
	mustDo(t, <-restarted)
}

func TestAcknowledgedPutsSurviveKill(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	last := int64(0)
	for i := range 200 {
		last = put(t, c, fmt.Sprintf("durable/%03d", i), fmt.Sprint(i))
	}
	m.Kill()
	mustDo(t, m.Restart())
	all := get(t, c, "durable/", clientv3.WithPrefix())
	if all.Count != 200 || all.Header.Revision != last {
		t.Fatalf("%d keys at revision %d, want 200 at %d", all.Count, all.Header.Revision, last)
	}
}

func TestClientLeavesADeadEndpoint(t *testing.T) {
	t.Parallel()
	dead, alive := startMember(t), startMember(t)
	c := connect(t, dead.ClientAddr(), alive.ClientAddr())
	dead.Kill()
	for i := range 20 {
		// Writes are not retried by the client, so one may hit the dead endpoint's last moments.
		eventually(t, "a put through the other endpoint", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := c.Put(ctx, fmt.Sprint("k", i), "v")
			return err == nil
		})
	}
	if n := get(t, connect(t, alive.ClientAddr()), "k", clientv3.WithPrefix()).Count; n != 20 {
		t.Fatalf("%d keys on the living member, want 20", n)
	}
}

func TestClientLearnsItsEndpointsFromTheMember(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	mustDo(t, c.Sync(testContext(t)))
	if got := c.Endpoints(); len(got) != 1 || got[0] != m.ClientURL() {
		t.Fatalf("endpoints %v, want %s", got, m.ClientURL())
	}
	put(t, c, "k", "v")
	other := startMember(t)
	c.SetEndpoints(other.ClientAddr())
	eventually(t, "the other member's answer", func() bool { return get(t, c, "k").Count == 0 })
}

func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	a, b := namespace.NewKV(c, "a/"), namespace.NewKV(c, "b/")
	watch := namespace.NewWatcher(c, "a/").Watch(testContext(t), "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	put(t, b, "k", "b")
	put(t, a, "k", "a")
	if got := values(nextEvents(t, watch, 1)); got != "k=a" {
		t.Fatalf("the watch in namespace a shows %s", got)
	}
	if kvs := get(t, a, "", clientv3.WithFromKey()).Kvs; len(kvs) != 1 || string(kvs[0].Key) != "k" {
		t.Fatalf("everything in namespace a: %v", kvs)
	}
	must[*clientv3.DeleteResponse](t)(a.Delete(testContext(t), "", clientv3.WithFromKey()))
	if get(t, c, "b/k").Count != 1 || get(t, c, "a/k").Count != 0 {
		t.Fatal("deleting everything in a reached b")
	}
	response, err := a.Txn(testContext(t)).If(clientv3.Compare(clientv3.Version("k"), "=", 0)).
		Then(clientv3.OpPut("k", "1"), clientv3.OpGet("k")).Commit()
	mustDo(t, err)
	if got := response.Responses[1].GetResponseRange().Kvs[0]; string(got.Key) != "k" || string(got.Value) != "1" {
		t.Fatalf("a namespaced transaction read %v", got)
	}
	lease := namespace.NewLease(c, "a/")
	id := must[*clientv3.LeaseGrantResponse](t)(lease.Grant(testContext(t), 60)).ID
	put(t, a, "leased", "v", clientv3.WithLease(id))
	left := must[*clientv3.LeaseTimeToLiveResponse](t)(lease.TimeToLive(testContext(t), id, clientv3.WithAttachedKeys()))
	if len(left.Keys) != 1 || string(left.Keys[0]) != "leased" {
		t.Fatalf("keys of the lease in its namespace: %q", left.Keys)
	}
}

func TestOrderingRefusesAnOlderAnswer(t *testing.T) {
	t.Parallel()
	newer, older := startMember(t), startMember(t)
	c := connect(t, newer.ClientAddr())
	violated := errors.New("an answer from the past")
	kv := ordering.NewKV(c.KV, func(clientv3.Op, clientv3.OpResponse, int64) error { return violated })
	for range 5 {
		put(t, kv, "k", "v")
	}
	get(t, kv, "k")
	// The other member has seen nothing: its header revision is smaller.
	c.SetEndpoints(older.ClientAddr())
	eventually(t, "the violation", func() bool {
		_, err := kv.Get(testContext(t), "k", clientv3.WithSerializable())
		return errors.Is(err, violated)
	})
}

func TestLeasingCacheIsInvalidatedByOtherWriters(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	cached, closeCache, err := leasing.NewKV(connect(t, m.ClientAddr()), "leasing/")
	mustDo(t, err)
	defer closeCache()
	other, closeOther, err := leasing.NewKV(connect(t, m.ClientAddr()), "leasing/")
	mustDo(t, err)
	defer closeOther()
	put(t, c, "k", "1")
	for i := range 10 {
		get(t, cached, "k")
		put(t, other, "k", fmt.Sprint(i))
		if got := string(get(t, cached, "k").Kvs[0].Value); got != fmt.Sprint(i) {
			t.Fatalf("the cache still has %s, want %d", got, i)
		}
	}
}

func TestMirrorCopiesAndFollows(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for i := range 2500 { // more than the mirror's page of 1000
		put(t, c, fmt.Sprintf("m/%04d", i), "v")
	}
	syncer := mirror.NewSyncer(c, "m/", 0)
	base, errs := syncer.SyncBase(testContext(t))
	count := 0
	for page := range base {
		count += len(page.Kvs)
	}
	if err := <-errs; err != nil || count != 2500 {
		t.Fatalf("copied %d keys, %v", count, err)
	}
	updates := syncer.SyncUpdates(testContext(t))
	put(t, c, "m/new", "v")
	if got := values(nextEvents(t, updates, 1)); got != "m/new=v" {
		t.Fatalf("followed %s", got)
	}
}

func TestKubernetesCallsGuardByRevision(t *testing.T) {
	t.Parallel()
	m := startMember(t)
	c, err := kubernetes.New(clientv3.Config{Endpoints: []string{m.ClientAddr()}})
	mustDo(t, err)
	defer c.Close()
	ctx := testContext(t)
	created, err := c.Kubernetes.OptimisticPut(ctx, "/registry/a", []byte("1"), 0, kubernetes.PutOptions{})
	mustDo(t, err)
	if !created.Succeeded {
		t.Fatal("creation failed")
	}
	again, err := c.Kubernetes.OptimisticPut(ctx, "/registry/a", []byte("2"), 0, kubernetes.PutOptions{GetOnFailure: true})
	mustDo(t, err)
	if again.Succeeded || string(again.KV.Value) != "1" {
		t.Fatalf("a second creation: %+v", again)
	}
	updated, err := c.Kubernetes.OptimisticPut(ctx, "/registry/a", []byte("2"), created.Revision, kubernetes.PutOptions{})
	mustDo(t, err)
	list, err := c.Kubernetes.List(ctx, "/registry/", kubernetes.ListOptions{Limit: 10})
	mustDo(t, err)
	if !updated.Succeeded || len(list.Kvs) != 1 || list.Kvs[0].ModRevision != updated.Revision {
		t.Fatalf("after the update: %+v", list)
	}
	deleted, err := c.Kubernetes.OptimisticDelete(ctx, "/registry/a", created.Revision, kubernetes.DeleteOptions{GetOnFailure: true})
	mustDo(t, err)
	if deleted.Succeeded || string(deleted.KV.Value) != "2" {
		t.Fatalf("a deletion guarded by an old revision: %+v", deleted)
	}
	if n, err := c.Kubernetes.Count(ctx, "/registry/", kubernetes.CountOptions{}); err != nil || n != 1 {
		t.Fatalf("count %d, %v", n, err)
	}
}
