package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func grant(t *testing.T, c *clientv3.Client, seconds int64) clientv3.LeaseID {
	t.Helper()
	return must[*clientv3.LeaseGrantResponse](t)(c.Grant(testContext(t), seconds)).ID
}

func TestKeysOfALeaseGoWhenItIsNotKeptAlive(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	owner := connect(t, m.ClientAddr())
	lease := grant(t, owner, 2)
	must[<-chan *clientv3.LeaseKeepAliveResponse](t)(owner.KeepAlive(context.Background(), lease))
	for i := range 3 {
		put(t, owner, fmt.Sprintf("alive/%d", i), "v", clientv3.WithLease(lease))
	}
	watch := c.Watch(testContext(t), "alive/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	time.Sleep(4 * time.Second) // twice the lease: it lives by its keep-alives alone
	if n := get(t, c, "alive/", clientv3.WithPrefix()).Count; n != 3 {
		t.Fatalf("%d keys while the lease is kept alive, want 3", n)
	}
	owner.Close()
	events := nextEvents(t, watch, 3)
	for _, e := range events {
		if e.Type != clientv3.EventTypeDelete || e.Kv.ModRevision != events[0].Kv.ModRevision {
			t.Fatalf("expiry is not one revision of deletes: %v", events)
		}
	}
	if left := must[*clientv3.LeaseTimeToLiveResponse](t)(c.TimeToLive(testContext(t), lease)); left.TTL != -1 {
		t.Fatalf("an expired lease has %d s", left.TTL)
	}
}

func TestLeaseDoesNotEndBeforeItsTime(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	began := time.Now()
	lease := grant(t, c, 3)
	put(t, c, "timed", "v", clientv3.WithLease(lease))
	eventually(t, "expiry", func() bool { return get(t, c, "timed").Count == 0 })
	if lived := time.Since(began); lived < 3*time.Second {
		t.Fatalf("a lease of 3 s ended after %v", lived)
	}
}

func TestRevokedLeaseEndsItsKeepAliveChannel(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	lease := grant(t, c, 2)
	alive := must[<-chan *clientv3.LeaseKeepAliveResponse](t)(c.KeepAlive(testContext(t), lease))
	if response := <-alive; response == nil || response.ID != lease {
		t.Fatalf("keep-alive answered %v", response)
	}
	must[*clientv3.LeaseRevokeResponse](t)(c.Revoke(testContext(t), lease))
	for range alive {
	}
	if _, err := c.KeepAliveOnce(testContext(t), lease); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatalf("keeping a revoked lease alive: %v", err)
	}
}

func TestLeaseAndItsKeysSurviveARestart(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	lease := grant(t, c, 600)
	put(t, c, "kept", "v", clientv3.WithLease(lease))
	short := grant(t, c, 2)
	put(t, c, "short", "v", clientv3.WithLease(short))
	m.Kill()
	mustDo(t, m.Restart())
	left := must[*clientv3.LeaseTimeToLiveResponse](t)(c.TimeToLive(testContext(t), lease, clientv3.WithAttachedKeys()))
	if left.GrantedTTL != 600 || len(left.Keys) != 1 || string(left.Keys[0]) != "kept" {
		t.Fatalf("after a restart: %+v", left)
	}
	eventually(t, "expiry of the short lease", func() bool { return get(t, c, "short").Count == 0 })
	must[*clientv3.LeaseRevokeResponse](t)(c.Revoke(testContext(t), lease))
	if get(t, c, "kept").Count != 0 {
		t.Fatal("the key outlived its revoked lease")
	}
}

func TestKeepAliveGoesOnAfterTheServerRestarts(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	lease := grant(t, c, 10)
	alive := must[<-chan *clientv3.LeaseKeepAliveResponse](t)(c.KeepAlive(testContext(t), lease))
	<-alive
	mustDo(t, m.Stop())
	mustDo(t, m.Restart())
	if response, open := <-alive; !open || response.ID != lease {
		t.Fatalf("keep-alive after a restart: %v, open %v", response, open)
	}
}

func TestMovingAKeyToAnotherLeaseFreesItFromTheFirst(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	first, second := grant(t, c, 600), grant(t, c, 600)
	put(t, c, "k", "1", clientv3.WithLease(first))
	put(t, c, "k", "2", clientv3.WithLease(second))
	must[*clientv3.LeaseRevokeResponse](t)(c.Revoke(testContext(t), first))
	if get(t, c, "k").Count != 1 {
		t.Fatal("the key went with the lease it had left")
	}
	put(t, c, "k", "3")
	must[*clientv3.LeaseRevokeResponse](t)(c.Revoke(testContext(t), second))
	if get(t, c, "k").Count != 1 {
		t.Fatal("the key went with a lease although put without one")
	}
}
