#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datastore/ports/disk.h"
#include "datastore/simulation/dice.h"
#include "datastore/simulation/faults.h"

namespace holdfast::simulation {

/// One machine's file system in memory. It knows what was synced, and at a power loss forgets the
/// rest as real ones do: each sector of 512 bytes written since its file's last sync holds what was
/// synced or any later version; renames, creations and removals since the directory's last sync
/// happened up to some point. It can fill up, slow down, fail a sync, rot and answer a read with
/// another place's bytes.
///
/// Work takes time: busy() adds it up, for whoever keeps the machine's time.
class SimulatedDisk final : public ports::Disk {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  SimulatedDisk(Dice dice, FaultCounts& counts) : dice_(dice), counts_(counts) {}

  absl::StatusOr<std::unique_ptr<ports::File>> open(const std::string& path, Open how) override;
  absl::StatusOr<std::vector<std::string>> list(const std::string& directory) override;
  absl::Status make_directories(const std::string& directory) override;
  absl::Status rename(const std::string& from, const std::string& to) override;
  absl::Status remove(const std::string& path) override;
  absl::Status sync_directory(const std::string& directory) override;
  absl::StatusOr<bool> exists(const std::string& path) override;

  // --- power ------------------------------------------------------------------------------------

  /// Every operation fails, without effect, from a power loss until power_on().
  bool powered() const { return powered_; }
  void lose_power();
  void power_on() { powered_ = true; }
  /// The power goes at the `operations`-th change from now on, in its middle.
  void lose_power_in(std::uint64_t operations) { changes_until_power_loss_ = operations; }
  /// Takes lose_power_in() and fail_next_sync() back.
  void keep_power() {
    changes_until_power_loss_.reset();
    fail_next_sync_ = false;
  }
  /// Takes part in the countdown for work that bypasses the files, an engine's commit: true if the
  /// power went just now, so that the work is done or not done, as the caller draws.
  bool power_goes_now();

  // --- faults -----------------------------------------------------------------------------------

  void set_full(bool full) { full_ = full; }
  void fail_next_sync() { fail_next_sync_ = true; }
  void set_slowness(std::uint64_t factor) { slowness_ = factor; }
  /// Changes a bit that was synced long enough ago for the log to prove it; false if there is none.
  bool rot();
  /// Some reads, from the next on, answer with another place's sector.
  void misdirect_next_reads(std::uint64_t reads) { misdirected_reads_ = reads; }
  /// Puts back what rot() changed.
  void replace_rotten_parts();
  /// A new, empty disk.
  void wipe();

  /// The time that operations took since the last take_busy().
  Time busy() const { return busy_; }
  Time take_busy();

 private:
  struct Write {
    std::uint64_t offset;
    Bytes bytes;
  };
  struct Inode {
    Bytes now;
    Bytes durable;
    std::vector<Write> unsynced;
    /// Everything before here was proven by a later sync; see FORMAT.md of the log.
    std::uint64_t proven_bytes = 0;
    std::uint64_t last_sync_began = 0;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct NameChange {
    std::string from;  // removed, unless empty
    std::string to;    // set to `inode`, unless empty
    std::shared_ptr<Inode> inode;
  };
  struct Rotten {
    std::shared_ptr<Inode> inode;
    std::uint64_t offset;
    char before;
    char after;
  };
  class OpenFile;

  absl::Status begin_change(const char* operation, const std::string& path);
  absl::Status power_is_off() const;
  void change_names(NameChange change);
  void forget_unsynced(Inode& inode);
  void write(Inode& inode, std::uint64_t offset, Bytes bytes);
  void sync(Inode& inode);
  absl::Status fail_sync(Inode& inode);
  void spend(Time time) { busy_ += time * static_cast<std::int64_t>(slowness_); }
  void misdirect(const Inode& inode, Bytes& bytes);

  Dice dice_;
  FaultCounts& counts_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> unsynced_names_;
  std::vector<Rotten> rotten_;
  bool powered_ = true;
  /// Files opened before a power loss are of no use after it.
  std::uint64_t power_losses_ = 0;
  std::optional<std::uint64_t> changes_until_power_loss_;
  bool full_ = false;
  bool fail_next_sync_ = false;
  std::uint64_t misdirected_reads_ = 0;
  std::uint64_t slowness_ = 1;
  Time busy_{0};
};

}  // namespace holdfast::simulation
