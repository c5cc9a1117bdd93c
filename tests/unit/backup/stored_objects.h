#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "datastore/archive/segment.h"
#include "operator/api/text.h"
#include "operator/backup/archive_head.h"
#include "operator/backup/file.h"
#include "operator/backup/manifest.h"
#include "operator/backup/objects.h"

namespace holdfast::backup {

/// A target in memory, whose calls fail where a test says so.
class StoredObjects : public Objects {
 public:
  absl::StatusOr<Bytes> read_small(std::string_view object, std::size_t max_bytes) const override {
    const auto found = objects_.find(std::string(object));
    if (found == objects_.end() || hidden_.contains(found->first)) {
      return absl::NotFoundError("there is no such object");
    }
    if (found->second.size() > max_bytes) return absl::OutOfRangeError("too large");
    return found->second;
  }
  absl::StatusOr<std::vector<StoredFile>> list(std::string_view folder,
                                               std::size_t /*max_bytes*/) const override {
    const std::string prefix = api::str_cat(folder, "/");
    std::vector<StoredFile> files;
    for (const auto& [name, bytes] : objects_) {
      if (!name.starts_with(prefix)) continue;
      const std::string rest = name.substr(prefix.size());
      if (rest.find('/') != std::string::npos) continue;
      files.push_back({rest, static_cast<std::int64_t>(bytes.size())});
    }
    return files;
  }
  absl::StatusOr<std::vector<std::string>> list_folders(std::string_view folder,
                                                        std::size_t /*max_bytes*/) const override {
    const std::string prefix = api::str_cat(folder, "/");
    std::set<std::string> folders;
    for (const auto& [name, bytes] : objects_) {
      if (!name.starts_with(prefix)) continue;
      const std::string rest = name.substr(prefix.size());
      const std::size_t slash = rest.find('/');
      if (slash != std::string::npos) folders.insert(rest.substr(0, slash));
    }
    return std::vector<std::string>(folders.begin(), folders.end());
  }
  absl::Status remove_folder(std::string_view folder) const override {
    removed_folders_.emplace_back(folder);
    return absl::OkStatus();
  }
  absl::Status fetch(std::string_view folder, const std::vector<std::string>& names,
                     const std::string& into) const override {
    EXPECT_LE(names.size(), kMaxFetchedFiles);
    std::size_t bytes = 0;
    for (const std::string& name : names) {
      const std::string object = api::str_cat(folder, "/", name);
      auto stored = read_small(object, SIZE_MAX);
      if (!stored.ok()) continue;
      bytes += stored->size();
      if (cuts_on_the_way_.contains(object)) stored->resize(stored->size() / 2);
      if (absl::Status status = write_file(api::str_cat(into, "/", name), *stored); !status.ok()) {
        return status;
      }
    }
    fetches_.push_back({names.size(), bytes});
    return cuts_on_the_way_.empty() ? absl::OkStatus() : absl::UnavailableError("it broke off");
  }
  absl::Status remove(std::string_view object) const override {
    ++removals_;
    if (refuses_removal_of_.contains(std::string(object))) {
      return absl::UnavailableError("the target refuses");
    }
    objects_.erase(std::string(object));
    return absl::OkStatus();
  }
  std::string place_of(std::string_view object) const override {
    return api::str_cat("target:", object);
  }

  void put(const std::string& name, Bytes bytes) { objects_[name] = std::move(bytes); }
  bool has(const std::string& name) const { return objects_.contains(name); }
  std::set<std::string> names() const {
    std::set<std::string> all;
    for (const auto& [name, bytes] : objects_) all.insert(name);
    return all;
  }
  Bytes& bytes_of(const std::string& name) { return objects_.at(name); }

  /// Listed, yet not found when it is read.
  std::set<std::string> hidden_;
  std::set<std::string> refuses_removal_of_;
  std::set<std::string> cuts_on_the_way_;  ///< as long as several are got at once
  mutable int removals_ = 0;               ///< tried
  struct Fetched {
    std::size_t files = 0;
    std::size_t bytes = 0;
  };
  mutable std::vector<Fetched> fetches_;
  mutable std::vector<std::string> removed_folders_;

 private:
  mutable std::map<std::string, Bytes> objects_;
};

inline constexpr const char* kCluster = "c1";
inline constexpr const char* kBeside = "apps/db";
inline constexpr const char* kLog = "apps/db/log-c1";

/// Stores a backup's manifest, which is what the archive goes by; returns the object's name.
inline std::string put_backup(StoredObjects& objects, const std::string& name,
                              std::uint64_t log_index, std::int64_t revision, absl::Time taken_at,
                              const std::string& cluster = kCluster) {
  Manifest manifest;
  manifest.object = name + ".db";
  manifest.size_bytes = 512;
  manifest.snapshot_size_bytes = 512;
  manifest.sha256 = manifest.snapshot_sha256 = std::string(64, 'a');
  manifest.ns = "apps";
  manifest.cluster = "db";
  manifest.cluster_id = cluster;
  manifest.member = "db-0";
  manifest.revision = revision;
  manifest.log_index = log_index;
  manifest.taken_at = taken_at;
  const std::string object = api::str_cat(kBeside, "/", manifest.object);
  objects.put(manifest_name(object), write_manifest(manifest));
  return object;
}

/// When entries up to `last` were known, and what is held before them.
struct Piece {
  absl::Time known;
  std::uint64_t last = 0;
  absl::Time held;
  std::int64_t revision = 0;
};

/// Stores the segment of the entries after `after`; returns its name.
inline std::string put_segment(StoredObjects& objects, std::uint64_t after,
                               const std::vector<Piece>& pieces, const std::string& folder = kLog) {
  archive::SegmentWriter writer({ClusterId(0xc1), Index(after), Term(0)});
  for (const Piece& piece : pieces) {
    std::vector<raft::Entry> entries;
    for (Index at = writer.end().index.next(); at.value <= piece.last; at = at.next()) {
      entries.push_back({Term(2), at, raft::EntryType::kNormal, "data"});
    }
    (void)writer.add(absl::ToUnixMillis(piece.known),
                     {absl::ToUnixMillis(piece.held), piece.revision}, entries);
  }
  const std::string name = api::str_cat(folder, "/", writer.name().str());
  objects.put(name, writer.finish());
  return name;
}

/// The same of one entry of that size.
inline std::string put_large_segment(StoredObjects& objects, std::uint64_t after,
                                     std::size_t size_bytes) {
  archive::SegmentWriter writer({ClusterId(0xc1), Index(after), Term(0)});
  (void)writer.add(1, {},
                   {{Term(2), Index(after + 1), raft::EntryType::kNormal, Bytes(size_bytes, 'x')}});
  const std::string name = api::str_cat(kLog, "/", writer.name().str());
  objects.put(name, writer.finish());
  return name;
}

}  // namespace holdfast::backup
