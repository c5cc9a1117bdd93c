package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"holdfast/tests/go/member"
)

// nextEvents reads n events of a watch.
func nextEvents(t *testing.T, watch clientv3.WatchChan, n int) []*clientv3.Event {
	t.Helper()
	var events []*clientv3.Event
	ctx := testContext(t)
	for len(events) < n {
		select {
		case response, open := <-watch:
			if !open || response.Err() != nil {
				t.Fatalf("the watch ended after %d of %d events: %v", len(events), n, response.Err())
			}
			events = append(events, response.Events...)
		case <-ctx.Done():
			t.Fatalf("%d of %d events within %v", len(events), n, patience)
		}
	}
	return events
}

// values lists events as "key=value@revision".
func values(events []*clientv3.Event) string {
	var texts []string
	for _, e := range events {
		texts = append(texts, fmt.Sprintf("%s=%s", e.Kv.Key, e.Kv.Value))
	}
	return strings.Join(texts, " ")
}

func TestWatchGoesOnAfterTheServerRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*member.Member) error{
		"gracefully": (*member.Member).Stop,
		"by kill -9": func(m *member.Member) error { m.Kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, c := start(t)
			watch := c.Watch(testContext(t), "w/", clientv3.WithPrefix())
			put(t, c, "w/1", "before")
			nextEvents(t, watch, 1)
			for round := range 3 {
				mustDo(t, end(m))
				mustDo(t, m.Restart())
				// A second client writes, so that the events are there before the watch resumes.
				put(t, connect(t, m.ClientAddr()), "w/2", fmt.Sprint(round))
				put(t, c, "w/3", fmt.Sprint(round))
				if got, want := values(nextEvents(t, watch, 2)), fmt.Sprintf("w/2=%d w/3=%d", round, round); got != want {
					t.Fatalf("after restart %d: %s, want %s", round, got, want)
				}
			}
		})
	}
}

func TestWatchFromAPastRevisionDeliversEachEventOnceInOrder(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	const writes = 3000
	first := put(t, c, "n", "0")
	for i := 1; i < writes; i++ {
		put(t, c, "n", fmt.Sprint(i))
		if i == writes/2 { // from here on history and live events must join
			c.Watch(testContext(t), "n", clientv3.WithRev(first))
		}
	}
	watch := c.Watch(testContext(t), "n", clientv3.WithRev(first))
	for i, e := range nextEvents(t, watch, writes) {
		if e.Kv.ModRevision != first+int64(i) || string(e.Kv.Value) != fmt.Sprint(i) {
			t.Fatalf("event %d is %s at revision %d", i, e.Kv.Value, e.Kv.ModRevision)
		}
	}
}

func TestWatchOfCompactedHistoryEndsAndNamesTheRevision(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for range 5 {
		put(t, c, "k", "v")
	}
	last := put(t, c, "k", "v")
	must[*clientv3.CompactResponse](t)(c.Compact(testContext(t), last))
	watch := c.Watch(testContext(t), "k", clientv3.WithRev(2))
	response := <-watch
	if !errors.Is(response.Err(), rpctypes.ErrCompacted) || response.CompactRevision != last {
		t.Fatalf("%v at %d, want ErrCompacted at %d", response.Err(), response.CompactRevision, last)
	}
	if _, open := <-watch; open {
		t.Fatal("the watch is still open")
	}
}

func TestWatchShowsPreviousValuesAndHonoursFilters(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	put(t, c, "k", "1")
	both := c.Watch(testContext(t), "k", clientv3.WithPrevKV())
	deletes := c.Watch(testContext(t), "k", clientv3.WithPrevKV(), clientv3.WithFilterPut())
	puts := c.Watch(testContext(t), "k", clientv3.WithFilterDelete())
	// All three must be there before the writes; a progress answer says so.
	mustDo(t, c.RequestProgress(testContext(t)))
	put(t, c, "k", "2")
	must[*clientv3.DeleteResponse](t)(c.Delete(testContext(t), "k"))
	put(t, c, "k", "3")
	events := nextEvents(t, both, 3)
	if string(events[0].PrevKv.Value) != "1" || string(events[1].PrevKv.Value) != "2" || events[2].PrevKv != nil {
		t.Fatalf("previous values: %v", events)
	}
	if e := nextEvents(t, deletes, 1)[0]; e.Type != clientv3.EventTypeDelete || string(e.PrevKv.Value) != "2" {
		t.Fatalf("filtered puts, got %v", e)
	}
	if got := values(nextEvents(t, puts, 2)); got != "k=2 k=3" {
		t.Fatalf("filtered deletes, got %s", got)
	}
}

func TestRequestedProgressNamesTheCurrentRevision(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	watch := c.Watch(testContext(t), "quiet", clientv3.WithCreatedNotify())
	<-watch
	revision := put(t, c, "elsewhere", "v")
	mustDo(t, c.RequestProgress(testContext(t)))
	if response := <-watch; !response.IsProgressNotify() || response.Header.Revision != revision {
		t.Fatalf("got %+v, want progress at %d", response, revision)
	}
}

func TestPeriodicProgressReachesAQuietWatch(t *testing.T) {
	t.Parallel()
	_, c := start(t, "--watch-progress-notify-interval=200ms")
	watch := c.Watch(testContext(t), "quiet", clientv3.WithProgressNotify())
	revision := put(t, c, "elsewhere", "v")
	for {
		response := <-watch
		if !response.IsProgressNotify() {
			t.Fatalf("got %+v, want progress", response)
		}
		if response.Header.Revision == revision {
			return
		}
	}
}

func TestLargeEventsArriveWholeThroughFragments(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	first := put(t, c, "big/start", "")
	value := strings.Repeat("x", 500<<10)
	for i := range 12 { // 6 MB of history, far above one response's limit
		put(t, c, fmt.Sprintf("big/%d", i), value)
	}
	watch := c.Watch(testContext(t), "big/", clientv3.WithPrefix(), clientv3.WithRev(first), clientv3.WithFragment())
	for i, e := range nextEvents(t, watch, 13)[1:] {
		if string(e.Kv.Key) != fmt.Sprintf("big/%d", i) || string(e.Kv.Value) != value {
			t.Fatalf("event %d is %s with %d bytes", i, e.Kv.Key, len(e.Kv.Value))
		}
	}
}

func TestManyWatchesShareOneStream(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	const watches = 500
	channels := make([]clientv3.WatchChan, watches)
	ctx := testContext(t)
	for i := range channels {
		channels[i] = c.Watch(ctx, fmt.Sprintf("many/%03d", i), clientv3.WithCreatedNotify())
	}
	for _, channel := range channels {
		<-channel
	}
	for i := range channels {
		put(t, c, fmt.Sprintf("many/%03d", i), fmt.Sprint(i))
	}
	for i, channel := range channels {
		if got, want := values(nextEvents(t, channel, 1)), fmt.Sprintf("many/%03d=%d", i, i); got != want {
			t.Fatalf("watch %d got %s, want %s", i, got, want)
		}
	}
}
