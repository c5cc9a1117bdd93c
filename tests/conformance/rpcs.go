package conformance

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// rpc says how to call an RPC and whether calls of it may run beside each other.
type rpc struct {
	request  func() proto.Message
	response func() proto.Message
	readOnly bool
}

// rpcs are the calls the differential makes. Watch is apart: see watch.go.
var rpcs = map[string]rpc{
	"KV.Range":               {request: newOf[pb.RangeRequest, *pb.RangeRequest], response: newOf[pb.RangeResponse, *pb.RangeResponse], readOnly: true},
	"KV.RangeStream":         {request: newOf[pb.RangeRequest, *pb.RangeRequest], response: newOf[pb.RangeResponse, *pb.RangeResponse], readOnly: true},
	"KV.Put":                 {request: newOf[pb.PutRequest, *pb.PutRequest], response: newOf[pb.PutResponse, *pb.PutResponse]},
	"KV.DeleteRange":         {request: newOf[pb.DeleteRangeRequest, *pb.DeleteRangeRequest], response: newOf[pb.DeleteRangeResponse, *pb.DeleteRangeResponse]},
	"KV.Txn":                 {request: newOf[pb.TxnRequest, *pb.TxnRequest], response: newOf[pb.TxnResponse, *pb.TxnResponse]},
	"KV.Compact":             {request: newOf[pb.CompactionRequest, *pb.CompactionRequest], response: newOf[pb.CompactionResponse, *pb.CompactionResponse]},
	"Lease.LeaseGrant":       {request: newOf[pb.LeaseGrantRequest, *pb.LeaseGrantRequest], response: newOf[pb.LeaseGrantResponse, *pb.LeaseGrantResponse]},
	"Lease.LeaseRevoke":      {request: newOf[pb.LeaseRevokeRequest, *pb.LeaseRevokeRequest], response: newOf[pb.LeaseRevokeResponse, *pb.LeaseRevokeResponse]},
	"Lease.LeaseKeepAlive":   {request: newOf[pb.LeaseKeepAliveRequest, *pb.LeaseKeepAliveRequest], response: newOf[pb.LeaseKeepAliveResponse, *pb.LeaseKeepAliveResponse]},
	"Lease.LeaseTimeToLive":  {request: newOf[pb.LeaseTimeToLiveRequest, *pb.LeaseTimeToLiveRequest], response: newOf[pb.LeaseTimeToLiveResponse, *pb.LeaseTimeToLiveResponse], readOnly: true},
	"Lease.LeaseLeases":      {request: newOf[pb.LeaseLeasesRequest, *pb.LeaseLeasesRequest], response: newOf[pb.LeaseLeasesResponse, *pb.LeaseLeasesResponse], readOnly: true},
	"Cluster.MemberList":     {request: newOf[pb.MemberListRequest, *pb.MemberListRequest], response: newOf[pb.MemberListResponse, *pb.MemberListResponse], readOnly: true},
	"Cluster.MemberAdd":      {request: newOf[pb.MemberAddRequest, *pb.MemberAddRequest], response: newOf[pb.MemberAddResponse, *pb.MemberAddResponse]},
	"Cluster.MemberPromote":  {request: newOf[pb.MemberPromoteRequest, *pb.MemberPromoteRequest], response: newOf[pb.MemberPromoteResponse, *pb.MemberPromoteResponse]},
	"Maintenance.Alarm":      {request: newOf[pb.AlarmRequest, *pb.AlarmRequest], response: newOf[pb.AlarmResponse, *pb.AlarmResponse]},
	"Maintenance.Status":     {request: newOf[pb.StatusRequest, *pb.StatusRequest], response: newOf[pb.StatusResponse, *pb.StatusResponse], readOnly: true},
	"Maintenance.Defragment": {request: newOf[pb.DefragmentRequest, *pb.DefragmentRequest], response: newOf[pb.DefragmentResponse, *pb.DefragmentResponse]},
	"Maintenance.Hash":       {request: newOf[pb.HashRequest, *pb.HashRequest], response: newOf[pb.HashResponse, *pb.HashResponse], readOnly: true},
	"Maintenance.HashKV":     {request: newOf[pb.HashKVRequest, *pb.HashKVRequest], response: newOf[pb.HashKVResponse, *pb.HashKVResponse], readOnly: true},
	"Maintenance.Snapshot":   {request: newOf[pb.SnapshotRequest, *pb.SnapshotRequest], response: newOf[pb.SnapshotResponse, *pb.SnapshotResponse]},
	"Maintenance.MoveLeader": {request: newOf[pb.MoveLeaderRequest, *pb.MoveLeaderRequest], response: newOf[pb.MoveLeaderResponse, *pb.MoveLeaderResponse]},
	"Maintenance.Downgrade":  {request: newOf[pb.DowngradeRequest, *pb.DowngradeRequest], response: newOf[pb.DowngradeResponse, *pb.DowngradeResponse]},
	"Auth.AuthStatus":        {request: newOf[pb.AuthStatusRequest, *pb.AuthStatusRequest], response: newOf[pb.AuthStatusResponse, *pb.AuthStatusResponse], readOnly: true},
}

// newOf makes a new message of a generated type.
func newOf[T any, P interface {
	*T
	proto.Message
}]() proto.Message {
	return P(new(T))
}
