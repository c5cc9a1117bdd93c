package pressure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"holdfast/tests/go/member"
)

func newBody(body []byte) io.Reader { return bytes.NewReader(body) }

// outcomes counts what became of the requests of each kind.
type outcomes struct {
	mutex   sync.Mutex
	ok      map[string]int
	refused map[string]int
	wrong   []string
}

const resourceExhausted = 8

// note judges one answer: whole, or refused as etcd refuses.
func (o *outcomes) note(ctx context.Context, kind string, err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var status *grpcError
	switch {
	case err == nil:
		o.ok[kind]++
	case ctx.Err() != nil: // the flood is over, and cut it off
	case errors.As(err, &status) && status.code == resourceExhausted && isRefusal(status.text):
		o.refused[kind]++
	case len(o.wrong) < 10:
		o.wrong = append(o.wrong, kind+": "+err.Error())
	}
}

func isRefusal(text string) bool {
	return text == "etcdserver: too many requests" || strings.Contains(text, "--memory-limit-bytes")
}

func (o *outcomes) report(t *testing.T) {
	for _, each := range []struct {
		what   string
		counts map[string]int
	}{{"answered", o.ok}, {"refused", o.refused}} {
		for kind, n := range each.counts {
			t.Logf("%s: %d %s", kind, n, each.what)
		}
	}
	for _, wrong := range o.wrong {
		t.Errorf("neither answered nor refused: %s", wrong)
	}
}

// backOff waits after a refusal, as clients do.
func backOff(ctx context.Context, err error) {
	if err == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(500 * time.Millisecond):
	}
}

// flood asks for far more than fits, in every way there is, until ctx ends.
type flood struct {
	address string
	prefix  string
	out     outcomes
	group   sync.WaitGroup
}

func startFlood(ctx context.Context, address, prefix string) *flood {
	f := &flood{address: address, prefix: prefix}
	f.out.ok, f.out.refused = map[string]int{}, map[string]int{}
	const rangePath, streamPath = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/RangeStream"
	all, paged := f.all(), f.all()
	paged.Limit = 500
	sorted, allSorted := f.part(), f.all()
	for _, r := range []*pb.RangeRequest{sorted, allSorted} {
		r.SortTarget, r.SortOrder = pb.RangeRequest_MOD, pb.RangeRequest_DESCEND
	}

	const slow = 256 << 10 // bytes a second, of a whole connection
	f.calls(ctx, "whole list", 2, 4, 0, rangePath, all)
	f.calls(ctx, "whole list of a client with hundreds", 1, 300, 0, rangePath, all)
	f.calls(ctx, "paged list", 2, 4, 0, rangePath, paged)
	f.calls(ctx, "streamed list", 2, 4, 0, streamPath, all)
	f.calls(ctx, "sorted list", 2, 4, 0, rangePath, sorted)
	f.calls(ctx, "whole sorted list", 3, 4, 0, rangePath, allSorted)
	f.calls(ctx, "whole list, slow reader", 10, 40, slow, rangePath, all)
	f.calls(ctx, "streamed list, slow reader", 5, 40, slow, streamPath, all)
	f.calls(ctx, "sorted list, slow reader", 3, 10, slow, rangePath, sorted)
	f.calls(ctx, "snapshot, slow reader", 3, 10, slow, "/etcdserverpb.Maintenance/Snapshot", &pb.SnapshotRequest{})
	f.calls(ctx, "history watch, slow reader", 5, 40, slow, "/etcdserverpb.Watch/Watch", f.watchAll())
	jsonPage := f.part()
	jsonPage.Limit = 100
	f.json(ctx, "page as JSON", 4, 0, jsonPage)
	f.json(ctx, "whole list as JSON", 4, 0, all)
	f.json(ctx, "list as JSON, slow reader", 10, slow, f.part())
	f.halfMessages(ctx, 10, 10)
	return f
}

// awaitAnswered returns once each kind of request has been answered at least once.
func (f *flood) awaitAnswered(t *testing.T, kinds ...string) {
	t.Helper()
	for deadline := time.Now().Add(member.Patience); ; time.Sleep(50 * time.Millisecond) {
		missing := f.missing(kinds)
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("no %s was ever answered", missing)
			return
		}
	}
}

func (f *flood) missing(kinds []string) string {
	f.out.mutex.Lock()
	defer f.out.mutex.Unlock()
	for _, kind := range kinds {
		if f.out.ok[kind] == 0 {
			return kind
		}
	}
	return ""
}

func (f *flood) all() *pb.RangeRequest { return list(f.prefix) }

// part is a fortieth of it.
func (f *flood) part() *pb.RangeRequest { return list(f.prefix + "07/") }

func list(prefix string) *pb.RangeRequest {
	end := []byte(prefix)
	end[len(end)-1]++
	return &pb.RangeRequest{Key: []byte(prefix), RangeEnd: end}
}

func (f *flood) watchAll() *pb.WatchRequest {
	all := f.all()
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: all.Key, RangeEnd: all.RangeEnd, StartRevision: 1, PrevKv: true}}}
}

// calls keeps perConnection calls going on each of some connections.
func (f *flood) calls(ctx context.Context, kind string, connections, perConnection, bytesPerSecond int, path string, request proto.Message) {
	for range connections {
		client := newRawClient(f.address, bytesPerSecond)
		for range perConnection {
			f.group.Go(func() {
				for ctx.Err() == nil {
					_, err := client.call(ctx, path, request)
					f.out.note(ctx, kind, err)
					backOff(ctx, err)
				}
			})
		}
	}
}

// json lists through the gateway, each on a connection of its own.
func (f *flood) json(ctx context.Context, kind string, clients, bytesPerSecond int, what *pb.RangeRequest) {
	for range clients {
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, f.address, bytesPerSecond)
		}}}
		f.group.Go(func() {
			for ctx.Err() == nil {
				err := postJSON(ctx, client, f.address, jsonOf(what))
				f.out.note(ctx, kind, err)
				backOff(ctx, err)
			}
		})
	}
}

func jsonOf(what *pb.RangeRequest) string {
	return fmt.Sprintf(`{"key":"%s","range_end":"%s","limit":%d}`,
		base64Text(what.Key), base64Text(what.RangeEnd), what.Limit)
}

func postJSON(ctx context.Context, client *http.Client, address, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v3/kv/range", strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	case http.StatusTooManyRequests:
		text, _ := io.ReadAll(answer.Body)
		if strings.Contains(string(text), "etcdserver: too many requests") || strings.Contains(string(text), "--memory-limit-bytes") {
			return &grpcError{resourceExhausted, "etcdserver: too many requests"}
		}
		return fmt.Errorf("429 with the body %q", text)
	default:
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
}

// halfMessages sends puts of a megabyte that never end.
func (f *flood) halfMessages(ctx context.Context, connections, perConnection int) {
	for range connections {
		client := newRawClient(f.address, 0)
		for range perConnection {
			f.group.Go(func() {
				for ctx.Err() == nil {
					err := client.putWithoutEnd(ctx)
					f.out.note(ctx, "put that never ends", err)
					backOff(ctx, err)
				}
			})
		}
	}
}
