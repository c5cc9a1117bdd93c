#include "operator/backup/archive_folder.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "operator/api/text.h"
#include "operator/backup/manifest.h"

namespace holdfast::backup {
namespace {

using archive::Joint;
using archive::SegmentName;
using archive::SegmentReader;

/// Of a listing: some hundred thousand names.
constexpr std::size_t kMaxListingBytes = std::size_t{8} << 20;
/// In one pruning: a target that refuses one is likely to refuse the rest.
constexpr int kMaxFailedRemovals = 3;
constexpr std::string_view kManifestSuffix = ".manifest.json";

std::optional<StoredSegment> parse_stored(const StoredFile& file) {
  std::string_view plain = file.name;
  if (plain.ends_with(kSealedSuffix)) plain.remove_suffix(kSealedSuffix.size());
  const std::optional<SegmentName> range = SegmentName::parse(plain);
  if (!range) return std::nullopt;
  return StoredSegment{*range, file.name, file.size_bytes};
}

std::string parent_of(std::string_view folder) {
  const std::size_t slash = folder.rfind('/');
  return std::string(slash == std::string_view::npos ? "" : folder.substr(0, slash));
}

/// Calls `take` with each manifest beside the folder and its name. Errors: Unavailable for one that
/// is listed yet not there: retention is at it, or the target has not caught up with itself.
absl::Status each_manifest(
    const Objects& objects, const std::string& folder,
    const std::function<absl::Status(const std::string&, absl::StatusOr<Manifest>)>& take) {
  const std::string beside = parent_of(folder);
  const auto files = objects.list(beside, kMaxListingBytes);
  if (!files.ok()) return files.status();
  for (const StoredFile& file : *files) {
    if (!file.name.ends_with(kManifestSuffix)) continue;
    const std::string object = api::str_cat(beside, "/", file.name);
    const auto text = objects.read_small(object, kMaxManifestBytes);
    if (absl::IsNotFound(text.status())) {
      return absl::UnavailableError(
          api::str_cat(objects.place_of(object), " is listed, but can't be read"));
    }
    const bool is_none = absl::IsOutOfRange(text.status());
    if (!text.ok() && !is_none) return text.status();
    const absl::Status status =
        take(object, is_none ? absl::DataLossError("it is too large") : read_manifest(*text));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

/// The least entry that a backup of the cluster in `folder` is of; nothing if there is none.
/// Errors: each_manifest's; FailedPrecondition if it can't be told.
absl::StatusOr<std::optional<std::uint64_t>> oldest_backup(const Objects& objects,
                                                           const std::string& folder,
                                                           const std::string& cluster_id) {
  std::optional<std::uint64_t> oldest;
  const absl::Status status = each_manifest(
      objects, folder,
      [&](const std::string& object, absl::StatusOr<Manifest> manifest) -> absl::Status {
        if (manifest.ok() && manifest->cluster_id != cluster_id) return absl::OkStatus();
        if (!manifest.ok() || manifest->log_index == 0) {
          return absl::FailedPreconditionError(api::str_cat(
              objects.place_of(object), " does not say which entry of the log its backup is of: ",
              "no segment is removed while it is there"));
        }
        oldest = std::min(oldest.value_or(manifest->log_index), manifest->log_index);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return oldest;
}

}  // namespace

absl::StatusOr<std::vector<StoredSegment>> list_segments(const Objects& objects,
                                                         const std::string& folder) {
  const absl::StatusOr<std::vector<StoredFile>> files = objects.list(folder, kMaxListingBytes);
  if (!files.ok()) return files.status();
  std::vector<StoredSegment> found;
  for (const StoredFile& file : *files) {
    if (auto segment = parse_stored(file)) found.push_back(*std::move(segment));
  }
  std::ranges::sort(found, {}, [](const StoredSegment& segment) { return segment.range.last; });
  return found;
}

absl::StatusOr<Bytes> open_segment(Bytes stored, const std::vector<SealingKey>& keys) {
  if (is_sealed(stored)) {
    Opener opener(keys);
    absl::StatusOr<Bytes> plain = opener.update(stored);
    if (!plain.ok()) return plain;
    const absl::StatusOr<Bytes> rest = opener.finish();
    if (!rest.ok()) return rest;
    stored = *plain + *rest;
  }
  if (const auto whole = SegmentReader::open(stored); !whole.ok()) return whole.status();
  return stored;
}

absl::StatusOr<Bytes> read_segment(const Objects& objects, const std::string& object,
                                   const std::vector<SealingKey>& keys) {
  absl::StatusOr<Bytes> stored = objects.read_small(object, kMaxSegmentBytes);
  return stored.ok() ? open_segment(*std::move(stored), keys) : stored;
}

absl::StatusOr<Joint> end_of_segment(BytesView segment) {
  absl::StatusOr<SegmentReader> reader = SegmentReader::open(segment);
  if (!reader.ok()) return reader.status();
  Joint end = reader->joint();
  while (true) {
    const auto batch = reader->next();
    if (!batch.ok()) return batch.status();
    if (!batch->has_value()) return end;
    end.index = (*batch)->entries.back().index;
    end.term = (*batch)->entries.back().term;
  }
}

std::uint64_t unbroken_after(const std::vector<StoredSegment>& segments) {
  Index first = segments.back().range.first;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->range.last.next() < first) break;
    first = std::min(first, segment->range.first);
  }
  return first.value - 1;
}

absl::StatusOr<ArchiveHead> read_stored_head(const Objects& objects, const std::string& folder) {
  const auto text = objects.read_small(api::str_cat(folder, "/", kHeadFile), kMaxHeadBytes);
  if (!text.ok()) return text.status();
  return read_head(*text);
}

absl::StatusOr<std::optional<BackupBeside>> first_backup_from(const Objects& objects,
                                                              const std::string& folder,
                                                              const std::string& cluster_id,
                                                              std::uint64_t index) {
  std::optional<BackupBeside> first;
  const absl::Status status = each_manifest(
      objects, folder, [&](const std::string& object, absl::StatusOr<Manifest> manifest) {
        const bool is_one = manifest.ok() && manifest->cluster_id == cluster_id &&
                            manifest->log_index > 0 && manifest->log_index >= index;
        if (is_one && (!first || manifest->log_index < first->manifest.log_index)) {
          first = BackupBeside{object.substr(0, object.size() - kManifestSuffix.size()),
                               *std::move(manifest)};
        }
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return first;
}

Pruned prune_archive(const Objects& objects, const std::string& folder,
                     const std::string& cluster_id) {
  Pruned pruned;
  // Before the backups: what is stored after the listing is none of its segments.
  const auto segments = list_segments(objects, folder);
  if (!segments.ok()) return {.status = segments.status()};
  const auto oldest = oldest_backup(objects, folder, cluster_id);
  if (!oldest.ok()) return {.status = oldest.status()};
  int failed = 0;
  for (const StoredSegment& segment : *segments) {
    // The last one stays: it says where the archive goes on.
    const bool is_last = &segment == &segments->back();
    if (is_last || !*oldest || segment.range.last.value > **oldest) break;
    const absl::Status status = objects.remove(api::str_cat(folder, "/", segment.name));
    if (status.ok()) {
      ++pruned.removed;
      pruned.last_index = segment.range.last.value;
      continue;
    }
    pruned.status = status;
    if (++failed == kMaxFailedRemovals || absl::IsCancelled(status)) break;
  }
  return pruned;
}

namespace {

/// All that is ours in a folder, the head last: until then it says what the folder is.
Pruned remove_archive(const Objects& objects, const std::string& folder) {
  Pruned pruned;
  const auto segments = list_segments(objects, folder);
  if (!segments.ok()) return {.status = segments.status()};
  for (const StoredSegment& segment : *segments) {
    pruned.status = objects.remove(api::str_cat(folder, "/", segment.name));
    if (!pruned.status.ok()) return pruned;
    ++pruned.removed;
  }
  pruned.status = objects.remove(api::str_cat(folder, "/", kHeadFile));
  if (!pruned.status.ok()) return pruned;
  const auto foreign = objects.list(folder, kMaxListingBytes);
  if (foreign.ok() && foreign->empty()) pruned.status = objects.remove_folder(folder);
  return pruned;
}

Pruned prune_former(const Objects& objects, const std::string& folder,
                    const std::string& cluster_id, absl::Time now) {
  const absl::StatusOr<ArchiveHead> head = read_stored_head(objects, folder);
  if (absl::IsNotFound(head.status())) return {};  // somebody is about to begin it
  if (!head.ok()) return {.status = head.status()};
  if (head->cluster_id != cluster_id || !head->until || now - *head->until < kFormerAfter) {
    return {};
  }
  const auto oldest = oldest_backup(objects, folder, cluster_id);
  if (!oldest.ok()) return {.status = oldest.status()};
  return *oldest ? prune_archive(objects, folder, cluster_id) : remove_archive(objects, folder);
}

}  // namespace

Pruned prune_former_archives(const Objects& objects, const std::string& folder,
                             const std::string& cluster_id, absl::Time now) {
  const std::string beside = parent_of(folder);
  const std::string prefix = archive_folder("", "");
  const auto names = objects.list_folders(beside, kMaxListingBytes);
  if (!names.ok()) return {.status = names.status()};
  Pruned all;
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix) || name == prefix + cluster_id) continue;
    const auto own = oldest_backup(objects, folder, cluster_id);
    if (!own.ok()) return {.removed = all.removed, .status = own.status()};
    if (!*own) return all;
    const Pruned one =
        prune_former(objects, api::str_cat(beside, "/", name), name.substr(prefix.size()), now);
    all.removed += one.removed;
    if (!one.status.ok()) all.status = one.status;
  }
  return all;
}

}  // namespace holdfast::backup
