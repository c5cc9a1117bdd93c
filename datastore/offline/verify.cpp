#include "datastore/offline/verify.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/offline/key_histories.h"
#include "datastore/offline/output.h"
#include "datastore/offline/snapshot_status.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/statemachine/statemachine.h"
#include "datastore/storage/bbolt_backend.h"

namespace holdfast::offline {
namespace {

/// Reads every bucket to its end, and the history in `key`.
absl::StatusOr<std::string> check_buckets(ports::KvBackend& backend) {
  const absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = backend.begin_read();
  if (!read.ok()) return read.status();
  KeyHistories histories;
  std::uint64_t others = 0;
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    const auto bucket = static_cast<ports::Bucket>(i);
    const std::unique_ptr<ports::BackendCursor> cursor = (*read)->cursor(bucket);
    for (cursor->seek({}); cursor->valid(); cursor->next()) {
      if (bucket != ports::Bucket::kKey) {
        ++others;
      } else if (absl::Status status = histories.add(cursor->key(), cursor->value());
                 !status.ok()) {
        return status;
      }
    }
    if (!cursor->status().ok()) return cursor->status();
  }
  return absl::StrCat(histories.entries(), " revisions of ", histories.live_keys(),
                      " live keys and ", others, " other entries, every checksum and history");
}

absl::Status verify_file(const std::string& path, Passed passed) {
  const absl::StatusOr<SnapshotStatus> status = read_snapshot_status(path);
  if (!status.ok()) return status.status();
  absl::StatusOr<std::unique_ptr<storage::BboltReader>> file =
      storage::BboltReader::open(path, {.verify_digest = false});
  if (!file.ok()) return file.status();
  passed(absl::StrCat(
      "file: ", human_bytes(status->size_bytes), ", every page, ",
      (*file)->has_digest() ? "its SHA-256 too" : "no SHA-256 (not saved as a snapshot)"));
  storage::BboltBackend backend(*std::move(file));
  const absl::StatusOr<std::string> content = check_buckets(backend);
  if (!content.ok()) return content.status();
  passed(absl::StrCat("content: ", *content));
  const auto machine = statemachine::StateMachine::open(backend, {});
  if (!machine.ok()) return machine.status();
  passed(absl::StrCat("state: opens at revision ", (*machine)->store().revision().value, ", ",
                      (*machine)->cluster()->members.size(), " members, ",
                      (*machine)->lessor().size(), " leases"));
  return absl::OkStatus();
}

absl::Status verify_member(ports::Disk& disk, const DataPaths& paths, Passed passed) {
  const absl::StatusOr<StoppedMember> member = read_stopped_member(disk, paths);
  if (!member.ok()) return member.status();
  const wal::Recovered& log = member->log.recovered;
  passed(absl::StrCat("log: ", member->log.segments.size(), " segments up to entry ",
                      log.last_index.value, ", every batch and the chain",
                      log.torn_tail.cut_bytes > 0
                          ? absl::StrCat("; a torn tail of ", log.torn_tail.cut_bytes,
                                         " bytes, of which nothing was acknowledged")
                          : ""));
  const absl::StatusOr<std::string> content = check_buckets(*member->backend);
  if (!content.ok()) return content.status();
  passed(absl::StrCat("store: ", *content));
  if (member->install_is_unfinished) {
    passed(
        "state: a state of the leader is to be taken over; start the member once to "
        "verify the rest");
    return absl::OkStatus();
  }
  passed(absl::StrCat("state: at entry ", member->stored_index.value, " in the store, ",
                      member->machine->applied_index().value,
                      " with what the log has committed beyond, revision ",
                      member->machine->store().revision().value));
  return absl::OkStatus();
}

}  // namespace

absl::Status verify(ports::Disk& disk, const DataPaths& named, Passed passed) {
  std::error_code error;
  if (!std::filesystem::is_directory(named.data_dir, error)) {
    return verify_file(named.data_dir, passed);
  }
  return verify_member(disk, named, passed);
}

}  // namespace holdfast::offline
