// Package archive keeps a copy of a cluster's log, as datastore/archive/FORMAT.md says, by code of its
// own, and holds `holdfast snapshot replay` to what the members said at each moment.
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawCodec passes encoded messages through.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

var _ encoding.Codec = rawCodec{}

type response struct {
	cluster, member uint64
	entries         [][]byte
}

func decode(message []byte) (response, error) {
	var r response
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return r, protowire.ParseError(n)
		}
		message = message[n:]
		switch kind {
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return r, protowire.ParseError(n)
			}
			message = message[n:]
			if number == 1 {
				r.cluster = value
			} else {
				r.member = value
			}
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return r, protowire.ParseError(n)
			}
			message = message[n:]
			r.entries = append(r.entries, append([]byte(nil), value...))
		default:
			return r, fmt.Errorf("field %d is of kind %d", number, kind)
		}
	}
	return r, nil
}

// position is an entry's index and term.
type position struct{ index, term uint64 }

func positionOf(entry []byte) (p position, err error) {
	for len(entry) > 0 {
		number, kind, n := protowire.ConsumeTag(entry)
		if n < 0 {
			return p, protowire.ParseError(n)
		}
		entry = entry[n:]
		if kind != protowire.VarintType {
			if n = protowire.ConsumeFieldValue(number, kind, entry); n < 0 {
				return p, protowire.ParseError(n)
			}
			entry = entry[n:]
			continue
		}
		value, n := protowire.ConsumeVarint(entry)
		if n < 0 {
			return p, protowire.ParseError(n)
		}
		entry = entry[n:]
		switch number {
		case 2:
			p.term = value
		case 3:
			p.index = value
		}
	}
	return p, nil
}

// follow opens a stream of the entries after `after` and gives each response to `take`.
func follow(ctx context.Context, conn *grpc.ClientConn, after uint64, take func(response) error) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/holdfast.v1.Archive/Follow", grpc.ForceCodec(rawCodec{}))
	if err != nil {
		return err
	}
	request := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), after)
	if err := stream.SendMsg(&request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		r, err := decode(message)
		if err != nil {
			return err
		}
		if err := take(r); err != nil {
			return err
		}
	}
}

// keeper writes segments of at most `limit` entries into a folder, in the format's first version, which says
// nothing of what is held before them.
type keeper struct {
	dir   string
	limit int

	mu      sync.Mutex
	changed *sync.Cond
	cluster uint64
	end     position
	joint   position
	first   uint64
	count   int
	batches []byte
}

func newKeeper(dir string, after position, limit int) *keeper {
	k := &keeper{dir: dir, limit: limit, end: after, joint: after}
	k.changed = sync.NewCond(&k.mu)
	return k
}

func (k *keeper) take(r response) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cluster = r.cluster
	if len(r.entries) == 0 {
		return nil
	}
	k.batches = binary.LittleEndian.AppendUint64(k.batches, uint64(time.Now().UnixMilli()))
	k.batches = binary.LittleEndian.AppendUint32(k.batches, uint32(len(r.entries)))
	for _, entry := range r.entries {
		p, err := positionOf(entry)
		if err != nil {
			return err
		}
		if p.index != k.end.index+1 || p.term < k.end.term {
			return fmt.Errorf("entry %v came after %v", p, k.end)
		}
		k.end = p
		if k.first == 0 {
			k.first = p.index
		}
		k.count++
		k.batches = binary.LittleEndian.AppendUint32(k.batches, uint32(len(entry)))
		k.batches = append(k.batches, entry...)
	}
	k.changed.Broadcast()
	if k.count < k.limit {
		return nil
	}
	return k.store()
}

// store writes the segment; k.mu is held.
func (k *keeper) store() error {
	if k.count == 0 {
		return nil
	}
	segment := append([]byte("HOLDARCH"), 1, 0, 0, 0, 0, 0, 0, 0)
	segment = binary.LittleEndian.AppendUint64(segment, k.cluster)
	segment = binary.LittleEndian.AppendUint64(segment, k.joint.index)
	segment = binary.LittleEndian.AppendUint64(segment, k.joint.term)
	segment = append(segment, k.batches...)
	sum := sha256.Sum256(segment)
	name := filepath.Join(k.dir, fmt.Sprintf("%016x-%016x.entries", k.first, k.end.index))
	k.joint, k.first, k.count, k.batches = k.end, 0, 0, nil
	return os.WriteFile(name, append(segment, sum[:]...), 0o600)
}

// flush stores what there is, and says how far the archive reaches: whoever calls it knows that nothing
// more was written by now.
func (k *keeper) flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.store(); err != nil {
		return err
	}
	until := fmt.Sprintf("%s revision 0 entry %d\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), k.end.index)
	return os.WriteFile(filepath.Join(k.dir, "archived-until"), []byte(until), 0o600)
}

// await returns once the entry of that index is held.
func (k *keeper) await(index uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.end.index < index {
		k.changed.Wait()
	}
}

func (k *keeper) after() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.end.index
}

// run follows one of the members at a time until `ctx` ends: the next one when a stream breaks.
func (k *keeper) run(ctx context.Context, members []*grpc.ClientConn) {
	for turn := 0; ctx.Err() == nil; turn++ {
		_ = follow(ctx, members[turn%len(members)], k.after(), k.take)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}
