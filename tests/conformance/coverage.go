package conformance

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// coverage counts what a run exercised: RPCs, request fields set to something other than their
// default, enum values, and errors.
type coverage struct {
	rpcs, fields, errors map[string]int
}

func newCoverage() *coverage {
	return &coverage{rpcs: map[string]int{}, fields: map[string]int{}, errors: map[string]int{}}
}

func (c *coverage) add(rpc string, request proto.Message, errorText string) {
	c.rpcs[rpc]++
	c.addFields(request.ProtoReflect())
	if errorText != "" {
		c.errors[coveredError(errorText)]++
	}
}

// coveredError drops the sizes from gRPC's own message about too large messages.
func coveredError(text string) string {
	before, _, found := strings.Cut(text, " (")
	if found {
		return before
	}
	return text
}

func (c *coverage) addFields(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := fieldName(field)
		c.fields[name]++
		if field.IsList() {
			for i := range value.List().Len() {
				c.addValue(name, field, value.List().Get(i))
			}
		} else {
			c.addValue(name, field, value)
		}
		return true
	})
}

func (c *coverage) addValue(name string, field protoreflect.FieldDescriptor, value protoreflect.Value) {
	switch {
	case field.Message() != nil:
		c.addFields(value.Message())
	case field.Enum() != nil:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			c.fields[name+"="+string(known.Name())]++
		} else {
			c.fields[name+"=unknown"]++
		}
	}
}

func fieldName(field protoreflect.FieldDescriptor) string {
	return string(field.ContainingMessage().Name()) + "." + string(field.Name())
}

// requiredFields lists every field, and every enum value other than the default, that requests of
// the given types can carry.
func requiredFields(requests []proto.Message) []string {
	required := map[string]bool{}
	var visit func(d protoreflect.MessageDescriptor)
	seen := map[protoreflect.FullName]bool{}
	visit = func(d protoreflect.MessageDescriptor) {
		if seen[d.FullName()] {
			return
		}
		seen[d.FullName()] = true
		for i := range d.Fields().Len() {
			field := d.Fields().Get(i)
			name := fieldName(field)
			required[name] = true
			if field.Message() != nil {
				visit(field.Message())
			}
			if field.Enum() != nil {
				for j := range field.Enum().Values().Len() {
					if v := field.Enum().Values().Get(j); v.Number() != 0 {
						required[name+"="+string(v.Name())] = true
					}
				}
			}
		}
	}
	for _, request := range requests {
		visit(request.ProtoReflect().Descriptor())
	}
	return slices.Sorted(maps.Keys(required))
}

// requiredErrors are the errors a single member without auth gives to bad requests. Others that
// occur are counted too.
// The lines that begin with "watch" are what a watch stream says: reasons of cancellation, and that
// a response was cut.
var requiredErrors = []string{
	"InvalidArgument: etcdserver: key is not provided",
	"InvalidArgument: etcdserver: key not found",
	"InvalidArgument: etcdserver: value is provided",
	"InvalidArgument: etcdserver: lease is provided",
	"InvalidArgument: etcdserver: too many operations in txn request",
	"InvalidArgument: etcdserver: duplicate key given in txn request",
	"InvalidArgument: etcdserver: invalid sort option",
	"OutOfRange: etcdserver: mvcc: required revision has been compacted",
	"OutOfRange: etcdserver: mvcc: required revision is a future revision",
	"ResourceExhausted: etcdserver: mvcc: database space exceeded",
	"NotFound: etcdserver: requested lease not found",
	"FailedPrecondition: etcdserver: lease already exists",
	"OutOfRange: etcdserver: too large lease TTL",
	"InvalidArgument: etcdserver: request is too large",
	"ResourceExhausted: grpc: received message larger than max",
	"DataLoss: etcdserver: corrupt cluster",
	"FailedPrecondition: etcdserver: bad leader transferee",
	"InvalidArgument: etcdserver: wrong downgrade target version format",
	"InvalidArgument: etcdserver: invalid downgrade target version",
	"InvalidArgument: etcdserver: given member URLs are invalid",
	"FailedPrecondition: etcdserver: Peer URLs already exists",
	"NotFound: etcdserver: member not found",
	"FailedPrecondition: etcdserver: can only promote a learner member",
	"Unimplemented: RangeStream does not support custom sort orders",
	"Unimplemented: RangeStream does not support revision filters",
	"watch: etcdserver: mvcc: required revision has been compacted",
	"watch: ended by compaction",
	"watch: fragments",
	"watch: mvcc: watcher range is empty",
	"watch: mvcc: duplicate watch ID provided on the WatchStream",
}

// tableWidth is where a line of the table is broken.
const tableWidth = 160

// print writes the table, and returns what was exercised less than floor times.
func (c *coverage) print(out io.Writer, requests []proto.Message, floor int) []string {
	calls := []string{"Watch.create", "Watch.cancel", "Watch.progress"}
	for name := range rpcs {
		calls = append(calls, name)
	}
	gaps := printCounts(out, "RPCs", c.rpcs, calls, floor)
	gaps = append(gaps, printCounts(out, "request fields and enum values", c.fields, requiredFields(requests), floor)...)
	return append(gaps, printCounts(out, "errors", c.errors, requiredErrors, floor)...)
}

// printCounts writes one section, each line beginning with "coverage", and returns its gaps.
func printCounts(out io.Writer, title string, counts map[string]int, required []string, floor int) (gaps []string) {
	for _, name := range required {
		if counts[name] < floor {
			gaps = append(gaps, fmt.Sprintf("%s: %d", name, counts[name]))
		}
	}
	names := slices.Sorted(maps.Keys(counts))
	fmt.Fprintf(out, "coverage of %s: %d seen, %d required %d times each, %d gaps\n", title, len(names), len(required), floor, len(gaps))
	line := "coverage "
	for _, name := range names {
		cell := fmt.Sprintf(" %s %d;", name, counts[name])
		if len(line)+len(cell) > tableWidth {
			fmt.Fprintln(out, line)
			line = "coverage "
		}
		line += cell
	}
	fmt.Fprintln(out, line)
	return gaps
}
