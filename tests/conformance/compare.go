package conformance

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// answer is what one side said to one request.
type answer struct {
	message proto.Message
	err     error
}

// errorText gives an error its comparable form, code and text; "" for success.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	s := status.Convert(err)
	return s.Code().String() + ": " + s.Message()
}

// maxTTLDifference is how far the remaining seconds of a lease may be apart: the two servers are
// asked at slightly different times, on a machine that may be busy.
const maxTTLDifference = 5

// difference compares two answers to a request. It returns "" if they are equal, else what differs,
// beginning with the path of the first field that does.
func difference(request proto.Message, reference, tested answer, sides [2]*side) string {
	if a, b := errorText(reference.err), errorText(tested.err); a != b {
		return fmt.Sprintf("error: %q, want %q", b, a)
	}
	if reference.err != nil {
		return ""
	}
	a, b := proto.Clone(reference.message), proto.Clone(tested.message)
	normalize(a, sides[0])
	normalize(b, sides[1])
	loosen(request, a, b)
	return firstDifference("", a.ProtoReflect(), b.ProtoReflect())
}

// normalize removes from an answer what two members cannot have in common, and orders what etcd
// itself leaves unordered.
func normalize(message proto.Message, s *side) {
	normalizeHeaders(message.ProtoReflect())
	switch m := message.(type) {
	case *pb.LeaseGrantResponse:
		if m.ID == s.autoLease {
			m.ID = autoLeaseID
		}
	case *pb.LeaseKeepAliveResponse:
		if m.ID == s.autoLease {
			m.ID = autoLeaseID
		}
	case *pb.LeaseTimeToLiveResponse:
		if m.ID == s.autoLease {
			m.ID = autoLeaseID
		}
		slices.SortFunc(m.Keys, bytes.Compare)
	case *pb.LeaseLeasesResponse:
		for _, lease := range m.Leases {
			if lease.ID == s.autoLease {
				lease.ID = autoLeaseID
			}
		}
		slices.SortFunc(m.Leases, func(a, b *pb.LeaseStatus) int { return cmp.Compare(a.ID, b.ID) })
	case *pb.AlarmResponse:
		for _, alarm := range m.Alarms {
			alarm.MemberID = symbolicMember(alarm.MemberID, s)
		}
		slices.SortFunc(m.Alarms, func(a, b *pb.AlarmMember) int {
			return cmp.Or(cmp.Compare(a.MemberID, b.MemberID), cmp.Compare(a.Alarm, b.Alarm))
		})
	case *pb.StatusResponse:
		normalizeStatus(m, s)
	case *pb.HashResponse:
		m.Hash = 0 // covers member URLs too; HashKV is what must be equal
	case *pb.MemberListResponse:
		for _, listed := range m.Members {
			listed.ID = symbolicMember(listed.ID, s)
			replaceURL(listed.PeerURLs, s.process.PeerURL(), "peer")
			replaceURL(listed.ClientURLs, s.process.ClientURL(), "client")
		}
	}
}

func symbolicMember(id uint64, s *side) uint64 {
	if id == s.memberID {
		return selfID
	}
	return id
}

func replaceURL(urls []string, from, to string) {
	for i := range urls {
		if urls[i] == from {
			urls[i] = to
		}
	}
}

var spaces = regexp.MustCompile(` +`)

func normalizeStatus(m *pb.StatusResponse, s *side) {
	m.Leader = symbolicMember(m.Leader, s)
	for _, size := range []*int64{&m.DbSize, &m.DbSizeInUse} {
		*size = min(*size, 1) // present or not
	}
	m.RaftIndex, m.RaftAppliedIndex, m.RaftTerm = min(m.RaftIndex, 1), min(m.RaftAppliedIndex, 1), min(m.RaftTerm, 1)
	for i, text := range m.Errors {
		// Go's protobuf library varies the number of spaces in its text on purpose.
		text = spaces.ReplaceAllString(strings.TrimSpace(text), " ")
		m.Errors[i] = strings.ReplaceAll(text, strconv.FormatUint(s.memberID, 10), "self")
	}
	slices.Sort(m.Errors)
}

// normalizeHeaders sets the cluster ID, member ID and term of every header inside to 1, unless they
// are missing: that they are filled in exactly where etcd fills them is compared.
func normalizeHeaders(m protoreflect.Message) {
	if header, ok := m.Interface().(*pb.ResponseHeader); ok {
		header.ClusterId, header.MemberId, header.RaftTerm = min(header.ClusterId, 1), min(header.MemberId, 1), min(header.RaftTerm, 1)
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				normalizeHeaders(value.List().Get(i).Message())
			}
		default:
			normalizeHeaders(value.Message())
		}
		return true
	})
}

// loosen makes equal what may differ between a and b within limits.
func loosen(request, a, b proto.Message) {
	switch x := a.(type) {
	case *pb.LeaseTimeToLiveResponse:
		y := b.(*pb.LeaseTimeToLiveResponse)
		if x.TTL > 0 && y.TTL > 0 && max(x.TTL-y.TTL, y.TTL-x.TTL) <= maxTTLDifference {
			y.TTL = x.TTL
		}
	case *pb.RangeResponse:
		loosenTies(request.(*pb.RangeRequest), x, b.(*pb.RangeResponse))
	case *pb.TxnResponse:
		loosenTxn(request.(*pb.TxnRequest), x, b.(*pb.TxnResponse))
	}
}

func loosenTxn(request *pb.TxnRequest, a, b *pb.TxnResponse) {
	ops := request.Failure
	if a.Succeeded {
		ops = request.Success
	}
	if a.Succeeded != b.Succeeded || len(a.Responses) != len(ops) || len(b.Responses) != len(ops) {
		return
	}
	for i, op := range ops {
		if r := op.GetRequestRange(); r != nil {
			x, y := a.Responses[i].GetResponseRange(), b.Responses[i].GetResponseRange()
			if x != nil && y != nil {
				loosenTies(r, x, y)
			}
		}
		if t := op.GetRequestTxn(); t != nil {
			x, y := a.Responses[i].GetResponseTxn(), b.Responses[i].GetResponseTxn()
			if x != nil && y != nil {
				loosenTxn(t, x, y)
			}
		}
	}
}

// loosenTies forgives another order among keys that are equal in what they are sorted by: etcd's
// sort is not stable. If the limit cuts the list, also which of the last equals were left out. With
// keys_only and values as the target all look equal here.
func loosenTies(request *pb.RangeRequest, a, b *pb.RangeResponse) {
	if request.SortTarget == pb.RangeRequest_KEY || len(a.Kvs) != len(b.Kvs) || len(a.Kvs) == 0 {
		return
	}
	target := func(kv *mvccpb.KeyValue) string {
		switch request.SortTarget {
		case pb.RangeRequest_VERSION:
			return strconv.FormatInt(kv.Version, 10)
		case pb.RangeRequest_CREATE:
			return strconv.FormatInt(kv.CreateRevision, 10)
		case pb.RangeRequest_MOD:
			return strconv.FormatInt(kv.ModRevision, 10)
		default:
			return string(kv.Value)
		}
	}
	for i := range a.Kvs {
		if target(a.Kvs[i]) != target(b.Kvs[i]) {
			return // a real difference: leave both as they are
		}
	}
	for begin := 0; begin < len(a.Kvs); {
		end := begin + 1
		for end < len(a.Kvs) && target(a.Kvs[end]) == target(a.Kvs[begin]) {
			end++
		}
		if end == len(a.Kvs) && a.More {
			copy(b.Kvs[begin:end], a.Kvs[begin:end])
		}
		sortKvs(a.Kvs[begin:end])
		sortKvs(b.Kvs[begin:end])
		begin = end
	}
}

func sortKvs(kvs []*mvccpb.KeyValue) {
	slices.SortFunc(kvs, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
}

// firstDifference returns the path and both values of the first field that differs, or "".
func firstDifference(path string, want, got protoreflect.Message) string {
	if want.IsValid() != got.IsValid() {
		return fmt.Sprintf("%s: present %v, want %v", path, got.IsValid(), want.IsValid())
	}
	fields := want.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		inner := path + "." + string(field.Name())
		if field.IsList() {
			if d := listDifference(inner, field, want.Get(field).List(), got.Get(field).List()); d != "" {
				return d
			}
			continue
		}
		if want.Has(field) != got.Has(field) && (field.HasPresence() || field.Message() != nil) {
			return fmt.Sprintf("%s: present %v, want %v", inner, got.Has(field), want.Has(field))
		}
		if d := valueDifference(inner, field, want.Get(field), got.Get(field)); d != "" {
			return d
		}
	}
	if !bytes.Equal(want.GetUnknown(), got.GetUnknown()) {
		return fmt.Sprintf("%s: unknown fields %x, want %x", path, got.GetUnknown(), want.GetUnknown())
	}
	return ""
}

func listDifference(path string, field protoreflect.FieldDescriptor, want, got protoreflect.List) string {
	for i := range min(want.Len(), got.Len()) {
		if d := valueDifference(fmt.Sprintf("%s[%d]", path, i), field, want.Get(i), got.Get(i)); d != "" {
			return d
		}
	}
	if want.Len() != got.Len() {
		return fmt.Sprintf("%s: %d elements, want %d", path, got.Len(), want.Len())
	}
	return ""
}

func valueDifference(path string, field protoreflect.FieldDescriptor, want, got protoreflect.Value) string {
	if field.Message() != nil {
		return firstDifference(path, want.Message(), got.Message())
	}
	if !want.Equal(got) {
		return fmt.Sprintf("%s: %s, want %s", path, shortValue(got), shortValue(want))
	}
	return ""
}

func shortValue(v protoreflect.Value) string {
	text := v.String()
	if content, ok := v.Interface().([]byte); ok {
		text = fmt.Sprintf("%q", content)
	}
	if len(text) > 80 {
		return fmt.Sprintf("%s… (%d bytes)", text[:80], len(text))
	}
	return text
}

var digits = regexp.MustCompile(`\[?[0-9]+\]?`)

// signature names a kind of difference, so that one cause is reported once.
func signature(rpc, difference string) string {
	path, _, _ := strings.Cut(difference, ": ")
	if path == "error" {
		return rpc + " " + digits.ReplaceAllString(difference, "#")
	}
	return rpc + " " + digits.ReplaceAllString(path, "#")
}
