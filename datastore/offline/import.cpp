#include "datastore/offline/import.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/member_json.h"
#include "datastore/node/identity.h"
#include "datastore/offline/new_data_directory.h"
#include "datastore/platform/descriptor.h"
#include "datastore/storage/bbolt_reader.h"
#include "datastore/storage/layout.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/storage/snapshot_import.h"
#include "datastore/wal/etcd_log.h"
#include "datastore/wal/wal.h"

namespace holdfast::offline {
namespace {

constexpr Index kNoEntries{std::numeric_limits<std::uint64_t>::max()};

/// An etcd's database while nobody else may write it.
struct EtcdStore {
  platform::Descriptor lock;
  std::string path;
  std::unique_ptr<storage::BboltReader> reader;
  Index consistent_index;
  Term term;
};

/// bbolt's own lock: held by every etcd that runs.
absl::StatusOr<platform::Descriptor> lock_database(const std::string& path) {
  platform::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("can't open etcd's database ", path));
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("an etcd runs on ", path, ": stop it first; nothing was changed"));
  }
  return file;
}

absl::StatusOr<std::uint64_t> meta_number(const storage::BboltReader& reader, BytesView key) {
  const absl::StatusOr<Bytes> bytes = reader.get("meta", key);
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() != sizeof(std::uint64_t)) {
    return absl::DataLossError(
        absl::StrCat("etcd's ", std::string(key), " has ", bytes->size(), " bytes, not 8"));
  }
  return load_be64(bytes->data());
}

absl::StatusOr<EtcdStore> open_store(const std::string& path) {
  absl::StatusOr<platform::Descriptor> lock = lock_database(path);
  if (!lock.ok()) return lock.status();
  EtcdStore store{.lock = *std::move(lock), .path = path};
  absl::StatusOr<std::unique_ptr<storage::BboltReader>> reader =
      storage::BboltReader::open(path, {.verify_digest = false});
  if (!reader.ok()) return reader.status();
  store.reader = *std::move(reader);
  const absl::StatusOr<std::uint64_t> index = meta_number(*store.reader, "consistent_index");
  if (!index.ok()) return index.status();
  const absl::StatusOr<std::uint64_t> term = meta_number(*store.reader, "term");
  if (!term.ok()) return term.status();
  store.consistent_index = Index(*index);
  store.term = Term(*term);
  return store;
}

/// The store that the log goes on from: the database, or a state that a leader sent and the etcd
/// had marked in its log but not taken over yet.
absl::StatusOr<EtcdStore> choose_store(ports::Disk& disk, const std::string& directory,
                                       const wal::EtcdLog& log) {
  absl::StatusOr<EtcdStore> store = open_store(absl::StrCat(directory, "/db"));
  if (!store.ok()) return store.status();
  for (auto marker = log.snapshots.rbegin(); marker != log.snapshots.rend(); ++marker) {
    if (marker->index <= store->consistent_index) break;
    const std::string path =
        absl::StrCat(directory, "/", storage::snapshot_file_name(marker->index));
    const absl::StatusOr<bool> received = disk.exists(path);
    if (!received.ok()) return received.status();
    if (*received) return open_store(path);
  }
  return store;
}

absl::StatusOr<raft::ConfState> members_of(const storage::BboltReader& reader) {
  absl::StatusOr<storage::BboltCursor> cursor = reader.bucket("members");
  if (!cursor.ok()) return cursor.status();
  raft::ConfState conf;
  for (cursor->seek({}); cursor->valid(); cursor->next()) {
    const absl::StatusOr<codec::Member> member = codec::decode_member_json(cursor->value());
    if (!member.ok()) return member.status();
    (member->is_learner ? conf.learners : conf.voters).push_back(member->id);
  }
  if (!cursor->status().ok()) return cursor->status();
  std::sort(conf.voters.begin(), conf.voters.end());
  std::sort(conf.learners.begin(), conf.learners.end());
  return conf;
}

/// Whether holdfast can apply every entry: what it can't would stop it when it starts.
absl::Status check_entries(const wal::EtcdLog& log) {
  for (const raft::Entry& entry : log.entries) {
    if (entry.type != raft::EntryType::kNormal || entry.data.empty()) continue;
    statemachine::Command command;
    if (absl::Status status = codec::decode_internal(entry.data, &command); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "etcd's log entry ", entry.index.value, " is none that holdfast can apply (",
          status.message(),
          "); nothing was changed. An etcd 3.6 or 3.7 leaves such entries behind "
          "with its next snapshot: let it run once more with --snapshot-count=1 and some writes."));
    }
  }
  return absl::OkStatus();
}

absl::Status check_fits(const wal::EtcdLog& log, const EtcdStore& store) {
  const Index reached = store.consistent_index;
  if (log.last_index < reached) {
    return absl::DataLossError(absl::StrCat("etcd's log ends at entry ", log.last_index.value,
                                            ", but ", store.path, " has applied entry ",
                                            reached.value,
                                            ": they are not of one moment. Nothing was changed."));
  }
  if (log.term_before && log.term_before != store.term) {
    return absl::DataLossError(absl::StrCat("etcd's log has entry ", reached.value, " in term ",
                                            log.term_before.value, ", but ", store.path,
                                            " applied one of term ", store.term.value,
                                            ": they are not of one cluster. Nothing was changed."));
  }
  return absl::OkStatus();
}

absl::Status write_log(ports::Disk& disk, ports::Random& random, const std::string& directory,
                       const wal::EtcdLog& log, const EtcdStore& store, raft::ConfState conf) {
  std::uint64_t marker = 0;
  while (marker == 0) marker = random.next();
  raft::HardState begin = log.hard_state;
  begin.commit = store.consistent_index;
  begin.term = std::max(begin.term, store.term);
  absl::StatusOr<std::unique_ptr<wal::Wal>> made = wal::Wal::create(
      disk, directory, log.identity, marker,
      {.snapshot = {std::move(conf), store.consistent_index, store.term}, .hard_state = begin});
  if (!made.ok()) return made.status();
  wal::Batch rest;
  rest.entries = log.entries;
  rest.hard_state = begin;
  const Index last = log.entries.empty() ? store.consistent_index : log.entries.back().index;
  rest.hard_state->commit = std::clamp(log.hard_state.commit, store.consistent_index, last);
  return (*made)->append(rest);
}

}  // namespace

absl::Status import_etcd(ports::Disk& disk, ports::Random& random, const ImportRequest& request,
                         telemetry::Logger& log) {
  const std::string wal_directory = request.etcd_wal_dir.empty()
                                        ? storage::wal_directory(request.etcd_data_dir)
                                        : request.etcd_wal_dir;
  const absl::StatusOr<wal::EtcdLog> overview = wal::read_etcd_log(disk, wal_directory, kNoEntries);
  if (!overview.ok()) return overview.status();
  const absl::StatusOr<EtcdStore> store =
      choose_store(disk, storage::snapshot_directory(request.etcd_data_dir), *overview);
  if (!store.ok()) return store.status();
  // Again, now that the etcd is known to have stopped and where the store ends.
  const absl::StatusOr<wal::EtcdLog> rest =
      wal::read_etcd_log(disk, wal_directory, store->consistent_index);
  if (!rest.ok()) return rest.status();
  if (absl::Status status = check_fits(*rest, *store); !status.ok()) return status;
  if (absl::Status status = check_entries(*rest); !status.ok()) return status;
  absl::StatusOr<raft::ConfState> conf = members_of(*store->reader);
  if (!conf.ok()) return conf.status();

  absl::StatusOr<NewDataDirectory> made =
      NewDataDirectory::begin(disk, request.data_dir, request.wal_dir);
  if (!made.ok()) return made.status();
  log.info("importing an etcd member", {{"from", request.etcd_data_dir},
                                        {"data-dir", request.data_dir},
                                        {"member-id", node::to_hex(rest->identity.member.value)},
                                        {"cluster-id", node::to_hex(rest->identity.cluster.value)},
                                        {"store", store->path},
                                        {"applied-index", store->consistent_index.value},
                                        {"last-index", rest->last_index.value}});
  if (rest->torn_tail.cut_bytes > 0) {
    log.warn("left out the torn tail of etcd's log; nothing of it was ever acknowledged",
             {{"file", rest->torn_tail.file}, {"offset", rest->torn_tail.offset}});
  }
  absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> backend =
      storage::LmdbBackend::open({.directory = storage::store_directory(made->path())});
  if (!backend.ok()) return backend.status();
  const absl::StatusOr<storage::ImportResult> imported =
      storage::import_snapshot(*store->reader, **backend, {});
  if (!imported.ok()) return imported.status();
  backend->reset();
  if (absl::Status status =
          write_log(disk, random, made->wal_directory(), *rest, *store, *std::move(conf));
      !status.ok()) {
    return status;
  }
  if (absl::Status status = made->finish(); !status.ok()) return status;
  log.info(
      "imported: start holdfast with this member's flags and the new data directory; never "
      "start the etcd on the old one again",
      {{"data-dir", request.data_dir},
       {"keys-and-revisions", imported->entries},
       {"revision", imported->latest.value},
       {"entries-to-apply", rest->entries.size()}});
  return absl::OkStatus();
}

}  // namespace holdfast::offline
