// Package pressure floods one member, which has --memory-limit-bytes, with big answers, slow readers
// and requests that never end, and holds it to what it promises: its anonymous memory stays below
// the limit, no small request and no keep-alive fails, and afterwards all is as before.
package pressure

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"holdfast/tests/go/member"
)

const (
	limitBytes = 512 << 20
	objects    = 30_000
	valueBytes = 4 << 10
	prefix     = "/registry/pods/"
	leases     = 20
	leaseTTL   = 10
)

var floodSeconds = flag.Int("flood-seconds", 15, "how long the flood lasts")

func base64Text(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

// putWithoutEnd sends a megabyte of a put of which more was announced, then waits.
func (c *rawClient) putWithoutEnd(ctx context.Context) error {
	reader, writer := io.Pipe()
	defer writer.Close()
	go func() {
		prefix := []byte{0, 0, 0x17, 0, 0} // announces 1.5 MB
		writer.Write(append(prefix, make([]byte, 1<<20)...))
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/etcdserverpb.KV/Put", reader)
	if err != nil {
		return err
	}
	r.Header.Set("content-type", "application/grpc")
	r.Header.Set("te", "trailers")
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return statusError(answer.Header.Get("grpc-status"), answer.Header.Get("grpc-message"))
}

func TestAFloodOfBigAnswersLeavesSmallRequestsAlone(t *testing.T) {
	m := startLimited(t)
	client := member.Connect(t, nil, m.ClientURL())
	fill(t, client, objects)
	before := anonymousBytes(t, m.Pid())
	t.Logf("%d objects of %d bytes; anonymous memory %d MiB", objects, valueBytes, before>>20)

	peak := watchPeak(t, m)
	traffic := startTraffic(t, member.Connect(t, nil, m.ClientURL()))
	flooding, stop := context.WithCancel(t.Context())
	defer stop()
	f := startFlood(flooding, m.ClientAddr(), prefix)
	time.Sleep(time.Duration(*floodSeconds) * time.Second)
	// How many whole lists there is time for is the machine's affair; these must come through.
	f.awaitAnswered(t, "paged list", "sorted list")
	stop()
	f.group.Wait()
	f.out.report(t)
	traffic.end(t)
	highest := peak()
	t.Logf("peak of anonymous memory: %d MiB of %d", highest>>20, limitBytes>>20)
	if highest >= limitBytes {
		t.Errorf("anonymous memory reached %d bytes", highest)
	}
	if len(f.out.refused) == 0 {
		t.Error("nothing was refused: the flood was none")
	}
	checkMetrics(t, m.ClientURL())
	checkAfterwards(t, m, client)
}

// startLimited starts a member that is to stay below limitBytes.
func startLimited(t *testing.T) *member.Member {
	t.Helper()
	m, err := member.Start(member.Options{
		Binary: member.Holdfast(), Dir: t.TempDir(),
		Flags: []string{"--memory-limit-bytes=" + strconv.Itoa(limitBytes)}})
	if err != nil {
		t.Fatal(err)
	}
	m.EndWith(t)
	return m
}

// fill puts count objects below prefix.
func fill(t *testing.T, client *clientv3.Client, count int) {
	t.Helper()
	const perTxn, writers = 64, 4
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			dice := rand.NewChaCha8([32]byte{byte(w)})
			for first := w * perTxn; first < count; first += writers * perTxn {
				var ops []clientv3.Op
				for i := first; i < min(first+perTxn, count); i++ {
					value := make([]byte, valueBytes)
					dice.Read(value)
					ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s%02d/pod-%06d", prefix, i%40, i), string(value)))
				}
				if _, err := client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// traffic is what must go on undisturbed: puts, reads, a watch that sees every put, leases.
type traffic struct {
	stop   context.CancelFunc
	group  sync.WaitGroup
	ids    []clientv3.LeaseID
	client *clientv3.Client
	puts   atomic.Int64
	seen   atomic.Int64
	beats  atomic.Int64
	slow   atomic.Int64 // the slowest answer, in nanoseconds
}

const small = "/small/"

func startTraffic(t *testing.T, client *clientv3.Client) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	tr := &traffic{stop: stop, client: client}
	for range leases {
		lease, err := client.Grant(ctx, leaseTTL)
		if err != nil {
			t.Fatal(err)
		}
		tr.ids = append(tr.ids, lease.ID)
	}
	watch := client.Watch(ctx, small, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if created := <-watch; created.Err() != nil {
		t.Fatal(created.Err())
	}
	tr.group.Go(func() {
		for answer := range watch {
			if answer.Err() != nil && ctx.Err() == nil {
				t.Errorf("the watch ended: %v", answer.Err())
			}
			tr.seen.Add(int64(len(answer.Events)))
		}
	})
	each := func(name string, pause time.Duration, work func(n int) error) {
		tr.group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				began := time.Now()
				if err := work(n); err != nil && ctx.Err() == nil {
					t.Errorf("a %s failed: %v", name, err)
				}
				for took := int64(time.Since(began)); ; {
					slowest := tr.slow.Load()
					if took <= slowest || tr.slow.CompareAndSwap(slowest, took) {
						break
					}
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	each("put", 5*time.Millisecond, func(n int) error {
		_, err := client.Put(context.Background(), fmt.Sprintf("%s%d", small, n%100), "value")
		if err == nil {
			tr.puts.Add(1)
		}
		return err
	})
	each("get", 5*time.Millisecond, func(n int) error {
		_, err := client.Get(context.Background(), fmt.Sprintf("%s%d", small, n%100))
		return err
	})
	each("keep-alive", 100*time.Millisecond, func(n int) error {
		_, err := client.KeepAliveOnce(context.Background(), tr.ids[n%leases])
		if err == nil {
			tr.beats.Add(1)
		}
		return err
	})
	return tr
}

// end checks that the leases live and that the watch has seen every put.
func (tr *traffic) end(t *testing.T) {
	t.Helper()
	for _, id := range tr.ids {
		left, err := tr.client.TimeToLive(t.Context(), id)
		if err != nil || left.TTL <= 0 {
			t.Errorf("lease %x: %v, %v", id, left, err)
		}
	}
	last, err := tr.client.Put(t.Context(), small+"last", "")
	if err != nil {
		t.Fatal(err)
	}
	wanted := func() int64 { return tr.puts.Load() + 1 }
	for deadline := time.Now().Add(member.Patience); tr.seen.Load() < wanted(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the watch saw %d of %d puts, the last at revision %d", tr.seen.Load(), wanted(), last.Header.Revision)
		}
	}
	tr.stop()
	tr.group.Wait()
	t.Logf("beside the flood: %d puts, %d keep-alives, the slowest request %v", tr.puts.Load(), tr.beats.Load(), time.Duration(tr.slow.Load()))
}

func anonymousBytes(t testing.TB, pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Errorf("the member is gone: %v", err)
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Error(err)
	}
	return kilobytes << 10
}

// watchPeak samples the member's anonymous memory until the function returned is called. A member that gets
// far beyond the limit is ended, so that it does not take the machine with it.
func watchPeak(t *testing.T, m *member.Member) func() int64 {
	const farBeyond = 4 * limitBytes
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		highest := int64(0)
		for {
			highest = max(highest, anonymousBytes(t, m.Pid()))
			if highest > farBeyond {
				t.Errorf("anonymous memory reached %d MiB of %d: the member is ended", highest>>20, limitBytes>>20)
				m.Kill()
				<-stop
				peak <- highest
				return
			}
			select {
			case <-stop:
				peak <- highest
				return
			case <-time.After(3 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-peak }
}

func checkMetrics(t *testing.T, url string) {
	t.Helper()
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, _ := io.ReadAll(answer.Body)
	for _, wanted := range []string{
		fmt.Sprintf("holdfast_memory_limit_bytes %d", limitBytes),
		"holdfast_memory_reserved_bytes{use=\"lists\"}", "holdfast_memory_refused_total{use=",
		"holdfast_memory_anonymous_peak_bytes", "holdfast_memory_pressure"} {
		if !strings.Contains(string(page), wanted) {
			t.Errorf("/metrics does not have %s", wanted)
		}
	}
}

// checkAfterwards holds the member to what it was before: memory comes back, every object is there.
func checkAfterwards(t *testing.T, m *member.Member, client *clientv3.Client) {
	t.Helper()
	deadline := time.Now().Add(member.Patience)
	for anonymousBytes(t, m.Pid()) > limitBytes/4 {
		if time.Now().After(deadline) {
			t.Fatalf("anonymous memory stays at %d bytes", anonymousBytes(t, m.Pid()))
		}
		time.Sleep(50 * time.Millisecond)
	}
	found := 0
	key, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		page, err := client.Get(t.Context(), key, clientv3.WithRange(end), clientv3.WithLimit(2_000))
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Kvs)
		if !page.More {
			break
		}
		key = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	if found != objects {
		t.Errorf("%d objects of %d are left", found, objects)
	}
	page := list(prefix)
	page.Limit = 100
	json := &http.Client{}
	if err := postJSON(t.Context(), json, m.ClientAddr(), jsonOf(page)); err != nil {
		t.Errorf("a page as JSON: %v", err)
	}
	raw := newRawClient(m.ClientAddr(), 0)
	for _, path := range []string{"/etcdserverpb.KV/Range", "/etcdserverpb.KV/RangeStream"} {
		length, err := raw.call(t.Context(), path, list(prefix))
		if err != nil || length < objects*valueBytes {
			t.Errorf("%s of everything: %d bytes, %v", path, length, err)
		}
	}
	t.Logf("afterwards: anonymous memory %d MiB", anonymousBytes(t, m.Pid())>>20)
}
