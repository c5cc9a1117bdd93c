#include "datastore/peer/snapshot_receiver.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/peer/refusal.h"

namespace holdfast::peer {
namespace {

/// Handed to the worker at a time, at least, but for the last.
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
/// Written between two syncs, so that the last one does not take long.
constexpr std::uint64_t kSyncBytes = std::uint64_t{32} << 20;
constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
constexpr char kTemporarySuffix[] = ".tmp";

/// The file being written. On a worker, one call at a time.
class SpoolFile {
 public:
  SpoolFile(SnapshotFiles& files, Index index)
      : files_(files), path_(files.path(index)), temporary_(files.temporary_path(index)) {}
  ~SpoolFile() {
    if (file_ == nullptr) return;
    file_.reset();
    // What is left of a transfer that failed; prepare() finds it if this does not work.
    files_.disk().remove(temporary_).IgnoreError();
  }
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  absl::Status write(BytesView bytes) {
    if (file_ == nullptr) {
      auto opened = files_.disk().open(temporary_, ports::Disk::Open::kCreate);
      if (!opened.ok()) return opened.status();
      file_ = *std::move(opened);
    }
    if (absl::Status status = file_->write(written_, {bytes}); !status.ok()) return status;
    written_ += bytes.size();
    if (written_ - synced_ < kSyncBytes) return absl::OkStatus();
    synced_ = written_;
    return file_->sync();
  }

  /// Durable, under its own name. Answers the path.
  absl::StatusOr<std::string> commit() {
    if (file_ == nullptr) return absl::InvalidArgumentError("the database is empty");
    if (absl::Status status = file_->sync(); !status.ok()) return status;
    if (absl::Status status = files_.disk().rename(temporary_, path_); !status.ok()) return status;
    file_.reset();
    if (absl::Status status = files_.disk().sync_directory(files_.directory()); !status.ok()) {
      return status;
    }
    return path_;
  }

 private:
  SnapshotFiles& files_;
  const std::string path_;
  const std::string temporary_;
  std::unique_ptr<ports::File> file_;
  std::uint64_t written_ = 0;
  std::uint64_t synced_ = 0;
};

/// Shared by the upload, which goes with its request, and the worker's piece of work.
class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(Context& context, SnapshotFiles& files, std::shared_ptr<std::size_t> active,
           MemberId peer, net::HttpResponderRef responder)
      : context_(context),
        files_(files),
        active_(std::move(active)),
        peer_(peer),
        responder_(std::move(responder)),
        began_(net::EventLoop::Clock::now()),
        progress_timer_([](void* self) { static_cast<Transfer*>(self)->on_progress_due(); }, this) {
    ++*active_;
  }
  ~Transfer() { --*active_; }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void on_body(BytesView bytes) {
    if (finished_) return;
    context_.observer.received(peer_, bytes.size());
    bytes = take_envelope(bytes);
    if (finished_ || bytes.empty()) return;
    received_bytes_ += bytes.size();
    gathered_.append(bytes);
    write_gathered();
    if (gathered_.size() > context_.options.snapshot_buffer_bytes) responder_->pause_body();
  }

  void on_end() {
    if (finished_) return;
    if (spool_ == nullptr) return refuse(400, "failed to decode raft message (unexpected EOF)");
    ended_ = true;
    write_gathered();
  }

  void on_cancelled() { finish(absl::CancelledError("the peer has gone")); }

 private:
  /// Takes what belongs to the envelope, and answers the rest: the database's bytes.
  BytesView take_envelope(BytesView bytes);
  void on_envelope(BytesView encoded);
  /// Gives the worker what has come, if it is idle and that is enough or all.
  void write_gathered();
  void on_written(const absl::Status& status);
  void commit();
  void on_committed(absl::StatusOr<std::string> path);
  void on_stepped(const absl::Status& status);
  void refuse(int status, std::string_view text);
  void finish(const absl::Status& status);
  void on_progress_due();
  PeerObserver::SnapshotProgress progress() const;

  Context& context_;
  SnapshotFiles& files_;
  const std::shared_ptr<std::size_t> active_;
  const MemberId peer_;
  net::HttpResponderRef responder_;
  Bytes envelope_;  // its length and itself, until whole
  raft::Message message_;
  std::shared_ptr<SpoolFile> spool_;  // once the envelope is read
  Bytes gathered_;
  std::uint64_t received_bytes_ = 0;
  bool started_ = false;
  bool writing_ = false;
  bool ended_ = false;
  bool finished_ = false;
  const net::EventLoop::Clock::time_point began_;
  net::Timer progress_timer_;
};

// --- the envelope -------------------------------------------------------------------------------

BytesView Transfer::take_envelope(BytesView bytes) {
  while (spool_ == nullptr && !finished_ && !bytes.empty()) {
    const bool has_length = envelope_.size() >= kLengthBytes;
    const std::uint64_t need =
        has_length ? kLengthBytes + load_be64(envelope_.data()) : kLengthBytes;
    const BytesView part = bytes.substr(0, need - envelope_.size());
    envelope_.append(part);
    bytes.remove_prefix(part.size());
    if (envelope_.size() < kLengthBytes) continue;
    const std::uint64_t length = load_be64(envelope_.data());
    if (length > context_.options.max_snapshot_envelope_bytes) {
      refuse(400, "failed to decode raft message (read limit exceeded)");
    } else if (envelope_.size() == kLengthBytes + length) {
      on_envelope(BytesView(envelope_).substr(kLengthBytes));
      envelope_ = {};
    }
  }
  return bytes;
}

void Transfer::on_envelope(BytesView encoded) {
  if (absl::Status status = codec::decode(encoded, &message_); !status.ok()) {
    return refuse(400, absl::StrCat("failed to decode raft message (", status.message(), ")"));
  }
  if (message_.type != raft::MessageType::kSnap) return refuse(400, "wrong raft message type");
  if (message_.to != context_.options.self || context_.is_removed(message_.from)) {
    context_.observer.message_refused(message_.from, "a snapshot that is not for us");
    return refuse(500, "failed to process raft message (it is addressed to another member)");
  }
  spool_ = std::make_shared<SpoolFile>(files_, message_.snapshot.index);
  started_ = true;
  context_.observer.snapshot_started(progress());
  context_.loop.arm(progress_timer_, context_.options.snapshot_progress_interval);
}

// --- the database -------------------------------------------------------------------------------

void Transfer::write_gathered() {
  if (writing_) return;
  if (gathered_.size() < kWriteBytes && !ended_) return;
  if (gathered_.empty()) return commit();
  writing_ = true;
  context_.workers.submit([self = shared_from_this(), spool = spool_,
                           bytes = std::exchange(gathered_, {})]() mutable {
    absl::Status status = spool->write(bytes);
    spool.reset();
    net::EventLoop& loop = self->context_.loop;
    loop.post([self = std::move(self), status = std::move(status)] { self->on_written(status); });
  });
}

void Transfer::on_written(const absl::Status& status) {
  writing_ = false;
  if (finished_) return spool_.reset();
  if (!status.ok()) {
    return refuse(500, absl::StrCat("failed to save KV snapshot (", status.message(), ")"));
  }
  write_gathered();
  if (gathered_.size() <= context_.options.snapshot_buffer_bytes) responder_->resume_body();
}

void Transfer::commit() {
  writing_ = true;
  context_.workers.submit([self = shared_from_this(), spool = spool_]() mutable {
    absl::StatusOr<std::string> path = spool->commit();
    spool.reset();
    net::EventLoop& loop = self->context_.loop;
    loop.post([self = std::move(self), path = std::move(path)]() mutable {
      self->on_committed(std::move(path));
    });
  });
}

void Transfer::on_committed(absl::StatusOr<std::string> path) {
  writing_ = false;
  spool_.reset();
  if (!path.ok()) {
    return refuse(500, absl::StrCat("failed to save KV snapshot (", path.status().message(), ")"));
  }
  // Even if the peer has gone meanwhile: the state is whole, and of use.
  context_.port->step_snapshot(
      std::move(message_), *std::move(path),
      [self = shared_from_this()](const absl::Status& status) { self->on_stepped(status); },
      context_.mailbox);
}

void Transfer::on_stepped(const absl::Status& status) {
  if (!status.ok()) {
    return refuse(500, absl::StrCat("failed to process raft message (", status.message(), ")"));
  }
  if (finished_) return;
  responder_->respond(204, cluster_header(context_.options), {});
  finish(absl::OkStatus());
}

// --- the end ------------------------------------------------------------------------------------

void Transfer::refuse(int status, std::string_view text) {
  if (finished_) return;
  answer_error(*responder_, context_.options, status, text);
  finish(absl::UnavailableError(absl::string_view(text.data(), text.size())));
}

void Transfer::finish(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  progress_timer_.cancel();
  if (started_) context_.observer.snapshot_finished(progress(), status);
  if (!writing_) spool_.reset();
  // It holds us by its callbacks, and may be calling one.
  context_.loop.post([responder = std::exchange(responder_, nullptr)] { responder->abandon(); });
}

PeerObserver::SnapshotProgress Transfer::progress() const {
  return {.peer = peer_,
          .index = message_.snapshot.index,
          .way = Direction::kIncoming,
          .bytes = received_bytes_,
          .took = net::EventLoop::Clock::now() - began_};
}

void Transfer::on_progress_due() {
  context_.loop.arm(progress_timer_, context_.options.snapshot_progress_interval);
  context_.observer.snapshot_progressed(progress());
}

class Upload final : public net::HttpUpload {
 public:
  explicit Upload(std::shared_ptr<Transfer> transfer) : transfer_(std::move(transfer)) {}
  void on_body(BytesView bytes) override { transfer_->on_body(bytes); }
  void on_end() override { transfer_->on_end(); }

 private:
  const std::shared_ptr<Transfer> transfer_;
};

}  // namespace

// --- files --------------------------------------------------------------------------------------

absl::Status SnapshotFiles::prepare() {
  if (absl::Status status = disk_.make_directories(directory_); !status.ok()) return status;
  const absl::StatusOr<std::vector<std::string>> names = disk_.list(directory_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, kTemporarySuffix)) continue;
    if (absl::Status status = disk_.remove(absl::StrCat(directory_, "/", name)); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

std::string SnapshotFiles::path(Index index) const {
  return absl::StrFormat("%s/%016x.snap.db", directory_, index.value);
}

std::string SnapshotFiles::temporary_path(Index index) {
  return absl::StrCat(path(index), ".", next_.fetch_add(1), kTemporarySuffix);
}

std::unique_ptr<net::HttpUpload> receive_snapshot(Context& context, SnapshotFiles& files,
                                                  std::shared_ptr<std::size_t> active,
                                                  MemberId peer, net::HttpResponderRef responder) {
  if (*active >= context.options.max_snapshots_received) {
    answer_error(*responder, context.options, 503,
                 "too many snapshots are being received; it is sent again");
    return nullptr;
  }
  auto transfer = std::make_shared<Transfer>(context, files, std::move(active), peer, responder);
  responder->set_on_cancelled([transfer] { transfer->on_cancelled(); });
  return std::make_unique<Upload>(std::move(transfer));
}

}  // namespace holdfast::peer
