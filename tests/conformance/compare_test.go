package conformance

import (
	"io"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

var testSides = [2]*side{{name: "etcd", memberID: 11, autoLease: 100}, {name: "tested", memberID: 22, autoLease: 200}}

func kv(key, value string, revision int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision, CreateRevision: revision, Version: 1}
}

// TestDifferenceSeesPlantedFaults proves that the comparison sees what it is there for, and excuses
// only what it must.
func TestDifferenceSeesPlantedFaults(t *testing.T) {
	header := func(member uint64, revision int64) *pb.ResponseHeader {
		return &pb.ResponseHeader{ClusterId: 5 * member, MemberId: member, RaftTerm: member, Revision: revision}
	}
	byVersion := &pb.RangeRequest{Key: []byte("a"), SortTarget: pb.RangeRequest_VERSION}
	for name, test := range map[string]struct {
		request         proto.Message
		reference, test proto.Message
		want            string // the path that differs; "" for none
	}{
		"other members":      {nil, &pb.PutResponse{Header: header(11, 7)}, &pb.PutResponse{Header: header(22, 7)}, ""},
		"another revision":   {nil, &pb.PutResponse{Header: header(11, 7)}, &pb.PutResponse{Header: header(22, 8)}, ".header.revision"},
		"no member ID":       {nil, &pb.PutResponse{Header: header(11, 7)}, &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 7}}, ".header.cluster_id"},
		"no header":          {nil, &pb.PutResponse{Header: header(11, 7)}, &pb.PutResponse{}, ".header"},
		"a header too many":  {nil, &pb.DefragmentResponse{}, &pb.DefragmentResponse{Header: header(22, 7)}, ".header"},
		"an empty prev_kv":   {nil, &pb.PutResponse{}, &pb.PutResponse{PrevKv: &mvccpb.KeyValue{}}, ".prev_kv"},
		"another value":      {byVersion, &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("a", "1", 2)}}, &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("a", "2", 2)}}, ".kvs[0].value"},
		"ties in any order":  {byVersion, &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("a", "", 2), kv("b", "", 3)}}, &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("b", "", 3), kv("a", "", 2)}}, ""},
		"no tie, no excuse":  {&pb.RangeRequest{SortTarget: pb.RangeRequest_MOD}, &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("a", "", 2), kv("b", "", 3)}}, &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("b", "", 3), kv("a", "", 2)}}, ".kvs[0].key"},
		"own alarm":          {nil, &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 11, Alarm: 1}}}, &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 22, Alarm: 1}}}, ""},
		"the other's alarm":  {nil, &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 11, Alarm: 1}}}, &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 11, Alarm: 1}}}, ".alarms[0].memberID"},
		"own lease choice":   {nil, &pb.LeaseGrantResponse{ID: 100, TTL: 9}, &pb.LeaseGrantResponse{ID: 200, TTL: 9}, ""},
		"TTL a little later": {nil, &pb.LeaseTimeToLiveResponse{TTL: 50, GrantedTTL: 60}, &pb.LeaseTimeToLiveResponse{TTL: 49, GrantedTTL: 60}, ""},
		"TTL of a dead one":  {nil, &pb.LeaseTimeToLiveResponse{TTL: 1}, &pb.LeaseTimeToLiveResponse{TTL: -1}, ".TTL"},
		"another hash":       {nil, &pb.HashKVResponse{Hash: 1}, &pb.HashKVResponse{Hash: 2}, ".hash"},
	} {
		t.Run(name, func(t *testing.T) {
			got := difference(test.request, answer{message: test.reference}, answer{message: test.test}, testSides)
			if path, _, _ := strings.Cut(got, ":"); path != test.want {
				t.Fatalf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestErrorsDifferByCodeAndByText(t *testing.T) {
	refused := answer{err: status.Error(codes.InvalidArgument, "no")}
	for name, tested := range map[string]answer{
		"another code": {err: status.Error(codes.Unknown, "no")},
		"another text": {err: status.Error(codes.InvalidArgument, "No")},
		"success":      {message: &pb.PutResponse{}},
	} {
		if difference(nil, refused, tested, testSides) == "" {
			t.Errorf("%s is taken for equal", name)
		}
	}
	if d := difference(nil, refused, refused, testSides); d != "" {
		t.Errorf("the same error differs: %s", d)
	}
}

func TestWatchEventsMustBeAllOnceAndInOrder(t *testing.T) {
	a, b := &mvccpb.Event{Kv: kv("a", "1", 2)}, &mvccpb.Event{Kv: kv("b", "1", 3)}
	leaked := &mvccpb.Event{Kv: b.Kv, PrevKv: kv("b", "0", 1)}
	want := []*mvccpb.Event{a, b}
	for name, got := range map[string][]*mvccpb.Event{
		"missing": {a}, "twice": {a, b, b}, "swapped": {b, a}, "previous value not asked for": {a, leaked},
	} {
		if eventsDifference(want, got, false) == "" {
			t.Errorf("%s is taken for equal", name)
		}
	}
	if d := eventsDifference(want, []*mvccpb.Event{a, leaked}, true); d != "" {
		t.Errorf("etcd's leak is not excused: %s", d)
	}
}

func TestSplitRevisionAndEarlyHeaderAreViolations(t *testing.T) {
	for name, responses := range map[string][]*pb.WatchResponse{
		"a revision in two responses": {
			{Header: &pb.ResponseHeader{Revision: 2}, Events: []*mvccpb.Event{{Kv: kv("a", "", 2)}}},
			{Header: &pb.ResponseHeader{Revision: 2}, Events: []*mvccpb.Event{{Kv: kv("b", "", 2)}}},
		},
		"a header before its event": {{Header: &pb.ResponseHeader{Revision: 1}, Events: []*mvccpb.Event{{Kv: kv("a", "", 2)}}}},
	} {
		w := &watchStream{compacted: map[int64]*pb.WatchResponse{}, events: map[int64][]*mvccpb.Event{}, partial: map[int64]bool{}, lastRev: map[int64]int64{}}
		for _, r := range responses {
			w.sort(r)
		}
		if w.violation == "" {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestCoverageFindsGaps(t *testing.T) {
	c := newCoverage()
	c.add("KV.Put", &pb.PutRequest{Key: []byte("a"), Lease: 1}, "")
	gaps := strings.Join(c.print(io.Discard, []proto.Message{&pb.PutRequest{}}, 1), "\n")
	for _, name := range []string{"PutRequest.value", "KV.Range", "InvalidArgument: etcdserver: key not found"} {
		if !strings.Contains(gaps, name+": 0") {
			t.Errorf("%s is no gap", name)
		}
	}
	for _, name := range []string{"PutRequest.key", "PutRequest.lease", "KV.Put:"} {
		if strings.Contains(gaps, name) {
			t.Errorf("%s is a gap", name)
		}
	}
}
