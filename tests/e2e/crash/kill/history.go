// Package kill kills a member again and again while clients write, and holds it to its promises:
// what was acknowledged is there, nothing is there twice, revisions never go back, and what readers
// saw can be put into one order.
//
// The way: every write carries a value of its own. After each restart the member's own history, read
// through a watch from the last checked revision, says which writes of unknown outcome took effect.
// So every kill closes a complete history, which is checked at once and need not be remembered.
package kill

import (
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

type kind int

const (
	read    kind = iota
	write        // put to a key, or to two in one transaction
	guarded      // put if the key's mod revision is as expected
	remove       // delete; a marker put in the same transaction carries the operation's value
)

// operation is one call on keys of the register kind.
type operation struct {
	client     int
	kind       kind
	keys       []string
	value      string // unique, what is written; for a read, what was read
	expected   int64  // guarded: mod revision that the key must have
	call, done int64  // nanoseconds since the start

	known    bool  // the server answered
	applied  bool  // it took effect
	revision int64 // of the write; for a read, the key's mod revision
	seen     int   // events of it found in the member's history
}

// events is how many events the operation leaves in history if it is applied: one for each key put,
// or the marker.
func (o *operation) events() int {
	if o.kind == remove {
		return 1
	}
	return len(o.keys)
}

// register is the state of one key: what was last written, 0 and "" if it does not exist.
type register struct {
	value    string
	revision int64
}

// registerModel is a key under linearizable reads, writes, guarded writes and deletes.
var registerModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		current, o := state.(register), input.(*operation)
		switch o.kind {
		case read:
			return o.value == current.value && o.revision == current.revision, current
		case guarded:
			if o.applied != (current.revision == o.expected) {
				return false, current
			}
			if !o.applied {
				return true, current
			}
		case remove:
			return true, register{}
		}
		return true, register{o.value, o.revision}
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(*operation)
		return fmt.Sprintf("%d(%q) %v @%d", o.kind, o.value, o.applied, o.revision)
	},
}

// checkTimeout bounds the search for an order; not finding one in time is a failure too.
const checkTimeout = 60 * time.Second

// linearizable checks the operations of one stretch between two kills, key by key. before is the
// keys' state at its beginning. It returns the key whose history has no order, or "".
func linearizable(before map[string]register, operations []*operation) string {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range operations {
		if !o.known && !o.applied {
			continue // it never happened
		}
		for _, key := range o.keys {
			byKey[key] = append(byKey[key], porcupine.Operation{ClientId: o.client, Input: o, Call: o.call, Return: o.done})
		}
	}
	for key, history := range byKey {
		if state, exists := before[key]; exists {
			first := &operation{kind: write, keys: []string{key}, value: state.value, revision: state.revision, applied: true}
			history = append([]porcupine.Operation{{ClientId: clients, Input: first, Call: -2, Return: -1}}, history...)
		}
		if porcupine.CheckOperationsTimeout(registerModel, history, checkTimeout) != porcupine.Ok {
			return key
		}
	}
	return ""
}

// ledger knows every operation that may appear in the member's history, and replays it.
type ledger struct {
	byValue  map[string]*operation // writes since the last check, by value
	leases   map[int64]*lease
	state    map[string]*mvccpb.KeyValue // what the history amounts to
	revision int64                       // up to which history is checked
}

// lease is one lease of the run: granted, perhaps with a key, perhaps revoked.
type lease struct {
	id                       int64
	granted, keyPut, revoked bool // acknowledged
	mayBeGone                bool // a revocation was sent
}

func leaseKey(id int64) string { return fmt.Sprintf("lease/%d", id) }

func newLedger() *ledger {
	return &ledger{byValue: map[string]*operation{}, leases: map[int64]*lease{}, state: map[string]*mvccpb.KeyValue{}, revision: 1}
}

// replay takes the events of history after the checked revision, in order, and checks each: the
// revisions follow one another, and each event belongs to an operation that was sent, once.
func (l *ledger) replay(events []*mvccpb.Event) error {
	for begin := 0; begin < len(events); {
		end := begin + 1
		for end < len(events) && events[end].Kv.ModRevision == events[begin].Kv.ModRevision {
			end++
		}
		if revision := events[begin].Kv.ModRevision; revision != l.revision+1 {
			return fmt.Errorf("revision %d follows %d", revision, l.revision)
		}
		l.revision++
		if err := l.replayRevision(events[begin:end]); err != nil {
			return fmt.Errorf("at revision %d: %w", l.revision, err)
		}
		begin = end
	}
	return nil
}

// replayRevision checks the events of one revision, which are one operation's.
func (l *ledger) replayRevision(events []*mvccpb.Event) error {
	var owner *operation
	for _, e := range events {
		key := string(e.Kv.Key)
		if e.Type == mvccpb.Event_PUT {
			if err := l.checkPut(e.Kv); err != nil {
				return err
			}
			l.state[key] = e.Kv
			if strings.HasPrefix(key, "lease/") {
				continue
			}
			o := l.byValue[string(e.Kv.Value)]
			if o == nil {
				return fmt.Errorf("%s = %q, which no operation of this stretch wrote", key, e.Kv.Value)
			}
			if owner != nil && owner != o {
				return fmt.Errorf("%q and %q were written by two operations", owner.value, o.value)
			}
			owner = o
			o.seen++
			o.applied = true
			if o.known && o.revision != e.Kv.ModRevision {
				return fmt.Errorf("%q was acknowledged at revision %d", o.value, o.revision)
			}
			o.revision = e.Kv.ModRevision
		} else {
			if l.state[key] == nil {
				return fmt.Errorf("%s is deleted but does not exist", key)
			}
			delete(l.state, key)
		}
	}
	return l.checkDeletes(events, owner)
}

// checkPut holds a put to the versions and revisions that follow from the key's state.
func (l *ledger) checkPut(kv *mvccpb.KeyValue) error {
	version, created := int64(1), kv.ModRevision
	if previous := l.state[string(kv.Key)]; previous != nil && previous.ModRevision < kv.ModRevision {
		version, created = previous.Version+1, previous.CreateRevision
	}
	if kv.Version != version || kv.CreateRevision != created {
		return fmt.Errorf("%s has version %d, created at %d, want %d, %d", kv.Key, kv.Version, kv.CreateRevision, version, created)
	}
	return nil
}

// checkDeletes holds each delete to a reason: a marker in its revision, or a lease's revocation.
func (l *ledger) checkDeletes(events []*mvccpb.Event, owner *operation) error {
	for _, e := range events {
		if e.Type != mvccpb.Event_DELETE {
			continue
		}
		key := string(e.Kv.Key)
		var id int64
		if _, err := fmt.Sscanf(key, "lease/%d", &id); err == nil {
			if held := l.leases[id]; held == nil || !held.mayBeGone {
				return fmt.Errorf("%s is deleted, but nobody revoked its lease", key)
			}
			continue
		}
		if owner == nil || owner.kind != remove || owner.keys[0] != key {
			return fmt.Errorf("%s is deleted without a marker", key)
		}
	}
	return nil
}

// settle checks, when history has been replayed, that everything acknowledged was in it, whole and
// once, and forgets the stretch's operations.
func (l *ledger) settle() error {
	for _, o := range l.byValue {
		switch {
		case o.known && o.applied && o.seen == 0:
			return fmt.Errorf("%q was acknowledged at revision %d and is lost", o.value, o.revision)
		case o.applied && o.seen != o.events():
			return fmt.Errorf("%q at revision %d left %d events, want %d", o.value, o.revision, o.seen, o.events())
		case o.known && !o.applied && o.seen != 0:
			return fmt.Errorf("%q was refused and is there", o.value)
		}
	}
	l.byValue = map[string]*operation{}
	return nil
}

// registers returns the state of the register keys.
func (l *ledger) registers() map[string]register {
	state := map[string]register{}
	for key, kv := range l.state {
		state[key] = register{string(kv.Value), kv.ModRevision}
	}
	return state
}
