package tls

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/member"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// peerGrace is how long a member leaves connections alone after a change of its CAs, and some more.
const peerGrace = 7 * time.Second

// neighbour is one of several members that speak TLS among themselves; clients reach it without.
type neighbour struct {
	probe
	files folder
}

// village starts a member of each program, with certificates of ca's, and waits until all serve.
func village(t *testing.T, ca *loopbackAuthority, programs ...string) []*neighbour {
	t.Helper()
	all := settle(t, ca, programs, func(i int, where folder) []string {
		where.show("peer", ca.issue(fmt.Sprintf("m%d", i+1)))
		return nil
	})
	for _, n := range all {
		if err := n.member.WaitReady(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// settle starts a member of each program, whose certificate and further flags equip makes, and waits
// for none.
func settle(t *testing.T, ca *loopbackAuthority, programs []string, equip func(i int, where folder) []string) []*neighbour {
	t.Helper()
	ports, err := member.FreePorts(2 * len(programs))
	if err != nil {
		t.Fatal(err)
	}
	var cluster []string
	for i := range programs {
		cluster = append(cluster, fmt.Sprintf("m%d=https://127.0.0.1:%d", i+1, ports[2*i]))
	}
	var all []*neighbour
	for i, program := range programs {
		n := &neighbour{probe{t: t, metrics: fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1])}, folder{t, t.TempDir()}}
		name := fmt.Sprintf("m%d", i+1)
		n.files.write("ca.crt", ca.PEM)
		more := equip(i, n.files)
		peer := fmt.Sprintf("127.0.0.1:%d", ports[2*i])
		n.member, err = member.New(member.Options{
			Binary: program, Dir: t.TempDir(), Name: name,
			Peers: &member.Peers{Listen: peer, Advertise: "https://" + peer, Cluster: strings.Join(cluster, ",")},
			Flags: append([]string{"--peer-cert-file=" + n.files.file("peer.crt"), "--peer-key-file=" + n.files.file("peer.key"),
				"--peer-trusted-ca-file=" + n.files.file("ca.crt"), "--peer-client-cert-auth", "--listen-metrics-urls=" + n.metrics}, more...),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.member.Spawn(); err != nil {
			t.Fatal(err)
		}
		n.member.EndWith(t)
		all = append(all, n)
	}
	return all
}

// three of ours.
func three() []string { return []string{member.Holdfast(), member.Holdfast(), member.Holdfast()} }

// everyone connects to all members.
func everyone(t *testing.T, all []*neighbour) *clientv3.Client {
	t.Helper()
	var endpoints []string
	for _, n := range all {
		endpoints = append(endpoints, n.member.ClientAddr())
	}
	return member.Connect(t, nil, endpoints...)
}

// sameContent waits until all members have the same content at one revision.
func sameContent(t *testing.T, etcd *clientv3.Client, all []*neighbour) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := etcd.Get(ctx, "revision?")
	if err != nil {
		t.Fatal(err)
	}
	all[0].eventually("equal HashKV on all members", func() bool {
		hashes := map[uint32]bool{}
		for _, n := range all {
			hash, err := etcd.HashKV(ctx, n.member.ClientAddr(), answer.Header.Revision)
			if err != nil {
				return false
			}
			hashes[hash.Hash] = true
		}
		return len(hashes) == 1
	})
}

func TestPeersRotateLeavesAndCaUnderTrafficWithoutAFailedRequest(t *testing.T) {
	first, second := newAuthority(t, "first CA"), newAuthority(t, "second CA")
	both := append(append([]byte{}, first.PEM...), second.PEM...)
	all := village(t, first, member.Holdfast(), member.Holdfast(), member.Holdfast())
	etcd := everyone(t, all)
	traffic := all[0].load("key", etcd)
	all[0].goesOn(traffic)
	steps := []func(n *neighbour){
		func(n *neighbour) {
			n.files.show("peer", first.issue(n.member.Name()+"-renewed"))
			n.awaitMetric("holdfast_tls_certificate_not_after_seconds", `certificate="peer-cert-file"`, n.member.Name()+"-renewed")
		},
		func(n *neighbour) { n.files.write("ca.crt", both); n.bundleInUse("peer", both) },
		func(n *neighbour) {
			n.files.show("peer", second.issue(n.member.Name()+"-of-second"))
			n.awaitMetric("holdfast_tls_certificate_not_after_seconds", `certificate="peer-cert-file"`, n.member.Name()+"-of-second")
		},
		func(n *neighbour) { n.files.write("ca.crt", second.PEM); n.bundleInUse("peer", second.PEM) },
	}
	for _, step := range steps {
		for _, n := range all {
			step(n)
			all[0].goesOn(traffic)
		}
	}
	// Streams were renewed in order before what the first CA vouched for could be dropped.
	for begun := time.Now(); time.Since(begun) < peerGrace; {
		all[0].goesOn(traffic)
	}
	traffic.stop()
	sameContent(t, etcd, all)
	t.Logf("%d requests during the rotation, none failed", traffic.requests.Load())
}

func TestARealEtcdIsATlsPeer(t *testing.T) {
	ca := newAuthority(t, "first CA")
	all := village(t, ca, member.Holdfast(), member.Etcd(), member.Holdfast())
	etcd := everyone(t, all)
	for _, n := range all { // each of them leads once; a move itself may cost a request
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		leader, self := leaderOf(t, ctx, etcd, all), n.id(ctx, etcd)
		if leader.id(ctx, etcd) != self {
			if _, err := etcdOf(t, leader).MoveLeader(ctx, self); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		traffic := all[0].load("led-by-"+n.member.Name(), etcd)
		all[0].goesOn(traffic)
		traffic.stop()
	}
	sameContent(t, etcd, all)
}

func TestAPeerWithAWrongCertificateIsTold(t *testing.T) {
	ca, stranger := newAuthority(t, "first CA"), newAuthority(t, "stranger CA")
	all := village(t, ca, member.Holdfast(), member.Holdfast(), member.Holdfast())
	wrong := all[2]
	if err := wrong.member.Stop(); err != nil {
		t.Fatal(err)
	}
	wrong.files.show("peer", stranger.issue("impostor"))
	if err := wrong.member.Spawn(); err != nil {
		t.Fatal(err)
	}
	// Whoever dials: the others find its certificate wrong, and say whose it is.
	for _, direction := range []string{"accepted", "dialed"} {
		all[0].awaitMetric("holdfast_tls_failures_total", `endpoint="peer"`, `direction="`+direction+`"`, `reason="untrusted"`, `certificate="CN=impostor"`)
	}
	all[0].awaitLog("rejected connection on peer endpoint", "CN=impostor", "untrusted")
	all[0].awaitLog("failed TLS handshake with a member dialed", "CN=impostor", "untrusted")
	traffic := all[0].load("key", everyone(t, all[:2]))
	all[0].goesOn(traffic)
	traffic.stop()
	// Mended, it comes back without a restart.
	wrong.files.show("peer", ca.issue("mended"))
	if err := wrong.member.WaitReady(); err != nil {
		t.Fatal(err)
	}
}

func (n *neighbour) id(ctx context.Context, etcd *clientv3.Client) uint64 {
	n.t.Helper()
	status, err := etcd.Status(ctx, n.member.ClientAddr())
	if err != nil {
		n.t.Fatal(err)
	}
	return status.Header.MemberId
}

func leaderOf(t *testing.T, ctx context.Context, etcd *clientv3.Client, all []*neighbour) *neighbour {
	t.Helper()
	for ctx.Err() == nil {
		for _, n := range all {
			if status, err := etcd.Status(ctx, n.member.ClientAddr()); err == nil && status.Leader == status.Header.MemberId {
				return n
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no leader")
	return nil
}

func etcdOf(t *testing.T, n *neighbour) *clientv3.Client {
	return everyone(t, []*neighbour{n})
}
