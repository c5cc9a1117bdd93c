// Package history holds a server to its promises under faults: what was acknowledged is there,
// nothing is there twice, revisions never go back, and what readers saw can be put into one order.
//
// The way: every write carries a value of its own. The server's own history, read through a watch,
// says afterwards which writes of unknown outcome took effect; so the history of calls is complete
// before it is checked. A Ledger replays the events, Linearizable finds the order.
package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Kind is what an operation does.
type Kind int

const (
	Read    Kind = iota
	Write        // put to a key, or to two in one transaction
	Guarded      // put if the key's mod revision is as expected
	Remove       // delete; a marker put in the same transaction carries the operation's value
)

// Operation is one call on keys that are registers.
type Operation struct {
	Client     int
	Kind       Kind
	Keys       []string
	Value      string // unique, what is written; for a read, what was read
	Expected   int64  // guarded: mod revision that the key must have
	Call, Done int64  // nanoseconds since the start

	Known    bool  // the server answered
	Applied  bool  // it took effect
	Revision int64 // of the write; for a read, the key's mod revision
	seen     int   // events of it found in the server's history
}

// events is how many events the operation leaves in history if it is applied: one for each key put,
// or the marker.
func (o *Operation) events() int {
	if o.Kind == Remove {
		return 1
	}
	return len(o.Keys)
}

// Register is the state of one key: what was last written, 0 and "" if it does not exist.
type Register struct {
	Value    string
	Revision int64
}

// modelState is a register and the revision of its last change, which for a deleted key is not the
// register's own. That writes take effect in the order of their revisions is part of the promise,
// and keeps the search short.
type modelState struct {
	Register
	changed int64
}

// registerModel is a key under linearizable reads, writes, guarded writes and deletes.
var registerModel = porcupine.Model{
	Init: func() any { return modelState{} },
	Step: func(state, input, _ any) (bool, any) {
		current, o := state.(modelState), input.(*Operation)
		if o.Kind == Read {
			return o.Value == current.Value && o.Revision == current.Revision, current
		}
		if o.Kind == Guarded && o.Applied != (current.Revision == o.Expected) {
			return false, current
		}
		if !o.Applied {
			return true, current
		}
		if o.Revision <= current.changed {
			return false, current
		}
		if o.Kind == Remove {
			return true, modelState{changed: o.Revision}
		}
		return true, modelState{Register{o.Value, o.Revision}, o.Revision}
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(*Operation)
		return fmt.Sprintf("%d(%q) %v @%d", o.Kind, o.Value, o.Applied, o.Revision)
	},
}

// checkTimeout bounds the search for an order; not finding one in time is a failure too.
const checkTimeout = 60 * time.Second

// Linearizable checks a stretch of operations key by key: those of unknown outcome that took effect
// must be marked Applied. before is the keys' state at its beginning. It returns the key whose
// history has no order, or "".
func Linearizable(before map[string]Register, operations []*Operation) string {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range operations {
		if !o.Known && !o.Applied {
			continue // it never happened
		}
		for _, key := range o.Keys {
			byKey[key] = append(byKey[key], porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Done})
		}
	}
	for key, history := range byKey {
		if state, exists := before[key]; exists {
			first := &Operation{Kind: Write, Keys: []string{key}, Value: state.Value, Revision: state.Revision, Applied: true}
			history = append([]porcupine.Operation{{Input: first, Call: -2, Return: -1}}, history...)
		}
		if porcupine.CheckOperationsTimeout(registerModel, history, checkTimeout) != porcupine.Ok {
			return key
		}
	}
	return ""
}

// Ledger knows every operation that may appear in the server's history, and replays it.
type Ledger struct {
	ByValue  map[string]*Operation // writes since the last check, by value
	Leases   map[int64]*Lease
	State    map[string]*mvccpb.KeyValue // what the history amounts to
	Revision int64                       // up to which history is checked
}

// Lease is one lease of the run: granted, perhaps with a key, perhaps revoked.
type Lease struct {
	ID                       int64
	Granted, KeyPut, Revoked bool // acknowledged
	MayBeGone                bool // a revocation was sent
}

// LeaseKey returns the key that a lease holds.
func LeaseKey(id int64) string { return fmt.Sprintf("lease/%d", id) }

// NewLedger returns the ledger of an empty store.
func NewLedger() *Ledger {
	return &Ledger{ByValue: map[string]*Operation{}, Leases: map[int64]*Lease{}, State: map[string]*mvccpb.KeyValue{}, Revision: 1}
}

// Replay takes the events of history after the checked revision, in order, and checks each: the
// revisions follow one another, and each event belongs to an operation that was sent, once.
func (l *Ledger) Replay(events []*mvccpb.Event) error {
	for begin := 0; begin < len(events); {
		end := begin + 1
		for end < len(events) && events[end].Kv.ModRevision == events[begin].Kv.ModRevision {
			end++
		}
		if revision := events[begin].Kv.ModRevision; revision != l.Revision+1 {
			return fmt.Errorf("revision %d follows %d", revision, l.Revision)
		}
		l.Revision++
		if err := l.replayRevision(events[begin:end]); err != nil {
			return fmt.Errorf("at revision %d: %w", l.Revision, err)
		}
		begin = end
	}
	return nil
}

// replayRevision checks the events of one revision, which are one operation's.
func (l *Ledger) replayRevision(events []*mvccpb.Event) error {
	var owner *Operation
	for _, e := range events {
		key := string(e.Kv.Key)
		if e.Type == mvccpb.Event_PUT {
			if err := l.checkPut(e.Kv); err != nil {
				return err
			}
			l.State[key] = e.Kv
			if strings.HasPrefix(key, "lease/") {
				continue
			}
			o := l.ByValue[string(e.Kv.Value)]
			if o == nil {
				return fmt.Errorf("%s = %q, which no operation of this stretch wrote", key, e.Kv.Value)
			}
			if owner != nil && owner != o {
				return fmt.Errorf("%q and %q were written by two operations", owner.Value, o.Value)
			}
			owner = o
			o.seen++
			o.Applied = true
			if o.Known && o.Revision != e.Kv.ModRevision {
				return fmt.Errorf("%q was acknowledged at revision %d", o.Value, o.Revision)
			}
			o.Revision = e.Kv.ModRevision
		} else {
			if l.State[key] == nil {
				return fmt.Errorf("%s is deleted but does not exist", key)
			}
			delete(l.State, key)
		}
	}
	return l.checkDeletes(events, owner)
}

// checkPut holds a put to the versions and revisions that follow from the key's state.
func (l *Ledger) checkPut(kv *mvccpb.KeyValue) error {
	version, created := int64(1), kv.ModRevision
	if previous := l.State[string(kv.Key)]; previous != nil && previous.ModRevision < kv.ModRevision {
		version, created = previous.Version+1, previous.CreateRevision
	}
	if kv.Version != version || kv.CreateRevision != created {
		return fmt.Errorf("%s has version %d, created at %d, want %d, %d", kv.Key, kv.Version, kv.CreateRevision, version, created)
	}
	return nil
}

// checkDeletes holds each delete to a reason: a marker in its revision, or a lease's revocation.
func (l *Ledger) checkDeletes(events []*mvccpb.Event, owner *Operation) error {
	for _, e := range events {
		if e.Type != mvccpb.Event_DELETE {
			continue
		}
		key := string(e.Kv.Key)
		var id int64
		if _, err := fmt.Sscanf(key, "lease/%d", &id); err == nil {
			if held := l.Leases[id]; held == nil || !held.MayBeGone {
				return fmt.Errorf("%s is deleted, but nobody revoked its lease", key)
			}
			continue
		}
		if owner == nil || owner.Kind != Remove || owner.Keys[0] != key {
			return fmt.Errorf("%s is deleted without a marker", key)
		}
	}
	return nil
}

// Settle checks, when history has been replayed, that everything acknowledged was in it, whole and
// once, and forgets the stretch's operations.
func (l *Ledger) Settle() error {
	for _, o := range l.ByValue {
		switch {
		case o.Known && o.Applied && o.seen == 0:
			return fmt.Errorf("%q was acknowledged at revision %d and is lost", o.Value, o.Revision)
		case o.Applied && o.seen != o.events():
			return fmt.Errorf("%q at revision %d left %d events, want %d", o.Value, o.Revision, o.seen, o.events())
		case o.Known && !o.Applied && o.seen != 0:
			return fmt.Errorf("%q was refused and is there", o.Value)
		}
	}
	l.ByValue = map[string]*Operation{}
	return nil
}

// Registers returns the state of the register keys.
func (l *Ledger) Registers() map[string]Register {
	state := map[string]Register{}
	for key, kv := range l.State {
		state[key] = Register{string(kv.Value), kv.ModRevision}
	}
	return state
}

// CheckState compares a server's keys with what its history amounts to.
func (l *Ledger) CheckState(kvs []*mvccpb.KeyValue) error {
	if len(kvs) != len(l.State) {
		return fmt.Errorf("%d keys, history makes %d", len(kvs), len(l.State))
	}
	for _, kv := range kvs {
		want := l.State[string(kv.Key)]
		if want == nil || string(want.Value) != string(kv.Value) || want.ModRevision != kv.ModRevision ||
			want.CreateRevision != kv.CreateRevision || want.Version != kv.Version || want.Lease != kv.Lease {
			return fmt.Errorf("the store has %v, history makes %v", kv, want)
		}
	}
	return nil
}
