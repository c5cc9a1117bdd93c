#include "datastore/simulation/history.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "datastore/mvcc/key_value.h"

namespace holdfast::simulation {

namespace {

bool same(const ReferenceValue& expected, const mvcc::KeyValueView& found) {
  return expected.create_revision == found.create_revision &&
         expected.mod_revision == found.mod_revision && expected.version == found.version &&
         expected.value == found.value && expected.lease == found.lease;
}

}  // namespace

void History::command_answered(std::uint64_t request, std::int64_t floor,
                               const node::Applied& applied) {
  const Reference::Applied* known = reference_.find(request);
  if (!applied.index) {
    refused_.push_back(request);
    return;
  }
  ++answered_;
  if (!judge_.demand(known != nullptr, [&] {
        return absl::StrCat("request ", request, " was acknowledged but nobody applied it");
      })) {
    return;
  }
  const std::int64_t revision = applied.outcome.revision.value;
  judge_.demand(revision == known->revision, [&] {
    return absl::StrCat("request ", request, " was answered with revision ", revision,
                        " but took place at ", known->revision);
  });
  const bool in_order = known->changed ? revision > floor : revision >= floor;
  judge_.demand(in_order, [&] {
    return absl::StrCat("a command took place at revision ", revision, ", but was asked for when ",
                        floor, " had been seen");
  });
  saw(revision);
}

void History::range_answered(std::int64_t floor, const RangeAnswer& answer) {
  ++answered_;
  if (answer.linearizable) {
    judge_.demand(answer.header_revision >= floor, [&] {
      return absl::StrCat("a linearizable read saw revision ", answer.header_revision,
                          ", but was asked for when ", floor, " had been seen");
    });
  }
  judge_.demand(answer.header_revision <= reference_.revision(), [&] {
    return absl::StrCat("a read saw revision ", answer.header_revision,
                        ", which nobody has applied");
  });
  const std::int64_t at = answer.at_revision > 0 ? answer.at_revision : answer.header_revision;
  std::map<Bytes, ReferenceValue> expected;
  if (answer.range_end.empty()) {
    if (auto value = reference_.get(answer.key, at)) expected.emplace(answer.key, *value);
  } else {
    expected = reference_.range(answer.key, answer.range_end, at);
  }
  bool equal = expected.size() == answer.kvs.size();
  for (const Bytes& kv : answer.kvs) {
    const auto parsed = mvcc::parse_key_value(kv);
    const auto found = parsed ? expected.find(Bytes(parsed->key)) : expected.end();
    equal = equal && found != expected.end() && same(found->second, *parsed);
  }
  judge_.demand(equal, [&] {
    return absl::StrCat("a read of ", answer.key, " at revision ", at, " got ", answer.kvs.size(),
                        " keys that differ from the ", expected.size(), " there were");
  });
  saw(answer.header_revision);
}

void History::finish() {
  for (const std::uint64_t request : refused_) {
    judge_.demand(reference_.find(request) == nullptr, [&] {
      return absl::StrCat("request ", request, " was refused for good but took place");
    });
  }
}

}  // namespace holdfast::simulation
