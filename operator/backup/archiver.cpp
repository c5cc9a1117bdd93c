#include "operator/backup/archiver.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "datastore/archive/segment.h"
#include "datastore/archive/timeline.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/archive_folder.h"
#include "operator/backup/archive_head.h"
#include "operator/backup/archive_page.h"
#include "operator/backup/archive_pruner.h"
#include "operator/member/client.h"

namespace holdfast::backup {
namespace {

using archive::Joint;
using archive::SegmentWriter;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstWait{200};
constexpr milliseconds kLongestWait{30'000};
/// Without any progress: a fresh process reads certificates and passwords anew.
constexpr milliseconds kLongestTrouble{180'000};
/// Looks at how far the cluster is: four to an interval, within these.
constexpr milliseconds kShortestLook{1'000};
constexpr milliseconds kLongestLook{2'500};
static_assert(4 * kLongestLook.count() <= archive::kPrecisionMs, "a missed look makes no gap");
/// Of looks whose entries are not stored yet.
constexpr std::size_t kMaxMarks = 64;
/// The head while nothing changes.
constexpr milliseconds kIdleHead{60'000};
/// Intervals between two prunings.
constexpr int kIntervalsPerPruning = 20;

/// All that was acknowledged before `at` is in the log up to `applied`.
struct Mark {
  absl::Time at;
  std::uint64_t applied = 0;
  std::int64_t revision = 0;
};

/// The head as others see it. Any thread.
class SharedHead {
 public:
  ArchiveHead get() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return head_;
  }
  template <class Change>
  void change(const Change& change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change(head_);
  }

 private:
  mutable std::mutex mutex_;
  ArchiveHead head_;  // guarded
};

class Archiver {
 public:
  Archiver(const RcloneOptions& target, const ArchiveRequest& request,
           const std::atomic<bool>& stopping, telemetry::Logger& log)
      : request_(request),
        stopping_(stopping),
        log_(log),
        // Its owner's wish to stop is ours to answer: the last segment is still to be stored.
        rclone_(with_end(target, nullptr)),
        member_(request.endpoint),
        pruned_objects_(with_end(target, &pruning_ends_)),
        pruner_(pruned_objects_, request.folder, kIntervalsPerPruning * request.interval, log) {}

  Verdict run() {
    Verdict verdict = follow_until_ended();
    pruning_ends_ = true;
    return verdict;
  }

 private:
  Verdict follow_until_ended() {
    ArchivePage page([this] { return head_.get(); });
    if (request_.page_port > 0) {
      if (const absl::Status status = page.start(request_.page_port); !status.ok()) {
        return ended(false, "NoPage", std::string(status.message()));
      }
    }
    auto wait = kFirstWait;
    last_progress_ = steady_clock::now();
    while (!stopping_) {
      const auto before = last_progress_;
      const absl::Status status = follow();
      if (status.ok()) continue;
      if (absl::IsUnimplemented(status) || absl::IsFailedPrecondition(status)) {
        return ended(false, "Impossible", std::string(status.message()));
      }
      if (stopping_) break;
      tell_trouble(status);
      log_.warn("following the log was interrupted", {telemetry::Field(status)});
      if (steady_clock::now() - last_progress_ > kLongestTrouble) {
        return ended(false, "Interrupted", std::string(status.message()));
      }
      wait = last_progress_ != before ? kFirstWait : std::min(2 * wait, kLongestWait);
      pause(wait);
    }
    const absl::Status stored = store();
    if (stored.ok()) return ended(true, "Stopped", "it was asked to stop");
    return ended(false, "StoreFailed", std::string(stored.message()));
  }

  static RcloneOptions with_end(RcloneOptions target, const std::atomic<bool>* stopping) {
    target.stopping = stopping;
    return target;
  }

  Verdict ended(bool succeeded, std::string reason, std::string message) {
    log_.info("the archiver has ended", {{"reason", reason}, {"message", message}});
    return {.succeeded = succeeded,
            .retryable = !succeeded,
            .reason = std::move(reason),
            .message = std::move(message)};
  }

  void pause(milliseconds time) const {
    const auto until = steady_clock::now() + time;
    while (!stopping_ && steady_clock::now() < until) {
      std::this_thread::sleep_for(std::min(time, kFirstWait));
    }
  }

  void tell_trouble(const absl::Status& status) {
    head_.change([&](ArchiveHead& head) { head.trouble = std::string(status.message()); });
  }
  void went_on() {
    last_progress_ = steady_clock::now();
    head_.change([](ArchiveHead& head) { head.trouble.clear(); });
  }

  // -- where it begins

  /// One stream, until it breaks.
  absl::Status follow() {
    if (!writer_) {
      if (absl::Status status = find_end(); !status.ok()) return status;
    }
    absl::Status status = member_.follow_log(
        writer_->end().index.value, [this](const member::LogPiece& piece) { return take(piece); });
    if (absl::IsOutOfRange(status)) return begin_anew(status);
    return status;
  }

  /// Goes on where the stored archive ends.
  absl::Status find_end() {
    const auto segments = list_segments(rclone_, request_.folder);
    if (!segments.ok()) return segments.status();
    if (segments->empty()) return begin();
    const std::string newest = object(segments->back().name);
    const absl::StatusOr<Bytes> bytes = read_segment(rclone_, newest, keys());
    const absl::StatusOr<Joint> end = bytes.ok() ? end_of_segment(*bytes) : bytes.status();
    if (!end.ok()) {
      return absl::Status(end.status().code(),
                          api::str_cat(rclone_.place_of(newest), ": ", end.status().message()));
    }
    ArchiveHead head;
    const absl::StatusOr<ArchiveHead> stored = read_stored_head(rclone_, request_.folder);
    if (stored.ok()) head = *stored;
    if (!stored.ok() && !absl::IsNotFound(stored.status()) && !absl::IsDataLoss(stored.status())) {
      return stored.status();
    }
    if (!stored.ok()) head.after_index = unbroken_after(*segments);
    head.segments = static_cast<std::int32_t>(segments->size());
    begin_at(*end, std::move(head));
    log_.info("going on with the archive",
              {{"segment", rclone_.place_of(newest)}, {"index", end->index.value}});
    return absl::OkStatus();
  }

  void begin_at(const Joint& joint, ArchiveHead head) {
    writer_.emplace(joint);
    marks_.clear();
    if (head.until) {
      received_.until_ms = std::max(received_.until_ms, absl::ToUnixMillis(*head.until));
      received_.revision = std::max(received_.revision, head.revision);
    }
    head.cluster_id = api::format_id(joint.cluster);
    head.end_index = joint.index.value;
    head_.change([&](ArchiveHead& shared) { shared = std::move(head); });
    head_is_stored_ = false;
    pruner_.start(api::format_id(joint.cluster));
  }

  /// A stretch of its own: after the newest backup if the log may still hold that, else now.
  absl::Status begin() {
    const absl::StatusOr<member::MemberStatus> status = member_.status();
    if (!status.ok()) return status.status();
    const bool after_backup =
        request_.after_index > (writer_ ? writer_->end().index.value : 0) && !tried_after_backup_;
    tried_after_backup_ = true;
    ArchiveHead head = head_.get();
    head.after_index = after_backup ? request_.after_index : status->raft_applied_index;
    begin_at({ClusterId(status->header.cluster_id), Index(head.after_index), Term(0)}, head);
    log_.info(after_backup ? "beginning an archive after the newest backup"
                           : "beginning an archive: only a backup taken after this can be followed",
              {{"index", head.after_index}});
    return absl::OkStatus();
  }

  absl::Status begin_anew(const absl::Status& why) {
    if (absl::Status stored = store(); !stored.ok()) return stored;
    log_.error("the archive has a gap: what follows it needs a backup taken after this",
               {{"last-index", writer_->end().index.value}, telemetry::Field(why)});
    return begin();
  }

  // -- what comes

  absl::Status take(const member::LogPiece& piece) {
    if (stopping_) return absl::CancelledError("it was asked to stop");
    if (ClusterId(piece.cluster_id) != writer_->end().cluster) {
      return absl::FailedPreconditionError(api::str_cat(
          "the member is of cluster ", api::format_id(piece.cluster_id), ", the archive of ",
          api::format_id(writer_->end().cluster.value), ": give each its own folder"));
    }
    if (!piece.entries.empty()) {
      if (writer_->empty()) oldest_ = steady_clock::now();
      const std::vector<BytesView> entries(piece.entries.begin(), piece.entries.end());
      const absl::Status added =
          writer_->add_encoded(absl::ToUnixMillis(absl::Now()), received_, entries);
      if (!added.ok()) return added;
    }
    went_on();
    look();
    receive();
    settle();
    const auto now = steady_clock::now();
    const bool is_due = !writer_->empty() && now - oldest_ >= request_.interval;
    const bool is_large = writer_->size_bytes() >= request_.max_segment_bytes;
    const bool head_is_due =
        !head_is_stored_ && now - head_stored_at_ >= std::max(request_.interval, kIdleHead);
    if (is_due || is_large || head_is_due) return store_for_sure();
    return absl::OkStatus();
  }

  /// Asks how far the cluster is. One that can't say it, with a quorum behind it, is asked later.
  void look() {
    const auto now = steady_clock::now();
    if (now < next_look_) return;
    next_look_ = now + std::clamp(request_.interval / 4, kShortestLook, kLongestLook);
    Mark mark{.at = absl::Now()};
    const absl::StatusOr<member::MemberList> confirmed = member_.member_list(true);
    const absl::StatusOr<member::MemberStatus> first = member_.status();
    // The second is asked for the entry: the first's revision may be later than its own.
    const absl::StatusOr<member::MemberStatus> second = member_.status();
    if (!confirmed.ok() || !first.ok() || !second.ok()) return;
    if (first->header.member_id != confirmed->answered_by ||
        second->header.member_id != confirmed->answered_by) {
      return;
    }
    mark.revision = first->header.revision;
    mark.applied = second->raft_applied_index;
    if (marks_.size() == kMaxMarks) marks_.pop_back();
    marks_.push_back(mark);
  }

  /// What the next entries come after, by the last look that all has come of. That is how a reader
  /// finds out that we were away (datastore/archive/timeline.h).
  void receive() {
    for (const Mark& mark : marks_) {
      if (mark.applied > writer_->end().index.value) continue;
      received_.until_ms = std::max(received_.until_ms, absl::ToUnixMillis(mark.at));
      received_.revision = std::max(received_.revision, mark.revision);
    }
  }

  /// Tells how far it is, by the last look that all is stored of.
  void settle() {
    head_.change([this](ArchiveHead& head) {
      while (!marks_.empty() && marks_.front().applied <= head.end_index) {
        head.revision = std::max(head.revision, marks_.front().revision);
        head.until = marks_.front().at;
        marks_.pop_front();
        head_is_stored_ = false;
      }
    });
  }

  // -- what is stored

  /// Tries until it is stored, or it is time to stop.
  absl::Status store_for_sure() {
    for (auto wait = kFirstWait; true; wait = std::min(2 * wait, kLongestWait)) {
      const absl::Status status = store();
      if (status.ok()) went_on();
      if (status.ok() || stopping_) return status;
      tell_trouble(status);
      log_.error("the archive could not be stored; it is tried again",
                 {telemetry::Field(status), {"folder", rclone_.place_of(request_.folder)}});
      pause(wait);
    }
  }

  absl::Status store() {
    if (absl::Status status = store_segment(); !status.ok()) return status;
    tell_pruned();
    return store_head();
  }

  absl::Status store_segment() {
    if (pending_.empty()) {
      if (!writer_ || writer_->empty()) return absl::OkStatus();
      const Joint end = writer_->end();
      pending_object_ = object(writer_->name().str());
      pending_ = sealed(writer_->finish());
      if (request_.key) pending_object_ += kSealedSuffix;
      writer_.emplace(end);
    }
    if (absl::Status status = rclone_.write_small(pending_object_, pending_); !status.ok()) {
      return status;
    }
    const absl::StatusOr<Bytes> stored = rclone_.read_small(pending_object_, pending_.size() + 1);
    if (!stored.ok()) return stored.status();
    if (*stored != pending_)
      return absl::DataLossError("what was read back is not what was stored");
    log_.info("a segment is stored", {{"object", rclone_.place_of(pending_object_)},
                                      {"size-bytes", pending_.size()},
                                      {"index", writer_->end().index.value}});
    head_.change([this](ArchiveHead& head) {
      head.end_index = writer_->end().index.value;
      head.stored_bytes += static_cast<std::int64_t>(pending_.size());
      ++head.segments;
    });
    head_is_stored_ = false;
    pending_.clear();
    settle();
    return absl::OkStatus();
  }

  absl::Status store_head() {
    if (head_is_stored_ || !writer_) return absl::OkStatus();
    ArchiveHead head = head_.get();
    head.trouble.clear();
    const absl::Status status = rclone_.write_small(object(kHeadFile), write_head(head));
    if (!status.ok()) return status;
    head_is_stored_ = true;
    head_stored_at_ = steady_clock::now();
    return absl::OkStatus();
  }

  void tell_pruned() {
    const Pruned pruned = pruner_.take_removed();
    if (pruned.removed == 0) return;
    head_.change([&](ArchiveHead& head) {
      head.after_index = std::max(head.after_index, pruned.last_index);
      head.segments -= pruned.removed;
    });
    head_is_stored_ = false;
  }

  Bytes sealed(Bytes plain) const {
    if (!request_.key) return plain;
    Sealer sealer(*request_.key, crypto::random_bytes(32));
    Bytes out = sealer.update(plain);
    return out + sealer.finish();
  }

  std::vector<SealingKey> keys() const {
    return request_.key ? std::vector<SealingKey>{*request_.key} : std::vector<SealingKey>();
  }
  std::string object(std::string_view name) const {
    return api::str_cat(request_.folder, "/", name);
  }

  const ArchiveRequest& request_;
  const std::atomic<bool>& stopping_;
  telemetry::Logger& log_;
  const Rclone rclone_;
  const member::Client member_;
  /// What comes next; nothing until it is known where that is.
  std::optional<SegmentWriter> writer_;
  bool tried_after_backup_ = false;
  archive::Held received_;
  steady_clock::time_point oldest_;
  steady_clock::time_point last_progress_;
  /// In order; of what is not stored yet.
  std::deque<Mark> marks_;
  steady_clock::time_point next_look_;
  SharedHead head_;
  bool head_is_stored_ = true;
  steady_clock::time_point head_stored_at_;
  /// A finished segment that is not stored yet.
  Bytes pending_;
  std::string pending_object_;
  std::atomic<bool> pruning_ends_{false};
  const Rclone pruned_objects_;
  ArchivePruner pruner_;
};

}  // namespace

Verdict archive(const RcloneOptions& target, const ArchiveRequest& request,
                const std::atomic<bool>& stopping, telemetry::Logger& log) {
  return Archiver(target, request, stopping, log).run();
}

}  // namespace holdfast::backup
