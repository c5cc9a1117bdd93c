#include "datastore/simulation/disk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::simulation {

namespace {

constexpr Time kWriteTakes = std::chrono::microseconds(5);
constexpr Time kSyncTakesAtLeast = std::chrono::microseconds(50);
constexpr Time kSyncTakesAtMost = std::chrono::microseconds(400);

void apply(Bytes& content, std::uint64_t offset, BytesView bytes) {
  if (offset + bytes.size() > content.size()) content.resize(offset + bytes.size());
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

class SimulatedDisk::OpenFile final : public ports::File {
 public:
  OpenFile(SimulatedDisk& disk, std::shared_ptr<Inode> inode, std::string path)
      : disk_(disk),
        inode_(std::move(inode)),
        path_(std::move(path)),
        power_losses_(disk.power_losses_) {}

  absl::Status read(std::uint64_t offset, std::size_t size, Bytes& out) override {
    if (absl::Status status = usable(); !status.ok()) return status;
    disk_.spend(kWriteTakes);
    out = offset < inode_->now.size() ? inode_->now.substr(offset, size) : Bytes();
    disk_.misdirect(*inode_, out);
    return absl::OkStatus();
  }

  absl::Status write(std::uint64_t offset, absl::Span<const BytesView> pieces) override {
    if (absl::Status status = usable(); !status.ok()) return status;
    disk_.spend(kWriteTakes);
    Bytes all;
    for (const BytesView piece : pieces) all += piece;
    if (disk_.full_) {
      // A part of it may have found room.
      all.resize(disk_.dice_.below(all.size() + 1) / kSectorBytes * kSectorBytes);
      disk_.write(*inode_, offset, std::move(all));
      return absl::ResourceExhaustedError(absl::StrCat("write ", path_, ": no space left"));
    }
    disk_.write(*inode_, offset, std::move(all));
    return disk_.begin_change("write", path_);
  }

  absl::Status sync() override {
    if (absl::Status status = usable(); !status.ok()) return status;
    disk_.spend(disk_.dice_.between(kSyncTakesAtLeast, kSyncTakesAtMost));
    if (std::exchange(disk_.fail_next_sync_, false)) return disk_.fail_sync(*inode_);
    const bool in_time = disk_.dice_.coin();  // should the power go now
    if (in_time) disk_.sync(*inode_);
    if (absl::Status status = disk_.begin_change("sync", path_); !status.ok()) return status;
    disk_.sync(*inode_);
    return absl::OkStatus();
  }

  absl::Status preallocate(std::uint64_t size) override {
    if (absl::Status status = usable(); !status.ok()) return status;
    disk_.spend(kWriteTakes);
    if (disk_.full_) {
      return absl::ResourceExhaustedError(absl::StrCat("allocate ", path_, ": no space left"));
    }
    if (size > inode_->now.size()) inode_->now.resize(size);
    return disk_.begin_change("allocate", path_);
  }

  absl::Status truncate(std::uint64_t size) override {
    if (absl::Status status = usable(); !status.ok()) return status;
    inode_->now.resize(size);
    return disk_.begin_change("truncate", path_);
  }

  absl::StatusOr<std::uint64_t> size() override {
    if (absl::Status status = usable(); !status.ok()) return status;
    return inode_->now.size();
  }

 private:
  absl::Status usable() const {
    const bool lost = !disk_.powered_ || power_losses_ != disk_.power_losses_;
    return lost ? disk_.power_is_off() : absl::OkStatus();
  }

  SimulatedDisk& disk_;
  const std::shared_ptr<Inode> inode_;
  const std::string path_;
  const std::uint64_t power_losses_;
};

// --- files --------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<ports::File>> SimulatedDisk::open(const std::string& path,
                                                                 Open how) {
  if (!powered_) return power_is_off();
  const auto found = names_.find(path);
  if (how != Open::kCreate) {
    if (found == names_.end()) return absl::NotFoundError(absl::StrCat("open ", path));
    return std::make_unique<OpenFile>(*this, found->second, path);
  }
  if (found != names_.end()) return absl::AlreadyExistsError(absl::StrCat("create ", path));
  if (full_) return absl::ResourceExhaustedError(absl::StrCat("create ", path, ": no space left"));
  const auto inode = std::make_shared<Inode>();
  change_names({"", path, inode});
  if (absl::Status status = begin_change("create", path); !status.ok()) return status;
  return std::make_unique<OpenFile>(*this, inode, path);
}

absl::StatusOr<std::vector<std::string>> SimulatedDisk::list(const std::string& directory) {
  if (!powered_) return power_is_off();
  std::vector<std::string> found;
  const std::string prefix = directory + "/";
  for (const auto& [path, inode] : names_) {
    if (path.starts_with(prefix) && path.find('/', prefix.size()) == std::string::npos) {
      found.push_back(path.substr(prefix.size()));
    }
  }
  return found;
}

absl::Status SimulatedDisk::make_directories(const std::string& /*directory*/) {
  return powered_ ? absl::OkStatus() : power_is_off();
}

absl::Status SimulatedDisk::rename(const std::string& from, const std::string& to) {
  if (!powered_) return power_is_off();
  const auto found = names_.find(from);
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("rename ", from));
  change_names({from, to, found->second});
  return begin_change("rename", from);
}

absl::Status SimulatedDisk::remove(const std::string& path) {
  if (!powered_) return power_is_off();
  if (!names_.contains(path)) return absl::NotFoundError(absl::StrCat("remove ", path));
  change_names({path, "", nullptr});
  return begin_change("remove", path);
}

absl::Status SimulatedDisk::sync_directory(const std::string& directory) {
  if (!powered_) return power_is_off();
  spend(kSyncTakesAtLeast);
  if (absl::Status status = begin_change("sync directory", directory); !status.ok()) return status;
  durable_names_ = names_;
  unsynced_names_.clear();
  return absl::OkStatus();
}

absl::StatusOr<bool> SimulatedDisk::exists(const std::string& path) {
  if (!powered_) return power_is_off();
  return names_.contains(path);
}

void SimulatedDisk::change_names(NameChange change) {
  if (!change.from.empty()) names_.erase(change.from);
  if (!change.to.empty()) names_[change.to] = change.inode;
  unsynced_names_.push_back(std::move(change));
}

void SimulatedDisk::write(Inode& inode, std::uint64_t offset, Bytes bytes) {
  if (bytes.empty()) return;
  apply(inode.now, offset, bytes);
  inode.unsynced.push_back({offset, std::move(bytes)});
}

void SimulatedDisk::sync(Inode& inode) {
  if (!inode.unsynced.empty()) {
    std::uint64_t begin = inode.unsynced.front().offset;
    for (const Write& write : inode.unsynced) begin = std::min(begin, write.offset);
    inode.proven_bytes = std::min(std::exchange(inode.last_sync_began, begin), begin);
  }
  inode.durable.resize(inode.now.size());
  for (const Write& write : inode.unsynced) apply(inode.durable, write.offset, write.bytes);
  inode.unsynced.clear();
}

/// What Linux does: some pages have reached the disk, all count as clean. They may stay in the
/// cache, so that only a power loss shows which did not (ext4), or be dropped from it (btrfs).
absl::Status SimulatedDisk::fail_sync(Inode& inode) {
  counts_.add(Fault::kSyncError);
  const Bytes cached = inode.now;
  forget_unsynced(inode);
  if (dice_.coin()) inode.now = cached;
  return absl::InternalError("sync: input/output error");
}

// --- power --------------------------------------------------------------------------------------

absl::Status SimulatedDisk::power_is_off() const {
  return absl::InternalError("the power is off");
}

absl::Status SimulatedDisk::begin_change(const char* /*operation*/, const std::string& /*path*/) {
  return power_goes_now() ? power_is_off() : absl::OkStatus();
}

bool SimulatedDisk::power_goes_now() {
  if (!changes_until_power_loss_ || (*changes_until_power_loss_)-- > 0) return false;
  counts_.add(Fault::kPowerLossInWrite);
  lose_power();
  return true;
}

/// Leaves in `inode` what a disk may hold of its unsynced writes: each sector any of its versions.
void SimulatedDisk::forget_unsynced(Inode& inode) {
  const std::size_t writes = inode.unsynced.size();
  const std::uint64_t manner = dice_.below(4);  // nothing, all, up to some write, any version
  const std::uint64_t first_lost = manner == 2 ? dice_.below(writes + 1) : writes;
  std::map<std::uint64_t, std::uint64_t> sector_loses_from;
  if (inode.now.size() > inode.durable.size() && dice_.coin()) {
    inode.durable.resize(inode.now.size());
  }
  for (std::size_t i = 0; manner != 0 && i < std::min<std::size_t>(writes, first_lost); ++i) {
    const Write& write = inode.unsynced[i];
    for (std::uint64_t at = 0; at < write.bytes.size();) {
      const std::uint64_t sector = (write.offset + at) / kSectorBytes;
      const std::uint64_t end =
          std::min<std::uint64_t>(write.bytes.size(), (sector + 1) * kSectorBytes - write.offset);
      bool kept = true;
      if (manner == 3) {
        const auto [found, is_new] = sector_loses_from.try_emplace(sector, 0);
        if (is_new) found->second = dice_.below(writes + 1);
        kept = i < found->second;
      }
      if (kept) {
        apply(inode.durable, write.offset + at, BytesView(write.bytes).substr(at, end - at));
      }
      at = end;
    }
  }
  inode.unsynced.clear();
  inode.now = inode.durable;
}

void SimulatedDisk::lose_power() {
  powered_ = false;
  changes_until_power_loss_.reset();
  ++power_losses_;
  const std::uint64_t happened = dice_.below(unsynced_names_.size() + 1);
  for (std::uint64_t i = 0; i < happened; ++i) {
    const NameChange& change = unsynced_names_[i];
    if (!change.from.empty()) durable_names_.erase(change.from);
    if (!change.to.empty()) durable_names_[change.to] = change.inode;
  }
  unsynced_names_.clear();
  names_ = durable_names_;
  for (const auto& [path, inode] : names_) forget_unsynced(*inode);
}

// --- faults -------------------------------------------------------------------------------------

bool SimulatedDisk::rot() {
  std::vector<std::shared_ptr<Inode>> candidates;
  for (const auto& [path, inode] : names_) {
    if (inode->proven_bytes > 0) candidates.push_back(inode);
  }
  if (candidates.empty()) return false;
  const std::shared_ptr<Inode>& inode = candidates[dice_.below(candidates.size())];
  const std::uint64_t offset = dice_.below(inode->proven_bytes);
  char& byte = inode->durable[offset];
  const char before = byte;
  byte = static_cast<char>(byte ^ (1 << dice_.below(8)));
  inode->now[offset] = byte;
  rotten_.push_back({inode, offset, before, byte});
  counts_.add(Fault::kBitRot);
  return true;
}

void SimulatedDisk::replace_rotten_parts() {
  for (auto part = rotten_.rbegin(); part != rotten_.rend(); ++part) {
    for (Bytes* content : {&part->inode->durable, &part->inode->now}) {
      if (part->offset < content->size() && (*content)[part->offset] == part->after) {
        (*content)[part->offset] = part->before;
      }
    }
  }
  rotten_.clear();
}

/// Another sector's bytes, of those that are proven too: nothing else can be told from a tear.
void SimulatedDisk::misdirect(const Inode& inode, Bytes& bytes) {
  const std::uint64_t sectors =
      std::min<std::uint64_t>(inode.proven_bytes, bytes.size()) / kSectorBytes;
  if (misdirected_reads_ == 0 || sectors < 2) return;
  --misdirected_reads_;
  const std::uint64_t from = dice_.below(sectors);
  const std::uint64_t to = (from + 1 + dice_.below(sectors - 1)) % sectors;
  const Bytes wrong = bytes.substr(from * kSectorBytes, kSectorBytes);
  if (wrong == bytes.substr(to * kSectorBytes, kSectorBytes)) return;
  bytes.replace(to * kSectorBytes, kSectorBytes, wrong);
  counts_.add(Fault::kMisdirectedRead);
}

void SimulatedDisk::wipe() {
  names_.clear();
  durable_names_.clear();
  unsynced_names_.clear();
  rotten_.clear();
}

Time SimulatedDisk::take_busy() {
  return std::exchange(busy_, Time(0));
}

}  // namespace holdfast::simulation
