package history

import (
	"fmt"
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
	first := &Operation{Kind: Write, Keys: []string{"a"}, Value: "v1", Revision: 2, At: 2, Applied: true, Known: true, Call: 0, Done: 10}
	second := &Operation{Kind: Write, Keys: []string{"a"}, Value: "v2", Revision: 3, At: 3, Applied: true, Known: true, Call: 20, Done: 30}
	fresh := &Operation{Kind: Read, Keys: []string{"a"}, Value: "v2", Revision: 3, At: 3, Known: true, Call: 40, Done: 50}
	stale := &Operation{Kind: Read, Keys: []string{"a"}, Value: "v1", Revision: 2, At: 2, Known: true, Call: 40, Done: 50}
	wrong := &Operation{Kind: Read, Keys: []string{"a"}, Value: "v1", Revision: 2, At: 3, Known: true, Call: 40, Done: 50}
	if err := Linearizable(nil, []*Operation{first, second, fresh}); err != nil {
		t.Fatalf("a good history is refused: %v", err)
	}
	if err := Linearizable(nil, []*Operation{first, second, stale}); err == nil {
		t.Fatal("a stale read is accepted")
	}
	if err := Linearizable(nil, []*Operation{first, second, wrong}); err == nil {
		t.Fatal("a read that tells a newer revision than it shows is accepted")
	}
	if err := Linearizable(map[string]Register{"a": {"v0", 2}}, []*Operation{{Kind: Read, Keys: []string{"a"}, At: 2, Known: true, Call: 1, Done: 2}}); err == nil {
		t.Fatal("a read that misses the state before is accepted")
	}
}

func TestGuardsAndDeletesAreHeldToTheirState(t *testing.T) {
	write := &Operation{Kind: Write, Keys: []string{"a"}, Value: "v1", Revision: 2, At: 2, Applied: true, Known: true, Call: 0, Done: 10}
	remove := &Operation{Kind: Remove, Keys: []string{"a"}, Value: "m", Revision: 3, At: 3, Applied: true, Known: true, Call: 0, Done: 90}
	for name, test := range map[string]struct {
		last Operation
		good bool
	}{
		"a read before the delete":        {Operation{Kind: Read, Value: "v1", Revision: 2, At: 2}, true},
		"a read after it":                 {Operation{Kind: Read, At: 3}, true},
		"a read of what is deleted":       {Operation{Kind: Read, Value: "v1", Revision: 2, At: 3}, false},
		"a guard that holds":              {Operation{Kind: Guarded, Value: "g", Expected: 0, Revision: 4, At: 4, Applied: true}, true},
		"a guard that held too late":      {Operation{Kind: Guarded, Value: "g", Expected: 2, Revision: 4, At: 4, Applied: true}, false},
		"a guard that refused":            {Operation{Kind: Guarded, Expected: 2, Revision: 3, At: 3}, true},
		"a guard that refused for nought": {Operation{Kind: Guarded, Expected: 2, Revision: 2, At: 2}, false},
	} {
		test.last.Keys, test.last.Known, test.last.Call, test.last.Done = []string{"a"}, true, 20, 80
		if err := Linearizable(nil, []*Operation{write, remove, &test.last}); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOutagesDoNotHideTheOrder has hundreds of calls wait for the end of an outage together, some of
// whose answers are lost.
func TestOutagesDoNotHideTheOrder(t *testing.T) {
	var operations []*Operation
	for i := range 4000 {
		o := &Operation{Kind: Write, Keys: []string{"a"}, Value: fmt.Sprint(i), Applied: true, Revision: int64(2 + i), At: int64(2 + i)}
		o.Call, o.Done, o.Known = int64(10*i), int64(10*i+5), i%4 != 0
		if i%1000 < 300 { // an outage ends at the three hundredth
			o.Call, o.Done = int64(10*(i-i%1000+(i*7)%300)), int64(10*(i-i%1000)+3000+i%300)
		}
		if i%3 == 0 {
			read := *o
			read.Kind, read.Known = Read, true
			operations = append(operations, &read)
		}
		operations = append(operations, o)
	}
	Close(operations, 1_000_000)
	if err := Linearizable(nil, operations); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations[2000:] {
		if o.Kind == Read && o.Call%10_000 > 5000 { // as from a member that is two writes late
			o.Revision -= 2
			o.At, o.Value = o.Revision, fmt.Sprint(o.Revision-2)
			break
		}
	}
	if err := Linearizable(nil, operations); err == nil {
		t.Fatal("a stale read is accepted")
	}
}
