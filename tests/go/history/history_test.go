package history

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
	acknowledged := func(value string, revision int64, keys ...string) *Operation {
		return &Operation{Kind: Write, Keys: keys, Value: value, Known: true, Applied: true, Revision: revision}
	}
	unknown := func(value string, keys ...string) *Operation {
		return &Operation{Kind: Write, Keys: keys, Value: value}
	}
	for name, test := range map[string]struct {
		operations []*Operation
		events     []*mvccpb.Event
		want       string // part of the error; "" for none
	}{
		"all there":            {[]*Operation{acknowledged("v1", 2, "a"), unknown("v2", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2), event("a", "v2", 3, 2, 2)}, ""},
		"unknown and not done": {[]*Operation{acknowledged("v1", 2, "a"), unknown("v2", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2)}, ""},
		"acknowledged, lost":   {[]*Operation{acknowledged("v1", 2, "a")}, nil, "is lost"},
		"applied twice":        {[]*Operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2), event("a", "v1", 3, 2, 2)}, "left 2 events"},
		"moved":                {[]*Operation{acknowledged("v1", 3, "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2)}, "acknowledged at revision 3"},
		"half a transaction":   {[]*Operation{unknown("v1", "a", "b")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2)}, "left 1 events"},
		"a hole":               {[]*Operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 3, 1, 3)}, "revision 3 follows 1"},
		"nobody's value":       {nil, []*mvccpb.Event{event("a", "v9", 2, 1, 2)}, "no operation"},
		"a wrong version":      {[]*Operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 2, 2, 2)}, "has version 2"},
		"nobody's delete":      {[]*Operation{unknown("v1", "a")}, []*mvccpb.Event{event("a", "v1", 2, 1, 2), deletion("a", 3)}, "without a marker"},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLedger()
			for _, o := range test.operations {
				l.ByValue[o.Value] = o
			}
			err := l.Replay(test.events)
			if err == nil {
				err = l.Settle()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Fatalf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestStaleReadIsNotLinearizable(t *testing.T) {
	first := &Operation{Kind: Write, Keys: []string{"a"}, Value: "v1", Revision: 2, Applied: true, Known: true, Call: 0, Done: 10}
	second := &Operation{Kind: Write, Keys: []string{"a"}, Value: "v2", Revision: 3, Applied: true, Known: true, Call: 20, Done: 30}
	fresh := &Operation{Kind: Read, Keys: []string{"a"}, Value: "v2", Revision: 3, Known: true, Call: 40, Done: 50}
	stale := &Operation{Kind: Read, Keys: []string{"a"}, Value: "v1", Revision: 2, Known: true, Call: 40, Done: 50}
	if key := Linearizable(nil, []*Operation{first, second, fresh}); key != "" {
		t.Fatalf("a good history of %s is refused", key)
	}
	if key := Linearizable(nil, []*Operation{first, second, stale}); key != "a" {
		t.Fatal("a stale read is accepted")
	}
	if key := Linearizable(map[string]Register{"a": {"v0", 1}}, []*Operation{{Kind: Read, Keys: []string{"a"}, Known: true, Call: 1, Done: 2}}); key != "a" {
		t.Fatal("a read that misses the state before is accepted")
	}
}
