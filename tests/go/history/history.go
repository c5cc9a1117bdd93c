// Package history holds a server to its promises under faults: what was acknowledged is there,
// nothing is there twice, revisions never go back, and what readers saw can be put into one order.
//
// The way: every write carries a value of its own. The server's own history, read through a watch,
// says afterwards which writes of unknown outcome took effect; so the history of calls is complete
// before it is checked. A Ledger replays the events, Linearizable finds the order.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
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
	At       int64 // the store's revision that the answer tells
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

// step is an operation's part on one key, with its place in the order that the revisions tell: there
// is only one, so what is left to find out is if it agrees with when calls began and ended, and with
// what they saw. (To search for any order at all takes too long once an outage has made hundreds of
// calls overlap, and would promise less.)
type step struct {
	*Operation
	place int
}

// changes tells if the operation changed its keys.
func (o *Operation) changes() bool { return o.Kind != Read && o.Applied }

// modelState is a register and how many operations it has seen.
type modelState struct {
	Register
	steps int
}

// registerModel is a key under linearizable reads, writes, guarded writes and deletes.
var registerModel = porcupine.Model{
	Init: func() any { return modelState{} },
	Step: func(state, input, _ any) (bool, any) {
		current, o := state.(modelState), input.(step)
		if o.place != current.steps {
			return false, current
		}
		next := modelState{current.Register, current.steps + 1}
		switch {
		case o.Kind == Read:
			return o.Value == current.Value && o.Revision == current.Revision, next
		case o.Kind == Guarded && o.Applied != (current.Revision == o.Expected):
			return false, current
		case o.Kind == Remove && o.Applied:
			next.Register = Register{}
		case o.Applied:
			next.Register = Register{o.Value, o.Revision}
		}
		return true, next
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(step)
		return fmt.Sprintf("%d(%q) %v @%d", o.Kind, o.Value, o.Applied, o.Revision)
	},
}

// checkTimeout bounds the search for an order; not finding one in time is a failure too.
const checkTimeout = 60 * time.Second

// Close gives the operations without an answer the time by which they had taken effect, if they did:
// before a write with a higher revision was acknowledged, and by ended in any case. Called when the
// ledger has marked those that took effect.
func Close(operations []*Operation, ended int64) {
	var answered []*Operation
	for _, o := range operations {
		if o.Known && o.changes() {
			answered = append(answered, o)
		}
	}
	slices.SortFunc(answered, func(a, b *Operation) int { return cmp.Compare(a.Revision, b.Revision) })
	// earliest[i] is when the first of answered[i:] was acknowledged.
	earliest := make([]int64, len(answered)+1)
	earliest[len(answered)] = ended
	for i := len(answered) - 1; i >= 0; i-- {
		earliest[i] = min(earliest[i+1], answered[i].Done)
	}
	for _, o := range operations {
		if !o.Known {
			o.At = o.Revision
			after := sort.Search(len(answered), func(i int) bool { return answered[i].Revision > o.Revision })
			o.Done = max(o.Call, earliest[after])
		}
	}
}

// Disorder says that a key's history has no order, or that none was found in time.
type Disorder struct {
	Key      string
	TimedOut bool
}

func (d *Disorder) Error() string {
	if d.TimedOut {
		return fmt.Sprintf("no order was found for the history of %s within %v", d.Key, checkTimeout)
	}
	return fmt.Sprintf("the history of %s is not linearizable", d.Key)
}

// Linearizable checks a stretch of operations key by key, after Close. before is the keys' state at
// its beginning. An error is a *Disorder.
func Linearizable(before map[string]Register, operations []*Operation) error {
	byKey := map[string][]*Operation{}
	for _, o := range operations {
		if !o.Known && !o.Applied {
			continue // it never happened
		}
		for _, key := range o.Keys {
			byKey[key] = append(byKey[key], o)
		}
	}
	for key, history := range byKey {
		if state, exists := before[key]; exists {
			history = append(history, &Operation{
				Kind: Write, Keys: []string{key}, Value: state.Value, Revision: state.Revision, At: state.Revision, Applied: true, Call: -2, Done: -1,
			})
		}
		result := porcupine.CheckOperationsTimeout(registerModel, inOrder(history), checkTimeout)
		if result != porcupine.Ok {
			return &Disorder{key, result == porcupine.Unknown}
		}
	}
	return nil
}

// inOrder places a key's operations: by the store's revision, a change before what saw it, and those
// that only looked at the same revision by when they began.
func inOrder(history []*Operation) []porcupine.Operation {
	slices.SortStableFunc(history, func(a, b *Operation) int {
		if a.At != b.At {
			return cmp.Compare(a.At, b.At)
		}
		if a.changes() != b.changes() {
			if a.changes() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Call, b.Call)
	})
	placed := make([]porcupine.Operation, len(history))
	for i, o := range history {
		placed[i] = porcupine.Operation{ClientId: o.Client, Input: step{o, i}, Call: o.Call, Return: o.Done}
	}
	return placed
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
