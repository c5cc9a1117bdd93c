package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const (
	clientPort  = 2379
	metricsPort = 2381
	revision    = 42
	raftIndex   = 1000
)

// identity is what a member with TLS has loaded.
type identity struct {
	certificate   tls.Certificate
	serials       map[string]string // of certificates, by the flag that names their file
	bundles       map[string]string // SHA-256 of trusted bundles: "client", "peer"
	notAfterUnix  int64
	plainAccepted bool
}

// Serve answers for all members until the context ends.
func (f *Fleet) Serve(ctx context.Context) error {
	calls, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", clientPort))
	if err != nil {
		return err
	}
	pages, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", metricsPort))
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(&mixed{f, insecure.NewCredentials()}), grpc.UnaryInterceptor(f.count))
	pb.RegisterKVServer(server, &kv{f: f})
	pb.RegisterClusterServer(server, &membership{f: f})
	pb.RegisterMaintenanceServer(server, &maintenance{f: f})
	web := &http.Server{Handler: http.HandlerFunc(f.servePage)}
	go server.Serve(calls)
	go web.Serve(pages)
	go func() {
		<-ctx.Done()
		server.Stop()
		web.Close()
	}()
	return nil
}

// mixed speaks TLS for members that do, and plain HTTP/2 for the others.
type mixed struct {
	f *Fleet
	credentials.TransportCredentials
}

func (m *mixed) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p := m.f.at(c.LocalAddr())
	if p == nil {
		c.Close()
		return nil, nil, errors.New("nobody has that address")
	}
	if p.tls == nil {
		return m.TransportCredentials.ServerHandshake(c)
	}
	return credentials.NewTLS(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &p.tls.certificate, nil },
		ClientAuth:     tls.RequireAnyClientCert,
	}).ServerHandshake(c)
}

func (m *mixed) Clone() credentials.TransportCredentials { return m }

func (f *Fleet) at(address net.Addr) *process {
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes[at.Addr().Unmap()]
}

func (f *Fleet) count(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	f.mu.Lock()
	f.asked[path.Base(info.FullMethod)]++
	f.mu.Unlock()
	return handle(ctx, request)
}

// view is what one member knows while a call is answered; the Fleet is locked meanwhile.
type view struct {
	f      *Fleet
	c      *cluster
	self   *registration
	leader uint64
}

// as answers for the member that was dialled.
func as[T any](ctx context.Context, f *Fleet, answer func(view) (T, error)) (T, error) {
	var none T
	from, _ := peer.FromContext(ctx)
	p := f.at(from.LocalAddr)
	if p == nil {
		return none, status.Error(codes.Unavailable, "nobody has that address")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	self := p.cluster.find(p.id)
	if self == nil {
		return none, status.Error(codes.Unavailable, "the member has been removed from the cluster")
	}
	return answer(view{f, p.cluster, self, f.leader(p.cluster)})
}

func (v view) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: v.c.id, MemberId: v.self.id, Revision: revision, RaftTerm: 2}
}

// quorum is the error of what needs a quorum, or a voter to ask for it.
func (v view) quorum() error {
	if v.self.learner {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	if v.leader == 0 {
		return rpctypes.ErrGRPCNoLeader
	}
	return nil
}

func (v view) list() []*pb.Member {
	var members []*pb.Member
	for _, r := range v.c.members {
		members = append(members, &pb.Member{ID: r.id, Name: r.name, PeerURLs: r.peerURLs, IsLearner: r.learner})
	}
	return members
}

type kv struct {
	pb.UnimplementedKVServer
	f *Fleet
}

func (s *kv) Range(ctx context.Context, request *pb.RangeRequest) (*pb.RangeResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.RangeResponse, error) {
		if !request.Serializable {
			if err := v.quorum(); err != nil {
				return nil, err
			}
		}
		return &pb.RangeResponse{Header: v.header(), Kvs: []*mvccpb.KeyValue{}}, nil
	})
}

func (s *kv) Put(ctx context.Context, _ *pb.PutRequest) (*pb.PutResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.PutResponse, error) {
		return &pb.PutResponse{Header: v.header()}, v.quorum()
	})
}

type membership struct {
	pb.UnimplementedClusterServer
	f *Fleet
}

func (s *membership) MemberList(ctx context.Context, request *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.MemberListResponse, error) {
		if request.Linearizable {
			if err := v.quorum(); err != nil {
				return nil, err
			}
		}
		return &pb.MemberListResponse{Header: v.header(), Members: v.list()}, nil
	})
}

func (s *membership) MemberAdd(ctx context.Context, request *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.MemberAddResponse, error) {
		if err := v.quorum(); err != nil {
			return nil, err
		}
		for _, r := range v.c.members {
			if slices.Equal(r.peerURLs, request.PeerURLs) {
				return nil, rpctypes.ErrGRPCPeerURLExist
			}
		}
		r := v.c.add("", request.PeerURLs, request.IsLearner)
		return &pb.MemberAddResponse{Header: v.header(), Members: v.list(),
			Member: &pb.Member{ID: r.id, PeerURLs: r.peerURLs, IsLearner: r.learner}}, nil
	})
}

func (s *membership) MemberPromote(ctx context.Context, request *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.MemberPromoteResponse, error) {
		r := v.c.find(request.ID)
		switch {
		case v.quorum() != nil:
			return nil, v.quorum()
		case r == nil:
			return nil, rpctypes.ErrGRPCMemberNotFound
		case r.name == "":
			return nil, rpctypes.ErrGRPCLearnerNotReady
		}
		r.learner = false
		return &pb.MemberPromoteResponse{Header: v.header(), Members: v.list()}, nil
	})
}

func (s *membership) MemberUpdate(ctx context.Context, request *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.MemberUpdateResponse, error) {
		r := v.c.find(request.ID)
		if r == nil {
			return nil, rpctypes.ErrGRPCMemberNotFound
		}
		r.peerURLs = request.PeerURLs
		return &pb.MemberUpdateResponse{Header: v.header(), Members: v.list()}, nil
	})
}

func (s *membership) MemberRemove(ctx context.Context, request *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.MemberRemoveResponse, error) {
		if v.c.find(request.ID) == nil {
			return nil, rpctypes.ErrGRPCMemberNotFound
		}
		v.c.members = slices.DeleteFunc(v.c.members, func(r *registration) bool { return r.id == request.ID })
		return &pb.MemberRemoveResponse{Header: v.header(), Members: v.list()}, nil
	})
}

type maintenance struct {
	pb.UnimplementedMaintenanceServer
	f *Fleet
}

func (s *maintenance) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.StatusResponse, error) {
		return &pb.StatusResponse{Header: v.header(), Version: "3.7.1", StorageVersion: "3.7.0", Leader: v.leader,
			RaftIndex: raftIndex, RaftTerm: 2, RaftAppliedIndex: raftIndex, IsLearner: v.self.learner,
			DbSize: v.c.size(), DbSizeInUse: v.c.size() / 3, DbSizeQuota: 2 << 30}, nil
	})
}

func (s *maintenance) Alarm(ctx context.Context, _ *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.AlarmResponse, error) {
		if v.leader == 0 {
			return nil, rpctypes.ErrGRPCNoLeader
		}
		return &pb.AlarmResponse{Header: v.header()}, nil
	})
}

func (s *maintenance) HashKV(ctx context.Context, _ *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.HashKVResponse, error) {
		return &pb.HashKVResponse{Header: v.header(), Hash: 7, HashRevision: revision}, nil
	})
}

func (s *maintenance) MoveLeader(ctx context.Context, _ *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.MoveLeaderResponse, error) {
		return &pb.MoveLeaderResponse{Header: v.header()}, nil
	})
}

func (s *maintenance) Defragment(ctx context.Context, _ *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	return as(ctx, s.f, func(v view) (*pb.DefragmentResponse, error) {
		return &pb.DefragmentResponse{Header: v.header()}, nil
	})
}

func (f *Fleet) servePage(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	f.mu.Unlock()
	p := f.at(r.Context().Value(http.LocalAddrContextKey).(net.Addr))
	switch {
	case p == nil:
		http.Error(w, "nobody has that address", http.StatusServiceUnavailable)
	case r.URL.Path != "/metrics":
		fmt.Fprintln(w, "ok")
	default:
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.Write(f.page)
		if p.tls == nil {
			return
		}
		for side, digest := range p.tls.bundles {
			fmt.Fprintf(w, "holdfast_tls_trusted_bundle_info{endpoint=%q,sha256=%q} 1\n", side, digest)
		}
		for flag, serial := range p.tls.serials {
			fmt.Fprintf(w, "holdfast_tls_certificate_not_after_seconds{certificate=%q,serial=%q} %d\n", flag, serial, p.tls.notAfterUnix)
		}
	}
}

// patience bounds every wait for the API server.
const patience = 2 * time.Minute
