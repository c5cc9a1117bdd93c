#include "datastore/wal/recovery.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "datastore/wal/replay.h"
#include "datastore/wal/segment_scan.h"
#include "datastore/wal/segment_seal.h"

namespace holdfast::wal {

namespace {

constexpr char kSuffix[] = ".wal";
constexpr char kUnfinishedSuffix[] = ".wal.tmp";
constexpr std::size_t kDigits = 16;
/// A larger file is none of ours: a segment is at most 1 GiB, or one batch below 4 GiB.
constexpr std::uint64_t kMaxSegmentFileBytes = std::uint64_t{5} << 30;
/// FORMAT.md, Reading: the second was prepared while the first's first batch was on its way.
constexpr std::size_t kMaxPrepared = 2;

constexpr char kWhatToDo[] =
    "Nothing was changed. Keep a copy of the data directory; then restore this member from a "
    "snapshot, or, if other members have a quorum, remove it from the cluster and add it again "
    "with an empty data directory";

absl::Status damage(const std::string& path, const std::string& what) {
  return absl::DataLossError(
      absl::StrCat("write-ahead log damaged: ", path, ", ", what, ". ", kWhatToDo));
}

/// Puts the file's name before what the format says about its bytes.
absl::Status locate(const std::string& path, const absl::Status& status) {
  const std::string text(status.message());
  if (absl::IsDataLoss(status)) return damage(path, text);
  return absl::Status(status.code(), absl::StrCat("write-ahead log ", path, " ", text));
}

bool is_segment_name(const std::string& name, std::uint64_t& sequence) {
  if (name.size() != kDigits + sizeof kSuffix - 1 || name.substr(kDigits) != kSuffix) return false;
  const std::string digits = name.substr(0, kDigits);
  if (digits.find_first_not_of("0123456789abcdef") != std::string::npos) return false;
  return absl::SimpleHexAtoi(digits, &sequence) && sequence != 0;
}

class LogReader {
 public:
  LogReader(ports::Disk& disk, const std::string& directory, const Options& options)
      : disk_(disk),
        directory_(directory),
        options_(options),
        replay_(options.entries_after, log_.recovered) {}

  absl::StatusOr<RecoveredLog> read() {
    absl::StatusOr<SegmentNames> names = list_segments(disk_, directory_);
    if (!names.ok()) return names.status();
    if (names->sequences.empty()) {
      return absl::NotFoundError(absl::StrCat("no write-ahead log in ", directory_));
    }
    for (const std::uint64_t sequence : names->sequences) {
      if (absl::Status status = read_segment(sequence); !status.ok()) return status;
    }
    if (absl::Status status = check_end(); !status.ok()) return status;
    return std::move(log_);
  }

 private:
  absl::Status read_segment(std::uint64_t sequence) {
    const std::string path = segment_path(directory_, sequence);
    if (next_sequence_ != 0 && sequence != next_sequence_) {
      return damage(segment_path(directory_, next_sequence_), "the file is missing");
    }
    next_sequence_ = sequence + 1;
    if (absl::Status status = load(path); !status.ok()) return status;
    if (absl::Status status = check_header(path, sequence); !status.ok()) return status;
    if (seal_ == nullptr) log_.has_plain = true;

    SegmentOnDisk segment{sequence, bytes_.size(), Index()};
    const bool first = log_.segments.empty();
    if (!first && all_zero(BytesView(bytes_).substr(kSegmentHeaderBytes))) {
      log_.prepared.push_back(segment);
      if (log_.prepared.size() <= kMaxPrepared) return absl::OkStatus();
      return damage(path, "more empty segments than are ever prepared: batches were lost");
    }
    return read_batches(path, segment);
  }

  absl::Status load(const std::string& path) {
    absl::StatusOr<std::unique_ptr<ports::File>> file = disk_.open(path, ports::Disk::Open::kRead);
    if (!file.ok()) return file.status();
    const absl::StatusOr<std::uint64_t> size = (*file)->size();
    if (!size.ok()) return size.status();
    if (*size > kMaxSegmentFileBytes) return damage(path, "the file is larger than any segment");
    return (*file)->read(0, *size, bytes_);
  }

  absl::Status check_header(const std::string& path, std::uint64_t sequence) {
    const absl::StatusOr<SegmentHeader> header = decode_segment_header(bytes_);
    if (!header.ok()) {
      if (!absl::IsDataLoss(header.status())) return locate(path, header.status());
      return damage(path, absl::StrCat("offset 0: ", std::string(header.status().message())));
    }
    if (header->sequence != sequence) {
      return damage(path, absl::StrCat("offset 0: it is segment ", header->sequence, " by header"));
    }
    if (absl::Status status = find_seal(path, header->cipher); !status.ok()) return status;
    if (log_.marker == 0) {
      log_.marker = header->marker;
      log_.recovered.identity = header->identity;
      return check_identity(header->identity);
    }
    if (header->marker != log_.marker || header->identity != log_.recovered.identity) {
      return damage(path, "offset 0: the segment belongs to another log than those before it");
    }
    return absl::OkStatus();
  }

  absl::Status find_seal(const std::string& path, const std::optional<SegmentCipher>& cipher) {
    const bool was_sealed = std::exchange(seal_, nullptr) != nullptr;
    if (!cipher) {
      if (!options_.key || (options_.seal_plain && !was_sealed)) return absl::OkStatus();
      return damage(path,
                    "offset 12: the segment is plain, in a log that is encrypted: somebody put it "
                    "there");
    }
    if (!options_.key) {
      return absl::FailedPreconditionError(
          absl::StrCat("write-ahead log ", path,
                       " is encrypted. Nothing was changed. Set --encryption-key-file to the file "
                       "with its key"));
    }
    if (cipher->key_id != options_.key->id) {
      return absl::FailedPreconditionError(absl::StrCat(
          "write-ahead log ", path, " was encrypted with data key ",
          crypto::short_hex(cipher->key_id), ", this data directory has ",
          crypto::short_hex(options_.key->id),
          ": they are not of one member. Nothing was changed. Put both back from one copy"));
    }
    seal_ = std::make_unique<SegmentSeal>(*options_.key,
                                          BytesView(bytes_).substr(0, kSegmentHeaderBytes));
    return absl::OkStatus();
  }

  absl::Status check_identity(const Identity& found) const {
    if (!options_.expected_identity || *options_.expected_identity == found) {
      return absl::OkStatus();
    }
    const Identity& expected = *options_.expected_identity;
    return absl::FailedPreconditionError(absl::StrCat(
        "write-ahead log in ", directory_, " belongs to member ", absl::Hex(found.member.value),
        " of cluster ", absl::Hex(found.cluster.value), ", this is member ",
        absl::Hex(expected.member.value), " of cluster ", absl::Hex(expected.cluster.value),
        "; set --data-dir to this member's own directory, or to an empty one"));
  }

  absl::Status read_batches(const std::string& path, const SegmentOnDisk& found) {
    // Anything in this segment was written after the one before it was synced whole.
    if (const TornTail& torn = log_.recovered.torn_tail; torn.cut_bytes > 0) {
      return damage(torn.file,
                    absl::StrCat("offset ", torn.offset, ", batch ", chain_.last_sequence + 1,
                                 ": it is not whole, though ", path, " was begun after it"));
    }
    if (!log_.prepared.empty()) {
      return damage(segment_path(directory_, log_.prepared.front().sequence),
                    absl::StrCat("offset ", kSegmentHeaderBytes,
                                 ": it is empty, though the segment after it is not"));
    }
    const absl::StatusOr<SegmentEnd> end =
        scan_segment(bytes_, log_.marker, seal_.get(), chain_, replay_);
    if (!end.ok()) return locate(path, end.status());
    SegmentOnDisk segment = found;
    segment.max_index = end->max_index;
    log_.segments.push_back(segment);
    log_.offset = end->offset;
    log_.unproven = bytes_.substr(end->unproven_offset, end->offset - end->unproven_offset);
    log_.recovered.torn_tail = {path, end->offset, end->leftover_bytes};
    return absl::OkStatus();
  }

  absl::Status check_end() {
    if (absl::Status status = replay_.finish(); !status.ok()) {
      return locate(segment_path(directory_, log_.segments.front().sequence), status);
    }
    log_.last_sequence = chain_.last_sequence;
    log_.chain_crc = chain_.crc;
    return absl::OkStatus();
  }

  ports::Disk& disk_;
  const std::string& directory_;
  const Options& options_;
  RecoveredLog log_;
  Replay replay_;
  ChainPosition chain_;
  std::uint64_t next_sequence_ = 0;
  Bytes bytes_;
  /// Of the segment being read; null if it is plain.
  std::unique_ptr<SegmentSeal> seal_;
};

}  // namespace

std::string segment_path(const std::string& directory, std::uint64_t sequence) {
  return absl::StrCat(directory, "/", absl::Hex(sequence, absl::kZeroPad16), kSuffix);
}

std::string unfinished_segment_path(const std::string& directory, std::uint64_t sequence) {
  return absl::StrCat(directory, "/", absl::Hex(sequence, absl::kZeroPad16), kUnfinishedSuffix);
}

absl::StatusOr<SegmentNames> list_segments(ports::Disk& disk, const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names = disk.list(directory);
  if (!names.ok()) return names.status();
  SegmentNames found;
  for (const std::string& name : *names) {
    std::uint64_t sequence = 0;
    if (is_segment_name(name, sequence)) {
      found.sequences.push_back(sequence);
    } else if (name.size() > sizeof kUnfinishedSuffix - 1 && name.ends_with(kUnfinishedSuffix)) {
      found.unfinished.push_back(name);
    }
  }
  std::sort(found.sequences.begin(), found.sequences.end());
  return found;
}

absl::StatusOr<LogSeals> find_seals(ports::Disk& disk, const std::string& directory) {
  LogSeals seals;
  const absl::StatusOr<SegmentNames> names = list_segments(disk, directory);
  if (absl::IsNotFound(names.status())) return seals;
  if (!names.ok()) return names.status();
  Bytes bytes;
  for (const std::uint64_t sequence : names->sequences) {
    absl::StatusOr<std::unique_ptr<ports::File>> file =
        disk.open(segment_path(directory, sequence), ports::Disk::Open::kRead);
    if (!file.ok()) return file.status();
    if (absl::Status status = (*file)->read(0, kSegmentHeaderBytes, bytes); !status.ok()) {
      return status;
    }
    const absl::StatusOr<SegmentHeader> header = decode_segment_header(bytes);
    if (!header.ok()) continue;
    if (!header->cipher) {
      seals.has_plain = true;
    } else if (std::find(seals.key_ids.begin(), seals.key_ids.end(), header->cipher->key_id) ==
               seals.key_ids.end()) {
      seals.key_ids.push_back(header->cipher->key_id);
    }
  }
  return seals;
}

absl::StatusOr<RecoveredLog> read_log(ports::Disk& disk, const std::string& directory,
                                      const Options& options) {
  return LogReader(disk, directory, options).read();
}

}  // namespace holdfast::wal
