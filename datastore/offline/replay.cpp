#include "datastore/offline/replay.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/archive/segment.h"
#include "datastore/archive/timeline.h"
#include "datastore/crypto/digest.h"
#include "datastore/offline/apply_entry.h"
#include "datastore/statemachine/statemachine.h"
#include "datastore/storage/bbolt_reader.h"
#include "datastore/storage/bbolt_writer.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/storage/snapshot_import.h"

namespace holdfast::offline {
namespace {

/// Applied and not yet in the store on disk: what memory the replay takes.
constexpr std::size_t kMaxPendingBytes = std::size_t{16} << 20;

struct SegmentFile {
  archive::SegmentName name;
  std::string path;
};

/// In the order of their first entries.
absl::StatusOr<std::vector<SegmentFile>> list_segments(ports::Disk& disk,
                                                       const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names = disk.list(directory);
  if (!names.ok()) return names.status();
  std::vector<SegmentFile> found;
  for (const std::string& name : *names) {
    const std::optional<archive::SegmentName> parsed = archive::SegmentName::parse(name);
    if (parsed) found.push_back({*parsed, absl::StrCat(directory, "/", name)});
  }
  std::ranges::sort(found, {}, [](const SegmentFile& file) {
    return std::pair(file.name.first, file.name.last);
  });
  return found;
}

/// What whoever made the archive said of its end, if they did.
absl::StatusOr<archive::ArchivedUntil> read_archived_until(ports::Disk& disk,
                                                           const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", std::string(archive::kArchivedUntilFile));
  const absl::StatusOr<bool> exists = disk.exists(path);
  if (!exists.ok()) return exists.status();
  if (!*exists) return archive::ArchivedUntil{};
  const absl::StatusOr<std::unique_ptr<ports::FileContent>> content = disk.map(path);
  if (!content.ok()) return content.status();
  return archive::parse_archived_until((*content)->bytes());
}

/// A store beside the output, for the time of the replay.
class ScratchStore {
 public:
  static absl::StatusOr<ScratchStore> make(const std::string& directory) {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);  // of one that was interrupted
    absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> backend = storage::LmdbBackend::open(
        {.directory = directory, .unsafe_no_fsync = true});  // thrown away in any case
    if (!backend.ok()) return backend.status();
    return ScratchStore(directory, *std::move(backend));
  }
  ScratchStore(ScratchStore&&) = default;
  ~ScratchStore() {
    if (backend_ == nullptr) return;
    backend_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  storage::LmdbBackend& backend() { return *backend_; }

 private:
  ScratchStore(std::string directory, std::unique_ptr<storage::LmdbBackend> backend)
      : directory_(std::move(directory)), backend_(std::move(backend)) {}

  std::string directory_;
  std::unique_ptr<storage::LmdbBackend> backend_;
};

/// A state on its way through an archive.
class Replay {
 public:
  Replay(ports::Disk& disk, const ReplayRequest& request, storage::LmdbBackend& backend,
         statemachine::StateMachine& machine)
      : disk_(disk), request_(request), backend_(backend), machine_(machine) {}

  absl::Status run(const std::vector<SegmentFile>& segments) {
    if (request_.to_revision && *request_.to_revision < machine_.store().revision()) {
      return absl::OutOfRangeError(
          absl::StrCat("revision ", request_.to_revision->value, " lies before the snapshot's, ",
                       machine_.store().revision().value, ": begin with an earlier snapshot"));
    }
    if (absl::Status status = check_moment(segments); !status.ok()) return status;
    ended_ = is_there();
    for (const SegmentFile& segment : segments) {
      if (ended_) break;
      if (segment.name.last < machine_.applied_index()) continue;
      if (absl::Status status = apply(segment); !status.ok()) return status;
    }
    if (absl::Status status = drain(0); !status.ok()) return status;
    if (request_.to_revision && !is_there()) {
      return absl::OutOfRangeError(absl::StrCat(
          "the archive ends at entry ", machine_.applied_index().value, ", revision ",
          machine_.store().revision().value, ", before revision ", request_.to_revision->value));
    }
    done_.applied_index = machine_.applied_index();
    done_.revision = machine_.store().revision();
    return absl::OkStatus();
  }
  const Replayed& done() const { return done_; }

 private:
  bool is_there() const {
    return request_.to_revision && machine_.store().revision() >= *request_.to_revision;
  }

  /// That the archive tells what the state was then, before anything is applied.
  absl::Status check_moment(const std::vector<SegmentFile>& segments) {
    if (!request_.to_time) return absl::OkStatus();
    const std::int64_t moment_ms = absl::ToUnixMillis(*request_.to_time);
    archive::Timeline timeline(machine_.applied_index(), 0);
    for (const SegmentFile& segment : segments) {
      if (timeline.is_settled(moment_ms)) break;
      const absl::StatusOr<std::unique_ptr<ports::FileContent>> content = disk_.map(segment.path);
      if (!content.ok()) return content.status();
      if (absl::Status status = timeline.add((*content)->bytes()); !status.ok()) {
        return about(segment, status);
      }
    }
    if (!timeline.is_settled(moment_ms)) {
      const auto end = read_archived_until(disk_, request_.archive_dir);
      if (!end.ok()) return end.status();
      timeline.end_at(*end);
    }
    return timeline.check(moment_ms, {"--to-time", "--to-revision", "snapshot"});
  }

  absl::Status apply(const SegmentFile& file) {
    const absl::StatusOr<std::unique_ptr<ports::FileContent>> content = disk_.map(file.path);
    if (!content.ok()) return content.status();
    absl::StatusOr<archive::SegmentReader> segment =
        archive::SegmentReader::open((*content)->bytes());
    if (!segment.ok()) return about(file, segment.status());
    if (absl::Status status = check_joint(file, segment->joint()); !status.ok()) return status;
    while (!ended_) {
      absl::StatusOr<std::optional<archive::Batch>> batch = segment->next();
      if (!batch.ok()) return about(file, batch.status());
      if (!batch->has_value()) return absl::OkStatus();
      if (absl::Status status = apply(file, **batch); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status check_joint(const SegmentFile& file, const archive::Joint& joint) {
    if (cluster_ && joint.cluster != *cluster_) {
      return absl::DataLossError(
          absl::StrCat(file.path, " is of another cluster than the segments before it"));
    }
    cluster_ = joint.cluster;
    if (joint.index > machine_.applied_index()) return lacks_entries(joint.index);
    return check_term(file, joint.index, joint.term);
  }

  absl::Status lacks_entries(Index last) const {
    const std::string known =
        done_.known_at
            ? absl::StrCat(", as of ", archive::text_of_ms(absl::ToUnixMillis(*done_.known_at)))
            : std::string();
    return absl::DataLossError(absl::StrCat(
        "the archive lacks entries ", machine_.applied_index().next().value, " to ", last.value,
        ": the state can be followed to revision ", machine_.store().revision().value, known,
        ", only; ask for that one or an earlier one, or begin with a snapshot that has entry ",
        last.value));
  }

  /// That the archive is of the state's own history.
  absl::Status check_term(const SegmentFile& file, Index index, Term term) const {
    if (index != machine_.applied_index() || !term || term == machine_.applied_term()) {
      return absl::OkStatus();
    }
    return absl::DataLossError(
        absl::StrCat(file.path, " is of another history: it has entry ", index.value, " in term ",
                     term.value, ", the state applied it in term ", machine_.applied_term().value));
  }

  absl::Status apply(const SegmentFile& file, const archive::Batch& batch) {
    const absl::Time known_at = absl::FromUnixMillis(batch.known_at_ms);
    for (const raft::Entry& entry : batch.entries) {
      if (entry.index <= machine_.applied_index()) {
        if (absl::Status status = check_term(file, entry.index, entry.term); !status.ok()) {
          return status;
        }
        continue;
      }
      if (request_.to_time && known_at > *request_.to_time) {
        ended_ = true;
        return absl::OkStatus();
      }
      if (absl::Status status = apply_entry(entry, machine_); !status.ok()) return status;
      machine_.end_batch();
      ++done_.entries;
      done_.known_at = known_at;
      ended_ = is_there();
      if (ended_) return absl::OkStatus();
      if (absl::Status status = drain(kMaxPendingBytes); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  /// Until no more than `keep_bytes` wait for the store.
  absl::Status drain(std::size_t keep_bytes) {
    mvcc::Store& store = machine_.store();
    if (store.pending_bytes() <= keep_bytes && keep_bytes > 0) return absl::OkStatus();
    while (true) {
      mvcc::DrainBatch batch = store.take_drain(kMaxPendingBytes);
      if (batch.empty()) return absl::OkStatus();
      if (absl::Status status = backend_.commit(batch.writes()); !status.ok()) return status;
      store.drained(std::move(batch));
    }
  }

  static absl::Status about(const SegmentFile& file, const absl::Status& why) {
    return absl::Status(why.code(), absl::StrCat(file.path, ": ", why.message()));
  }

  ports::Disk& disk_;
  const ReplayRequest& request_;
  storage::LmdbBackend& backend_;
  statemachine::StateMachine& machine_;
  std::optional<ClusterId> cluster_;
  bool ended_ = false;
  Replayed done_;
};

absl::Status write_snapshot(ports::Disk& disk, storage::LmdbBackend& backend,
                            const std::string& path) {
  const absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = backend.begin_read();
  if (!read.ok()) return read.status();
  absl::StatusOr<storage::BboltWriter> writer = storage::BboltWriter::plan(**read, {});
  if (!writer.ok()) return writer.status();
  const std::string unfinished = path + ".part";
  (void)disk.remove(unfinished);  // of one that was interrupted
  absl::StatusOr<std::unique_ptr<ports::File>> file =
      disk.open(unfinished, ports::Disk::Open::kCreate);
  if (!file.ok()) return file.status();
  crypto::Sha256 sum;
  std::uint64_t at = 0;
  const auto append = [&](BytesView bytes) {
    const std::uint64_t offset = std::exchange(at, at + bytes.size());
    return (*file)->write(offset, {bytes});
  };
  absl::Status status = writer->write([&](BytesView bytes) {
    sum.update(bytes);
    return append(bytes);
  });
  const crypto::Sha256Digest digest = sum.finish();
  if (status.ok()) status = append(BytesView(digest.data(), digest.size()));
  if (status.ok()) status = (*file)->sync();
  if (status.ok()) status = disk.rename(unfinished, path);
  if (!status.ok()) {
    (void)disk.remove(unfinished);
    return status;
  }
  return disk.sync_directory(std::filesystem::absolute(path).parent_path().string());
}

}  // namespace

absl::StatusOr<Replayed> replay(ports::Disk& disk, const ReplayRequest& request) {
  const absl::StatusOr<bool> exists = disk.exists(request.output_file);
  if (!exists.ok()) return exists.status();
  if (*exists) {
    return absl::AlreadyExistsError(
        absl::StrCat(request.output_file, " is there already; name another file"));
  }
  const absl::StatusOr<std::vector<SegmentFile>> segments =
      list_segments(disk, request.archive_dir);
  if (!segments.ok()) return segments.status();
  const absl::StatusOr<std::unique_ptr<storage::BboltReader>> snapshot =
      storage::BboltReader::open(request.snapshot_file, {.verify_digest = true});
  if (!snapshot.ok()) return snapshot.status();
  absl::StatusOr<ScratchStore> scratch = ScratchStore::make(request.output_file + ".replay");
  if (!scratch.ok()) return scratch.status();
  const absl::StatusOr<storage::ImportResult> imported =
      storage::import_snapshot(**snapshot, scratch->backend(), {});
  if (!imported.ok()) return imported.status();
  Replayed done;
  {
    const absl::StatusOr<std::unique_ptr<statemachine::StateMachine>> machine =
        statemachine::StateMachine::open(scratch->backend(), {});
    if (!machine.ok()) return machine.status();
    Replay replay(disk, request, scratch->backend(), **machine);
    if (absl::Status status = replay.run(*segments); !status.ok()) return status;
    done = replay.done();
  }
  if (absl::Status status = write_snapshot(disk, scratch->backend(), request.output_file);
      !status.ok()) {
    return status;
  }
  return done;
}

}  // namespace holdfast::offline
