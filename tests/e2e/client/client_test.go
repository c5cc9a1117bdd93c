// Package client holds holdfast to what programs rely on that use etcd's official Go client: each
// test starts a server of its own and talks to it through clientv3 and its helper packages only.
package client

import (
	"context"
	"testing"
	"time"

	"holdfast/tests/go/member"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const patience = member.Patience

// quickFlags make leases short: the shortest is one and a half election timeouts, rounded up.
var quickFlags = []string{"--heartbeat-interval=50", "--election-timeout=500", "--log-level=warn"}

func startMember(t *testing.T, flags ...string) *member.Member {
	t.Helper()
	m, err := member.Start(member.Options{Binary: member.Holdfast(), Dir: t.TempDir(), Flags: append(quickFlags, flags...)})
	if err != nil {
		t.Fatal(err)
	}
	m.EndWith(t)
	return m
}

func connect(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	return member.Connect(t, nil, endpoints...)
}

// start starts a member and connects a client.
func start(t *testing.T, flags ...string) (*member.Member, *clientv3.Client) {
	t.Helper()
	m := startMember(t, flags...)
	return m, connect(t, m.ClientAddr())
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// must fails the test on an error and else passes the value on.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func put(t *testing.T, c clientv3.KV, key, value string, options ...clientv3.OpOption) int64 {
	t.Helper()
	return must[*clientv3.PutResponse](t)(c.Put(testContext(t), key, value, options...)).Header.Revision
}

func get(t *testing.T, c clientv3.KV, key string, options ...clientv3.OpOption) *clientv3.GetResponse {
	t.Helper()
	return must[*clientv3.GetResponse](t)(c.Get(testContext(t), key, options...))
}
