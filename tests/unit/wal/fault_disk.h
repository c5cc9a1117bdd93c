#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/base/prng.h"
#include "datastore/ports/disk.h"

namespace holdfast::wal {

/// A file system in memory that knows what was synced, and can be asked for a **crash image**: a
/// disk as a power loss at this moment could leave it. Every sector of 512 bytes that was written
/// since its file's last sync holds, on its own, either what was synced or any later version;
/// creations, renames and removals since the directory's last sync happened up to some point, and
/// with kAnyVersion, removals even in any order.
class FaultDisk final : public ports::Disk {
 public:
  static constexpr std::size_t kSector = 512;

  enum class Crash {
    kProcess,       // everything written is there
    kNothing,       // only what was synced
    kAnyVersion,    // each sector any of its versions
    kHalf,          // each sector its newest version or the synced one
    kFirstSectors,  // in ascending order up to some sector
    kAllButOne,     // one sector is missing
  };
  static constexpr std::uint64_t kCrashKinds = 6;

  /// Called after every operation that changes something, before it returns.
  std::function<void()> on_change;
  /// Called before every operation that changes something, with its name; an error fails it.
  /// A failed write leaves about half of its sectors.
  std::function<absl::Status(const std::string& operation)> before_change;
  /// Told of every write, also of one that fails: what the file held before, where, and what.
  std::function<void(BytesView file, std::uint64_t offset, BytesView bytes)> on_write;

  absl::StatusOr<std::unique_ptr<ports::File>> open(const std::string& path, Open how) override {
    const bool there = names_.contains(path);
    if (how == Open::kCreate) {
      if (there) return absl::AlreadyExistsError(path);
      if (absl::Status status = may("create"); !status.ok()) return status;
      change_name(path, std::make_shared<Inode>());
    } else if (!there) {
      return absl::NotFoundError(path);
    }
    return std::make_unique<OpenFile>(*this, names_.at(path));
  }

  absl::StatusOr<std::vector<std::string>> list(const std::string& directory) override {
    std::vector<std::string> found;
    for (const auto& [path, inode] : names_) {
      if (path.starts_with(directory + "/")) found.push_back(path.substr(directory.size() + 1));
    }
    return found;
  }

  absl::Status make_directories(const std::string&) override { return absl::OkStatus(); }

  absl::Status rename(const std::string& from, const std::string& to) override {
    if (absl::Status status = may("rename"); !status.ok()) return status;
    if (!names_.contains(from)) return absl::NotFoundError(from);
    std::shared_ptr<Inode> inode = names_.at(from);
    names_.erase(from);
    names_[to] = inode;
    pending_names_.push_back({false, [from, to, inode](Names& names) {
                                names.erase(from);
                                names[to] = inode;
                              }});
    changed();
    return absl::OkStatus();
  }

  absl::Status remove(const std::string& path) override {
    if (absl::Status status = may("remove"); !status.ok()) return status;
    if (!names_.contains(path)) return absl::NotFoundError(path);
    change_name(path, nullptr);
    return absl::OkStatus();
  }

  absl::Status sync_directory(const std::string&) override {
    if (absl::Status status = may("sync_directory"); !status.ok()) return status;
    durable_names_ = names_;
    pending_names_.clear();
    changed();
    return absl::OkStatus();
  }

  absl::StatusOr<bool> exists(const std::string& path) override { return names_.contains(path); }

  /// The disk after a crash now.
  std::unique_ptr<FaultDisk> crash(Crash kind, Prng& dice) const {
    Names names = kind == Crash::kProcess ? names_ : durable_names_;
    if (kind != Crash::kProcess && kind != Crash::kNothing) {
      const std::uint64_t happened = dice.below(pending_names_.size() + 1);
      for (std::uint64_t i = 0; i < pending_names_.size(); ++i) {
        const PendingName& pending = pending_names_[i];
        const bool any = pending.removal && kind == Crash::kAnyVersion;
        if (any ? dice.chance(1, 2) : i < happened) pending.apply(names);
      }
    }
    auto image = std::make_unique<FaultDisk>();
    for (const auto& [path, inode] : names) {
      auto copy = std::make_shared<Inode>();
      copy->now = copy->durable = crashed_content(*inode, kind, dice);
      image->names_[path] = copy;
    }
    image->durable_names_ = image->names_;
    return image;
  }

  /// The bytes of a file, for a test to look at or to damage.
  std::string& content(const std::string& path) { return names_.at(path)->now; }
  /// Puts a file there, durably.
  void put(const std::string& path, std::string bytes) {
    auto inode = std::make_shared<Inode>();
    inode->now = inode->durable = std::move(bytes);
    names_[path] = durable_names_[path] = inode;
  }

  std::uint64_t syncs() const { return syncs_; }

 private:
  struct Inode {
    std::string now;
    std::string durable;
    /// Versions since the last sync, oldest first, by sector number.
    std::map<std::size_t, std::vector<std::string>> versions;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct PendingName {
    bool removal = false;
    std::function<void(Names&)> apply;
  };

  class OpenFile final : public ports::File {
   public:
    OpenFile(FaultDisk& disk, std::shared_ptr<Inode> inode)
        : disk_(disk), inode_(std::move(inode)) {}

    absl::Status read(std::uint64_t offset, std::size_t size, Bytes& out) override {
      out = offset < inode_->now.size() ? inode_->now.substr(offset, size) : Bytes();
      return absl::OkStatus();
    }
    absl::Status write(std::uint64_t offset, absl::Span<const BytesView> pieces) override {
      Bytes all;
      for (const BytesView piece : pieces) all += piece;
      if (disk_.on_write) disk_.on_write(inode_->now, offset, all);
      const absl::Status status = disk_.may("write");
      if (!status.ok()) {
        const std::uint64_t middle = (offset + all.size() / 2) / kSector * kSector;
        all.resize(middle > offset ? middle - offset : 0);
      }
      if (offset + all.size() > inode_->now.size()) inode_->now.resize(offset + all.size());
      inode_->now.replace(offset, all.size(), all);
      if (!all.empty()) keep_versions(offset, offset + all.size());
      if (status.ok()) disk_.changed();
      return status;
    }
    absl::Status sync() override {
      if (absl::Status status = disk_.may("sync"); !status.ok()) {
        // The pages stay in the cache and count as clean, as in Linux: no later sync writes them.
        inode_->versions.clear();
        return status;
      }
      inode_->durable.resize(inode_->now.size());
      for (const auto& [sector, versions] : inode_->versions) {
        inode_->durable.replace(sector * kSector, versions.back().size(), versions.back());
      }
      inode_->versions.clear();
      ++disk_.syncs_;
      disk_.changed();
      return absl::OkStatus();
    }
    absl::Status preallocate(std::uint64_t size) override {
      if (absl::Status status = disk_.may("preallocate"); !status.ok()) return status;
      if (size > inode_->now.size()) inode_->now.resize(size);
      disk_.changed();
      return absl::OkStatus();
    }
    absl::Status truncate(std::uint64_t size) override {
      inode_->now.resize(size);
      return absl::OkStatus();
    }
    absl::StatusOr<std::uint64_t> size() override { return inode_->now.size(); }

   private:
    void keep_versions(std::size_t begin, std::size_t end) {
      for (std::size_t sector = begin / kSector; sector * kSector < end; ++sector) {
        inode_->versions[sector].push_back(inode_->now.substr(sector * kSector, kSector));
      }
    }
    FaultDisk& disk_;
    std::shared_ptr<Inode> inode_;
  };

  static std::string crashed_content(const Inode& inode, Crash kind, Prng& dice) {
    if (kind == Crash::kProcess) return inode.now;
    std::string content = inode.durable;
    if (kind == Crash::kNothing) return content;
    const bool grown = dice.chance(1, 2);
    if (grown) content.resize(std::max(content.size(), inode.now.size()));
    const std::uint64_t cut = dice.below(inode.versions.size() + 1);
    std::uint64_t number = 0;
    for (const auto& [sector, versions] : inode.versions) {
      const std::string* version = &versions.back();
      bool keep = true;
      if (kind == Crash::kAnyVersion) {
        const std::uint64_t pick = dice.below(versions.size() + 1);
        keep = pick < versions.size();
        if (keep) version = &versions[pick];
      } else if (kind == Crash::kHalf) {
        keep = dice.chance(1, 2);
      } else if (kind == Crash::kFirstSectors) {
        keep = number < cut;
      } else {
        keep = number != cut;
      }
      ++number;
      const std::size_t at = sector * kSector;
      if (!keep || at >= content.size()) continue;
      const std::size_t size = std::min(version->size(), content.size() - at);
      content.replace(at, size, *version, 0, size);
    }
    return content;
  }

  absl::Status may(const std::string& operation) {
    return before_change ? before_change(operation) : absl::OkStatus();
  }
  void changed() {
    if (on_change) on_change();
  }
  void change_name(const std::string& path, const std::shared_ptr<Inode>& inode) {
    const auto apply = [path, inode](Names& names) {
      if (inode == nullptr) {
        names.erase(path);
      } else {
        names[path] = inode;
      }
    };
    apply(names_);
    pending_names_.push_back({inode == nullptr, apply});
    changed();
  }

  Names names_;
  Names durable_names_;
  std::vector<PendingName> pending_names_;
  std::uint64_t syncs_ = 0;
};

}  // namespace holdfast::wal
