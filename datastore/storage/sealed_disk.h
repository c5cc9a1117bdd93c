#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datastore/crypto/key256.h"
#include "datastore/ports/disk.h"

namespace holdfast::storage {

/// A disk on which a received state lies sealed: FORMAT.md, Received states. Every file that is
/// created through it is sealed as it is written, from front to back; every file opened for reading
/// is opened piece by piece, wherever the reader looks, a piece in memory at a time. Names,
/// directories and removals are the disk's beneath.
///
/// Refused: plain files (DataLoss), writes that do not continue where the last one ended, and
/// map(), which would need the whole in memory (Unimplemented): read such a file by its File.
class SealedDisk final : public ports::Disk {
 public:
  /// `beneath` must outlive it.
  SealedDisk(ports::Disk& beneath, crypto::SealingKey key)
      : beneath_(beneath), key_(std::move(key)) {}

  absl::StatusOr<std::unique_ptr<ports::File>> open(const std::string& path, Open how) override;
  absl::StatusOr<std::unique_ptr<ports::FileContent>> map(const std::string& path) override;

  absl::StatusOr<std::vector<std::string>> list(const std::string& directory) override {
    return beneath_.list(directory);
  }
  absl::Status make_directories(const std::string& directory) override {
    return beneath_.make_directories(directory);
  }
  absl::Status rename(const std::string& from, const std::string& to) override {
    return beneath_.rename(from, to);
  }
  absl::Status remove(const std::string& path) override { return beneath_.remove(path); }
  absl::Status sync_directory(const std::string& directory) override {
    return beneath_.sync_directory(directory);
  }
  absl::StatusOr<bool> exists(const std::string& path) override { return beneath_.exists(path); }

 private:
  ports::Disk& beneath_;
  const crypto::SealingKey key_;
};

/// Seals the plain files among the complete received states in `directory`, each at once: for a
/// data directory that is being sealed. Removes incomplete ones. Returns the names it sealed.
/// Errors: the disk's.
absl::StatusOr<std::vector<std::string>> seal_received_states(ports::Disk& disk,
                                                              const std::string& directory,
                                                              const crypto::SealingKey& key);

}  // namespace holdfast::storage
