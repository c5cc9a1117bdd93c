package kill

import (
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

func event(key, value string, revision, version, created int64) *mvccpb.Event {
	return &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision, Version: version, CreateRevision: created}}
}

func deletion(key string, revision int64) *mvccpb.Event {
	return &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: revision}}
}

// TestLedgerSeesPlantedFaults proves that the checks see what they are there for.
func TestLedgerSeesPlantedFaults(t *testing.T) {
	acknowledged := func(value string, revision int64, keys ...string) *operation {
		return &operation{kind: write, keys: keys, value: value, known: true, applied: true, revision: revision}
	}
	unknown := func(value string, keys ...string) *operation {
		return &operation{kind: write, keys: keys, value: value}
	}
	for name, test := range map[string]struct {
		operations []*operation
		events     []*mvccpb.Event
		want       string // part of the error; "" for none
	}{
		"all there":            {[]*operation{acknowledged("v1", 2, "a"), unknown("v2", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2), event("a", "v2", 3, 2, 2)}, ""},
		"unknown and not done": {[]*operation{acknowledged("v1", 2, "a"), unknown("v2", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2)}, ""},
		"acknowledged, lost":   {[]*operation{acknowledged("v1", 2, "a")}, nil, "is lost"},
		"applied twice":        {[]*operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2), event("a", "v1", 3, 2, 2)}, "left 2 events"},
		"moved":                {[]*operation{acknowledged("v1", 3, "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2)}, "acknowledged at revision 3"},
		"half a transaction":   {[]*operation{unknown("v1", "a", "b")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2)}, "left 1 events"},
		"a hole":               {[]*operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 3, 1, 3)}, "revision 3 follows 1"},
		"nobody's value":       {nil, []*mvccpb.Event{event("a", "v9", 2, 1, 2)}, "no operation"},
		"a wrong version":      {[]*operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 2, 2, 2)}, "has version 2"},
		"nobody's delete":      {[]*operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2), deletion("a", 3)}, "without a marker"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			for _, o := range test.operations {
				l.byValue[o.value] = o
			}
			err := l.replay(test.events)
			if err == nil {
				err = l.settle()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Fatalf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestStaleReadIsNotLinearizable(t *testing.T) {
	first := &operation{kind: write, keys: []string{"a"}, value: "v1", revision: 2, applied: true, known: true, call: 0, done: 10}
	second := &operation{kind: write, keys: []string{"a"}, value: "v2", revision: 3, applied: true, known: true, call: 20, done: 30}
	fresh := &operation{kind: read, keys: []string{"a"}, value: "v2", revision: 3, known: true, call: 40, done: 50}
	stale := &operation{kind: read, keys: []string{"a"}, value: "v1", revision: 2, known: true, call: 40, done: 50}
	if key := linearizable(nil, []*operation{first, second, fresh}); key != "" {
		t.Fatalf("a good history of %s is refused", key)
	}
	if key := linearizable(nil, []*operation{first, second, stale}); key != "a" {
		t.Fatal("a stale read is accepted")
	}
	if key := linearizable(map[string]register{"a": {"v0", 1}}, []*operation{{kind: read, keys: []string{"a"}, known: true, call: 1, done: 2}}); key != "a" {
		t.Fatal("a read that misses the state before is accepted")
	}
}
