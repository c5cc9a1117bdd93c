// Package conformance compares a server under test with a real etcd 3.7.1: the same operations to
// both, every answer equal. README.md tells how to run it and read its output.
package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const (
	// callTimeout bounds every call; a server that needs longer is wrong or dead.
	callTimeout = 30 * time.Second
	// maxRequestBytes is given to both servers. It is far below the default, so that requests that
	// are too large, and watch responses that must be fragmented, are cheap to make.
	maxRequestBytes = 64 << 10
	// maxFragmentBytes is where a watch response is cut, if the client accepts fragments.
	maxFragmentBytes = maxRequestBytes + 512<<10
	// selfID stands for "the answering member's own ID" in requests and normalised answers: the two
	// members cannot have the same ID, because it is derived from their peer URLs.
	selfID = 0x5e1f5e1f
	// autoLeaseID stands for the last lease whose ID the server chose.
	autoLeaseID = -0x10a5e
)

// side is one of the two servers.
type side struct {
	name      string
	isEtcd    bool // the binary is etcd itself: its known races are excused
	process   *member.Member
	conn      *grpc.ClientConn
	memberID  uint64
	autoLease int64
	keepAlive pb.Lease_LeaseKeepAliveClient
	streams   []*watchStream
}

// memberFlags are the flags both servers run with.
var memberFlags = []string{
	"--unsafe-no-fsync",
	fmt.Sprintf("--max-request-bytes=%d", maxRequestBytes),
	// The shortest lease a server grants is one and a half election timeouts. With 8 s no lease
	// ends between its grant and the revocation a few operations later.
	"--heartbeat-interval=100", "--election-timeout=5000",
	"--watch-progress-notify-interval=200ms",
	"--log-level=warn",
}

func startSide(name, binary, dir string) (*side, error) {
	process, err := member.Start(member.Options{Binary: binary, Dir: dir, Name: "conformance", Flags: memberFlags})
	if err != nil {
		return nil, err
	}
	s := &side{name: name, process: process}
	version, _ := exec.Command(binary, "--version").CombinedOutput()
	s.isEtcd = strings.HasPrefix(string(version), "etcd Version")
	if s.conn, err = process.Dial(); err != nil {
		return nil, err
	}
	if err := s.settleStart(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// settleStart learns the member's ID and waits for what a new member proposes to itself: its
// attributes and the cluster version.
func (s *side) settleStart() error {
	deadline := time.Now().Add(callTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		list, err := pb.NewClusterClient(s.conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		if err != nil {
			cancel()
			return err
		}
		status, err := pb.NewMaintenanceClient(s.conn).Status(ctx, &pb.StatusRequest{})
		cancel()
		if err != nil {
			return err
		}
		s.memberID = status.Header.MemberId
		if len(list.Members) == 1 && list.Members[0].Name != "" && status.StorageVersion != "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v the member has not published its name or storage version: members %v, status %v", callTimeout, list.Members, status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *side) close() {
	for _, stream := range s.streams {
		stream.close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	s.process.Kill()
}

// call sends one request, whatever its RPC's shape, and returns one answer. The message is the
// generated request type of the RPC; see rpcs.
func (s *side) call(rpc string, request proto.Message) (proto.Message, error) {
	request = s.substitute(request)
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	switch rpc {
	case "KV.RangeStream":
		return s.rangeStream(ctx, request.(*pb.RangeRequest))
	case "Lease.LeaseKeepAlive":
		return s.leaseKeepAlive(request.(*pb.LeaseKeepAliveRequest))
	case "Maintenance.Snapshot":
		return s.snapshot(ctx)
	}
	service, method, _ := strings.Cut(rpc, ".")
	response := rpcs[rpc].response()
	if err := s.conn.Invoke(ctx, "/etcdserverpb."+service+"/"+method, request, response); err != nil {
		return nil, err
	}
	if grant, ok := response.(*pb.LeaseGrantResponse); ok && request.(*pb.LeaseGrantRequest).ID == 0 {
		s.autoLease = grant.ID
	}
	return response, nil
}

// substitute puts this side's own IDs in place of the symbols.
func (s *side) substitute(request proto.Message) proto.Message {
	swap := func(symbolic bool, with func(clone proto.Message)) proto.Message {
		if !symbolic {
			return request
		}
		clone := proto.Clone(request)
		with(clone)
		return clone
	}
	switch r := request.(type) {
	case *pb.AlarmRequest:
		return swap(r.MemberID == selfID, func(m proto.Message) { m.(*pb.AlarmRequest).MemberID = s.memberID })
	case *pb.MoveLeaderRequest:
		return swap(r.TargetID == selfID, func(m proto.Message) { m.(*pb.MoveLeaderRequest).TargetID = s.memberID })
	case *pb.MemberPromoteRequest:
		return swap(r.ID == selfID, func(m proto.Message) { m.(*pb.MemberPromoteRequest).ID = s.memberID })
	case *pb.MemberAddRequest:
		return swap(len(r.PeerURLs) == 1 && r.PeerURLs[0] == "self", func(m proto.Message) {
			m.(*pb.MemberAddRequest).PeerURLs = []string{s.process.PeerURL()}
		})
	case *pb.LeaseRevokeRequest:
		return swap(r.ID == autoLeaseID, func(m proto.Message) { m.(*pb.LeaseRevokeRequest).ID = s.autoLease })
	case *pb.LeaseKeepAliveRequest:
		return swap(r.ID == autoLeaseID, func(m proto.Message) { m.(*pb.LeaseKeepAliveRequest).ID = s.autoLease })
	case *pb.LeaseTimeToLiveRequest:
		return swap(r.ID == autoLeaseID, func(m proto.Message) { m.(*pb.LeaseTimeToLiveRequest).ID = s.autoLease })
	}
	return request
}

// rangeStream gathers a streamed range into one answer. How the keys are cut into chunks is the
// server's affair; that only the last chunk has a header, count and more flag is not.
func (s *side) rangeStream(ctx context.Context, request *pb.RangeRequest) (proto.Message, error) {
	stream, err := pb.NewKVClient(s.conn).RangeStream(ctx, request)
	if err != nil {
		return nil, err
	}
	merged := &pb.RangeResponse{}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return merged, nil
		}
		if err != nil {
			return nil, err
		}
		if merged.Header != nil {
			return nil, fmt.Errorf("a chunk follows the one that has the header")
		}
		r := chunk.RangeResponse
		if r.GetHeader() == nil && (r.GetCount() != 0 || r.GetMore()) {
			return nil, fmt.Errorf("a chunk without header has count %d, more %v", r.GetCount(), r.GetMore())
		}
		merged.Kvs = append(merged.Kvs, r.GetKvs()...)
		merged.Header, merged.Count, merged.More = r.GetHeader(), r.GetCount(), r.GetMore()
	}
}

// leaseKeepAlive uses one long-lived stream, opened again after an error ended it.
func (s *side) leaseKeepAlive(request *pb.LeaseKeepAliveRequest) (proto.Message, error) {
	if s.keepAlive == nil {
		stream, err := pb.NewLeaseClient(s.conn).LeaseKeepAlive(context.Background())
		if err != nil {
			return nil, err
		}
		s.keepAlive = stream
	}
	if err := s.keepAlive.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	response, err := s.keepAlive.Recv()
	if err != nil {
		s.keepAlive = nil
		return nil, err
	}
	return response, nil
}

// snapshot reads a whole snapshot, checks its digest, and returns what can be compared.
func (s *side) snapshot(ctx context.Context) (proto.Message, error) {
	var file bytes.Buffer
	version, err := s.saveSnapshot(ctx, &file)
	if err != nil {
		return nil, err
	}
	return &pb.SnapshotResponse{Version: version}, nil
}

// saveSnapshot writes the database part of a snapshot and returns the storage version it names.
func (s *side) saveSnapshot(ctx context.Context, out *bytes.Buffer) (string, error) {
	stream, err := pb.NewMaintenanceClient(s.conn).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return "", err
	}
	version, remaining, first := "", uint64(0), true
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if !first && remaining != 0 && chunk.RemainingBytes+uint64(len(chunk.Blob)) != remaining {
			return "", fmt.Errorf("snapshot chunk of %d bytes with %d remaining follows one with %d remaining", len(chunk.Blob), chunk.RemainingBytes, remaining)
		}
		first, remaining, version = false, chunk.RemainingBytes, chunk.Version
		out.Write(chunk.Blob)
	}
	if out.Len() < sha256.Size {
		return "", fmt.Errorf("snapshot of %d bytes is shorter than its digest", out.Len())
	}
	database, digest := out.Bytes()[:out.Len()-sha256.Size], out.Bytes()[out.Len()-sha256.Size:]
	if computed := sha256.Sum256(database); !bytes.Equal(computed[:], digest) {
		return "", fmt.Errorf("snapshot's SHA-256 trailer does not match its %d bytes", len(database))
	}
	if len(database)%512 != 0 {
		return "", fmt.Errorf("snapshot database of %d bytes is not a multiple of 512: etcdutl would not see the digest", len(database))
	}
	return version, nil
}

// both runs f for each side at the same time.
func both(sides [2]*side, f func(i int, s *side)) {
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		f(1, sides[1])
	}()
	f(0, sides[0])
	group.Wait()
}
