#include "datastore/wal/wal.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/mutants.h"
#include "datastore/wal/format.h"

namespace holdfast::wal {

namespace {

constexpr std::uint64_t kMinSegmentBytes = 4096;
constexpr std::uint64_t kMaxSegmentBytes = std::uint64_t{1} << 30;
/// An append is cut into batches of about this size: it bounds the encode buffer.
constexpr std::size_t kMaxPieceBytes = std::size_t{4} << 20;
constexpr std::size_t kZeroBlockBytes = std::size_t{1} << 20;

absl::Status write_zeros(ports::File& file, std::uint64_t offset, std::uint64_t size) {
  const Bytes zeros(std::min<std::uint64_t>(size, kZeroBlockBytes), '\0');
  while (size > 0) {
    const BytesView piece(zeros.data(), std::min<std::uint64_t>(size, zeros.size()));
    if (absl::Status status = file.write(offset, {&piece, 1}); !status.ok()) return status;
    offset += piece.size();
    size -= piece.size();
  }
  return absl::OkStatus();
}

/// The log's index before the first entry of `batch`.
Index index_before(const Batch& batch, Index last) {
  if (!batch.entries.empty()) return Index(batch.entries.front().index.value - 1);
  if (batch.snapshot && batch.snapshot->replaces_log) return batch.snapshot->snapshot.index;
  return last;
}

/// Raft's promises about what it persists; FORMAT.md's recovery relies on them.
void check_batch(const Batch& batch, Index last) {
  if (batch.snapshot) {
    if (batch.snapshot->replaces_log) last = batch.snapshot->snapshot.index;
    HOLDFAST_CHECK(batch.snapshot->snapshot.index <= last);
  }
  if (batch.entries.empty()) return;
  Index index = batch.entries.front().index;
  HOLDFAST_CHECK(index.value > 0 && index <= last.next());
  for (const raft::Entry& entry : batch.entries) {
    HOLDFAST_CHECK(entry.index == index);
    HOLDFAST_CHECK(entry.data.size() <= kMaxEntryBytes);
    index = index.next();
  }
}

}  // namespace

Wal::Wal(ports::Disk& disk, std::string directory, const Options& options)
    : disk_(disk), directory_(std::move(directory)), options_(options) {
  HOLDFAST_CHECK(options_.segment_bytes >= kMinSegmentBytes);
  HOLDFAST_CHECK(options_.segment_bytes <= kMaxSegmentBytes);
}

Wal::~Wal() = default;

absl::StatusOr<bool> Wal::exists(ports::Disk& disk, const std::string& directory) {
  const absl::StatusOr<SegmentNames> names = list_segments(disk, directory);
  if (absl::IsNotFound(names.status())) return false;
  if (!names.ok()) return names.status();
  return !names->sequences.empty();
}

absl::StatusOr<std::unique_ptr<Wal>> Wal::create(ports::Disk& disk, const std::string& directory,
                                                 const Identity& identity, std::uint64_t marker,
                                                 const Beginning& begin, const Options& options) {
  HOLDFAST_CHECK(marker != 0);
  if (absl::Status made = disk.make_directories(directory); !made.ok()) return made;
  const absl::StatusOr<bool> there = exists(disk, directory);
  if (!there.ok()) return there.status();
  if (*there) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a write-ahead log in ", directory, " already"));
  }
  std::unique_ptr<Wal> wal(new Wal(disk, directory, options));
  wal->identity_ = identity;
  wal->marker_ = marker;
  const Batch first{SnapshotMarker{begin.snapshot, true}, begin.hard_state, begin.entries};
  const std::size_t batch_bytes = wal->batch_bytes(first);
  Bytes begin_bytes;
  Segment planned = wal->plan_segment(1, begin_bytes);
  const std::uint32_t header_crc =
      wal->encode(first, batch_bytes, {planned.seal.get(), kSegmentHeaderBytes});
  begin_bytes.append(wal->buffer_.view());
  absl::StatusOr<Segment> segment = wal->make_segment(std::move(planned), begin_bytes);
  if (!segment.ok()) return segment.status();
  wal->active_ = *std::move(segment);
  wal->offset_ = kSegmentHeaderBytes;
  wal->next_segment_ = 2;
  wal->advance(first, batch_bytes, header_crc);
  wal->note_synced();
  return wal;
}

absl::StatusOr<Wal::Opened> Wal::open(ports::Disk& disk, const std::string& directory,
                                      const Options& options) {
  absl::StatusOr<RecoveredLog> log = read_log(disk, directory, options);
  if (!log.ok()) return log.status();
  Opened opened;
  opened.recovered = std::move(log->recovered);
  opened.wal.reset(new Wal(disk, directory, options));
  Wal& wal = *opened.wal;
  wal.identity_ = opened.recovered.identity;
  wal.last_index_ = opened.recovered.last_index;
  wal.hard_state_ = opened.recovered.hard_state;
  wal.snapshot_ = opened.recovered.snapshot;
  const bool has_plain = log->has_plain;
  if (absl::Status status = wal.take_over(*std::move(log), opened.recovered.torn_tail);
      !status.ok()) {
    return status;
  }
  if (options.key && has_plain) {
    if (absl::Status status = wal.seal_plain_segments(); !status.ok()) return status;
  }
  return opened;
}

absl::Status Wal::take_over(RecoveredLog log, const TornTail& torn) {
  marker_ = log.marker;
  offset_ = log.offset;
  last_sequence_ = log.last_sequence;
  chain_crc_ = log.chain_crc;

  for (const SegmentOnDisk& found : log.segments) {
    closed_.push_back({found.sequence, nullptr, found.size_bytes, found.max_index});
    live_bytes_ += found.size_bytes;
  }
  active_ = std::move(closed_.back());
  closed_.pop_back();
  absl::StatusOr<std::unique_ptr<ports::File>> file =
      disk_.open(segment_path(directory_, active_.sequence), ports::Disk::Open::kReadWrite);
  if (!file.ok()) return file.status();
  active_.file = *std::move(file);
  if (absl::Status status = write_zeros(*active_.file, torn.offset, torn.cut_bytes); !status.ok()) {
    return status;
  }
  // What was read may be in the kernel's cache only, if just the process ended: from here on it
  // counts as synced. After a failed sync the cache may even take for clean what never reached the
  // disk, and a sync alone would leave it so: what is not proven to be synced is written again.
  const BytesView unproven = planted(Mutant::kCacheTrusted) ? BytesView() : log.unproven;
  if (absl::Status status = active_.file->write(offset_ - unproven.size(), {&unproven, 1});
      !status.ok()) {
    return status;
  }
  if (absl::Status status = active_.file->sync(); !status.ok()) return status;
  note_synced();
  if (offset_ == kSegmentHeaderBytes && !closed_.empty()) {
    // The segment in use lost its torn first batch: the one before it must stay until it has one.
    leaving_.push_back(std::move(closed_.back()));
    closed_.pop_back();
  }
  if (absl::Status status = remove_prepared(log.prepared); !status.ok()) return status;
  if (options_.key) {
    if (absl::Status status = leave_recovered_segment(); !status.ok()) return status;
  }
  next_segment_ = active_.sequence + 1;
  return absl::OkStatus();
}

/// Empty segments are made again when they are needed, the last one first, so that no gap appears.
absl::Status Wal::remove_prepared(const std::vector<SegmentOnDisk>& prepared) {
  for (auto empty = prepared.rbegin(); empty != prepared.rend(); ++empty) {
    const std::string path = segment_path(directory_, empty->sequence);
    if (absl::Status status = disk_.remove(path); !status.ok()) return status;
    if (absl::Status status = disk_.sync_directory(directory_); !status.ok()) return status;
  }
  const absl::StatusOr<SegmentNames> names = list_segments(disk_, directory_);
  if (!names.ok()) return names.status();
  for (const std::string& name : names->unfinished) {
    if (absl::Status status = disk_.remove(absl::StrCat(directory_, "/", name)); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

/// What a crash left in the segment in use, and cut off, was sealed with its key: nothing else may
/// be. So nothing more is written there, and the next append begins another.
absl::Status Wal::leave_recovered_segment() {
  if (offset_ == kSegmentHeaderBytes) {
    // It lost its only batch, and a segment without one can't stay before others.
    active_.file.reset();
    const std::string path = segment_path(directory_, active_.sequence);
    if (absl::Status status = disk_.remove(path); !status.ok()) return status;
    if (absl::Status status = disk_.sync_directory(directory_); !status.ok()) return status;
    live_bytes_ -= active_.size_bytes;
    active_ = std::move(leaving_.back());
    leaving_.pop_back();
  }
  offset_ = active_.size_bytes;
  return absl::OkStatus();
}

/// Writes everything after the last snapshot marker into one batch of a sealed segment, which as a
/// batch is there wholly or not at all, and removes the segments before it.
absl::Status Wal::seal_plain_segments() {
  Options all = options_;
  all.entries_after = snapshot_.index;
  absl::StatusOr<RecoveredLog> log = read_log(disk_, directory_, all);
  if (!log.ok()) return log.status();
  const Batch whole{SnapshotMarker{snapshot_, false}, hard_state_, log->recovered.entries};
  if (records_bytes(whole) > kMaxEntryBytes) {
    return absl::FailedPreconditionError(absl::StrCat(
        "write-ahead log in ", directory_, " has ", records_bytes(whole) >> 20,
        " MiB after its last snapshot marker, too much to be encrypted at once. Start this member "
        "without --encryption-key-file, let it run for a minute, and try again"));
  }
  absl::Status status = switch_segment();
  if (status.ok()) status = begin_segment(whole);
  if (status.ok()) status = sync();
  return status.ok() ? remove_closed_segments() : status;
}

absl::Status Wal::remove_closed_segments() {
  const std::lock_guard lock(closed_mutex_);
  while (!closed_.empty()) {
    const std::string path = segment_path(directory_, closed_.front().sequence);
    if (absl::Status status = disk_.remove(path); !status.ok()) return status;
    // One by one: a crash must not leave a gap.
    if (absl::Status status = disk_.sync_directory(directory_); !status.ok()) return status;
    live_bytes_ -= closed_.front().size_bytes;
    closed_.erase(closed_.begin());
  }
  return absl::OkStatus();
}

Wal::Segment Wal::plan_segment(std::uint64_t sequence, Bytes& begin) const {
  SegmentHeader header{sequence, marker_, identity_, std::nullopt};
  if (options_.key) header.cipher = new_cipher(*options_.key);
  begin.assign(kSegmentHeaderBytes, '\0');
  encode_segment_header(header, begin.data());
  Segment segment;
  segment.sequence = sequence;
  if (options_.key) segment.seal = std::make_unique<SegmentSeal>(*options_.key, begin);
  return segment;
}

absl::StatusOr<Wal::Segment> Wal::make_segment(Segment planned, BytesView begin) {
  Segment segment = std::move(planned);
  const std::string unfinished = unfinished_segment_path(directory_, segment.sequence);
  segment.size_bytes = std::max<std::uint64_t>(options_.segment_bytes, begin.size());
  absl::StatusOr<std::unique_ptr<ports::File>> file =
      write_unfinished(unfinished, segment.size_bytes, begin);
  absl::Status status = file.status();
  if (status.ok()) status = disk_.rename(unfinished, segment_path(directory_, segment.sequence));
  if (!status.ok()) {
    // Gives the space back; if that fails too, the next start does it.
    disk_.remove(unfinished).IgnoreError();
    return status;
  }
  if (!planted(Mutant::kSegmentNameNotSynced)) status = disk_.sync_directory(directory_);
  if (!status.ok()) return status;
  segment.file = *std::move(file);
  live_bytes_ += segment.size_bytes;
  return segment;
}

absl::StatusOr<std::unique_ptr<ports::File>> Wal::write_unfinished(const std::string& path,
                                                                   std::uint64_t size_bytes,
                                                                   BytesView begin) {
  const absl::StatusOr<bool> leftover = disk_.exists(path);
  if (!leftover.ok()) return leftover.status();
  if (*leftover) {
    if (absl::Status status = disk_.remove(path); !status.ok()) return status;
  }
  absl::StatusOr<std::unique_ptr<ports::File>> file = disk_.open(path, ports::Disk::Open::kCreate);
  if (!file.ok()) return file;
  absl::Status status = (*file)->preallocate(size_bytes);
  if (status.ok() && options_.fill_with_zeros) {
    status = write_zeros(**file, begin.size(), size_bytes - begin.size());
  }
  if (status.ok()) status = (*file)->write(0, {&begin, 1});
  if (status.ok()) status = (*file)->sync();
  if (!status.ok()) return status;
  return file;
}

absl::Status Wal::append(const Batch& batch, bool sync) {
  if (!failure_.ok()) return failure_;
  check_batch(batch, last_index_);
  absl::Status status = zero_failed_write();
  if (status.ok() && (batch.snapshot || batch.hard_state || !batch.entries.empty())) {
    status = append_split(batch);
  }
  if (status.ok() && sync && !planted(Mutant::kLogNotSynced)) status = this->sync();
  if (!status.ok() && !absl::IsResourceExhausted(status)) failure_ = status;
  return status;
}

std::size_t Wal::piece_limit_bytes() const {
  return std::min<std::size_t>(kMaxPieceBytes, options_.segment_bytes - kSegmentHeaderBytes -
                                                   kBatchHeaderBytes - SegmentSeal::kTagBytes);
}

absl::Status Wal::append_split(const Batch& batch) {
  if (records_bytes(batch) <= piece_limit_bytes()) return append_piece(batch);
  Batch piece = batch;
  absl::Span<const raft::Entry> left = batch.entries;
  do {
    std::size_t bytes = 0;
    std::size_t count = 0;
    // Two records' worth of room for a term change and the entry's own header and padding.
    while (count < left.size() &&
           (count == 0 || bytes + left[count].data.size() + 32 <= piece_limit_bytes())) {
      bytes += left[count].data.size() + 32;
      ++count;
    }
    piece.entries = left.first(count);
    left.remove_prefix(count);
    if (batch.hard_state) {
      piece.hard_state = batch.hard_state;
      // Term and vote come with the first entries; a commit index never before its entry.
      if (!left.empty()) {
        piece.hard_state->commit =
            std::min(batch.hard_state->commit, index_before(piece, last_index_));
      }
    }
    if (absl::Status status = append_piece(piece); !status.ok()) return status;
    piece.snapshot.reset();
  } while (!left.empty());
  return absl::OkStatus();
}

absl::Status Wal::append_piece(const Batch& piece) {
  const std::size_t batch_bytes = this->batch_bytes(piece);
  const bool fits = offset_ + batch_bytes <= active_.size_bytes;
  if (fits && offset_ > kSegmentHeaderBytes) return write_piece(piece, batch_bytes);
  if (offset_ > kSegmentHeaderBytes) {
    if (absl::Status status = switch_segment(); !status.ok()) return status;
  }
  return begin_segment(piece);
}

absl::Status Wal::begin_segment(const Batch& piece) {
  Batch whole = piece;
  if (!whole.hard_state) whole.hard_state = hard_state_;
  if (!whole.snapshot) whole.snapshot = SnapshotMarker{snapshot_, false};
  const std::size_t batch_bytes = this->batch_bytes(whole);
  const std::uint64_t needed = kSegmentHeaderBytes + batch_bytes;
  if (needed > active_.size_bytes) {
    if (absl::Status status = active_.file->preallocate(needed); !status.ok()) return status;
    live_bytes_ += needed - active_.size_bytes;
    active_.size_bytes = needed;
  }
  return write_piece(whole, batch_bytes);
}

absl::Status Wal::switch_segment() {
  if (absl::Status status = sync(); !status.ok()) return status;
  Segment next;
  {
    const std::lock_guard lock(prepare_mutex_);
    if (absl::Status status = make_prepared(); !status.ok()) return status;
    next = *std::move(prepared_);
    prepared_.reset();
    has_prepared_.store(false, std::memory_order_relaxed);
  }
  active_.file.reset();
  leaving_.push_back(std::exchange(active_, std::move(next)));
  offset_ = kSegmentHeaderBytes;
  failed_writes_ = 0;
  return absl::OkStatus();
}

absl::Status Wal::write_piece(const Batch& piece, std::size_t batch_bytes) {
  const std::uint32_t header_crc = encode(piece, batch_bytes, {active_.seal.get(), offset_});
  const BytesView bytes = buffer_.view();
  if (absl::Status status = active_.file->write(offset_, {&bytes, 1}); !status.ok()) {
    failed_write_bytes_ = bytes.size();
    ++failed_writes_;
    HOLDFAST_CHECK(failed_writes_ != 0);
    return status;
  }
  advance(piece, batch_bytes, header_crc);
  return absl::OkStatus();
}

std::size_t Wal::batch_bytes(const Batch& batch) const {
  return kBatchHeaderBytes + records_bytes(batch) + (options_.key ? SegmentSeal::kTagBytes : 0);
}

std::uint32_t Wal::encode(const Batch& piece, std::size_t batch_bytes, SealAt at) {
  BatchHeader position;
  position.marker = marker_;
  position.sequence = last_sequence_ + 1;
  position.synced_through = synced_through_;
  position.first_index = index_before(piece, last_index_).next();
  position.previous_crc = chain_crc_;
  if (at.seal != nullptr) position.failed_writes = failed_writes_;
  return encode_batch(piece, position, buffer_.prepare(batch_bytes), at);
}

void Wal::advance(const Batch& piece, std::size_t batch_bytes, std::uint32_t header_crc) {
  last_index_ = index_before(piece, last_index_);
  if (!piece.entries.empty()) last_index_ = piece.entries.back().index;
  if (!piece.entries.empty()) active_.max_index = std::max(active_.max_index, last_index_);
  if (piece.hard_state) hard_state_ = *piece.hard_state;
  if (piece.snapshot) snapshot_ = piece.snapshot->snapshot;
  offset_ += batch_bytes;
  ++last_sequence_;
  chain_crc_ = header_crc;
}

absl::Status Wal::zero_failed_write() {
  if (failed_write_bytes_ == 0) return absl::OkStatus();
  absl::Status status = write_zeros(*active_.file, offset_, failed_write_bytes_);
  if (status.ok()) status = sync_file();
  if (status.ok()) failed_write_bytes_ = 0;
  return status;
}

absl::Status Wal::sync_file() {
  absl::Status status = active_.file->sync();
  if (status.ok()) return status;
  failure_ = absl::InternalError(absl::StrCat(
      std::string(status.message()),
      "; what the disk holds is now unknown: this process must end, a restart finds out"));
  return failure_;
}

absl::Status Wal::sync() {
  if (!failure_.ok()) return failure_;
  if (synced_through_ == last_sequence_) return absl::OkStatus();
  if (absl::Status status = sync_file(); !status.ok()) return status;
  note_synced();
  return absl::OkStatus();
}

void Wal::note_synced() {
  synced_through_ = last_sequence_;
  synced_snapshot_index_.store(snapshot_.index.value, std::memory_order_release);
  if (leaving_.empty()) return;
  const std::lock_guard lock(closed_mutex_);
  std::move(leaving_.begin(), leaving_.end(), std::back_inserter(closed_));
  leaving_.clear();
}

absl::Status Wal::prepare_next_segment() {
  const std::lock_guard lock(prepare_mutex_);
  return make_prepared();
}

absl::Status Wal::make_prepared() {
  if (prepared_) return absl::OkStatus();
  Bytes begin;
  Segment planned = plan_segment(next_segment_, begin);
  absl::StatusOr<Segment> segment = make_segment(std::move(planned), begin);
  if (!segment.ok()) return segment.status();
  prepared_ = *std::move(segment);
  ++next_segment_;
  has_prepared_.store(true, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status Wal::release_next_segment() {
  const std::lock_guard lock(prepare_mutex_);
  if (!prepared_) return absl::OkStatus();
  live_bytes_ -= prepared_->size_bytes;
  prepared_.reset();
  has_prepared_.store(false, std::memory_order_relaxed);
  --next_segment_;
  return disk_.remove(segment_path(directory_, next_segment_));
}

absl::StatusOr<std::size_t> Wal::trim_before(Index index) {
  const Index covered(synced_snapshot_index_.load(std::memory_order_acquire));
  index = std::min(index, covered.next());
  std::size_t removed = 0;
  while (true) {
    Segment oldest;
    {
      const std::lock_guard lock(closed_mutex_);
      if (closed_.empty() || closed_.front().max_index >= index) return removed;
      oldest.sequence = closed_.front().sequence;
      oldest.size_bytes = closed_.front().size_bytes;
    }
    const std::string path = segment_path(directory_, oldest.sequence);
    absl::Status status = disk_.remove(path);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    // One by one: a crash must not leave a gap.
    if (status = disk_.sync_directory(directory_); !status.ok()) return status;
    live_bytes_ -= oldest.size_bytes;
    ++removed;
    const std::lock_guard lock(closed_mutex_);
    closed_.erase(closed_.begin());
  }
}

std::uint64_t Wal::size_bytes() const {
  return live_bytes_.load(std::memory_order_relaxed);
}

}  // namespace holdfast::wal
