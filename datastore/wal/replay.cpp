#include "datastore/wal/replay.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace holdfast::wal {

absl::Status Replay::apply(const BatchHeader& header, BytesView records) {
  if (header.first_index.value == 0) return absl::DataLossError("it begins at index 0");
  if (!begun_) {
    begun_ = true;
    recovered_.last_index = Index(header.first_index.value - 1);
    first_held_ = header.first_index;
  }
  Index index = header.first_index;
  Term term;
  std::uint32_t entries = 0;
  for (RecordReader reader(records); !reader.done();) {
    const absl::StatusOr<RecordReader::Record> record = reader.next();
    if (!record.ok()) return record.status();
    absl::Status status;
    switch (record->kind) {
      case RecordKind::kHardState: {
        const absl::StatusOr<raft::HardState> state = decode_hard_state(record->payload);
        if (!state.ok()) return state.status();
        recovered_.hard_state = *state;
        break;
      }
      case RecordKind::kSnapshotMarker: {
        const absl::StatusOr<raft::SnapshotMetadata> snapshot = decode_snapshot(record->payload);
        if (!snapshot.ok()) return snapshot.status();
        status = apply_snapshot(*snapshot, record->detail == 1);
        break;
      }
      case RecordKind::kTerm: {
        const absl::StatusOr<Term> decoded = decode_term(record->payload);
        if (!decoded.ok()) return decoded.status();
        term = *decoded;
        break;
      }
      case RecordKind::kEntry:
        status = apply_entry(index, term, *record);
        index = index.next();
        ++entries;
        break;
      default:
        return absl::DataLossError(
            absl::StrCat("a record has unknown kind ", static_cast<int>(record->kind)));
    }
    if (!status.ok()) return status;
  }
  if (entries != header.entry_count) {
    return absl::DataLossError(
        absl::StrCat("it holds ", entries, " entries where its header says ", header.entry_count));
  }
  if (index != recovered_.last_index.next()) {
    return absl::DataLossError(absl::StrCat("it ends before index ", index.value,
                                            " and the log at ", recovered_.last_index.value));
  }
  return absl::OkStatus();
}

absl::Status Replay::apply_snapshot(const raft::SnapshotMetadata& snapshot, bool replaces_log) {
  if (replaces_log) {
    if (snapshot.index.value == UINT64_MAX) return absl::DataLossError("its snapshot has no next");
    recovered_.entries.clear();
    recovered_.last_index = snapshot.index;
    first_held_ = snapshot.index.next();
  } else if (snapshot.index > recovered_.last_index) {
    return absl::DataLossError(absl::StrCat("its snapshot marker at index ", snapshot.index.value,
                                            " lies beyond the log's end at ",
                                            recovered_.last_index.value));
  }
  recovered_.snapshot = snapshot;
  return absl::OkStatus();
}

absl::Status Replay::apply_entry(Index index, Term term, const RecordReader::Record& record) {
  if (record.detail > static_cast<std::uint8_t>(raft::EntryType::kConfChange)) {
    return absl::DataLossError(
        absl::StrCat("entry ", index.value, " has unknown type ", static_cast<int>(record.detail)));
  }
  if (index > recovered_.last_index.next() || index.value == UINT64_MAX) {
    return absl::DataLossError(absl::StrCat("entry ", index.value, " follows entry ",
                                            recovered_.last_index.value, ": entries are missing"));
  }
  if (index <= recovered_.last_index) drop_from(index);
  recovered_.last_index = index;
  if (index > entries_after_) {
    recovered_.entries.push_back(
        {term, index, static_cast<raft::EntryType>(record.detail), Bytes(record.payload)});
  }
  return absl::OkStatus();
}

void Replay::drop_from(Index index) {
  first_held_ = std::min(first_held_, index);
  std::vector<raft::Entry>& entries = recovered_.entries;
  if (entries.empty()) return;
  const Index first = entries.front().index;
  const std::size_t kept = index > first ? index.value - first.value : 0;
  if (kept < entries.size()) entries.resize(kept);
}

absl::Status Replay::finish() const {
  if (recovered_.snapshot.index.next() >= first_held_) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "the log begins at index ", first_held_.value, ", after its last snapshot marker at ",
      recovered_.snapshot.index.value, ": segments are missing"));
}

}  // namespace holdfast::wal
