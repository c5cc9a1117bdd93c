#include "datastore/node/entry_readers.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/node/post_answer.h"

namespace holdfast::node {
namespace {

using Entries = absl::StatusOr<std::vector<raft::Entry>>;

/// Nothing: there is nothing new.
std::optional<Entries> entries_after(const raft::Log& log, Index after, Index applied,
                                     std::size_t max_bytes) {
  if (after < log.snapshot_index()) {
    return absl::OutOfRangeError(
        absl::StrCat("holdfast: this member's log begins after entry ", log.snapshot_index().value,
                     "; take a snapshot, and follow from the entry that it is of"));
  }
  if (after >= applied) return std::nullopt;
  const absl::Span<const raft::Entry> found = log.slice(after.next(), applied, max_bytes);
  return std::vector<raft::Entry>(found.begin(), found.end());
}

}  // namespace

void EntryReaders::add(Index after, std::size_t max_bytes, EntriesDone done, Mailbox& mailbox,
                       Time deadline) {
  if (readers_.size() >= kMaxReaders) {
    return post_answer(mailbox, std::move(done), Entries(errors::too_many_requests()));
  }
  readers_.push_back({after, max_bytes, std::move(done), &mailbox, deadline});
}

void EntryReaders::serve(const raft::Log& log, Index applied, Time now) {
  std::erase_if(readers_, [&](Reader& reader) {
    std::optional<Entries> entries = entries_after(log, reader.after, applied, reader.max_bytes);
    if (!entries && now < reader.deadline) return false;
    post_answer(*reader.mailbox, std::move(reader.done),
                entries ? *std::move(entries) : Entries(std::vector<raft::Entry>()));
    return true;
  });
}

void EntryReaders::fail_all(const absl::Status& why) {
  for (Reader& reader : std::exchange(readers_, {})) {
    post_answer(*reader.mailbox, std::move(reader.done), Entries(why));
  }
}

}  // namespace holdfast::node
