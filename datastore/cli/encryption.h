#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/cli/periodic_thread.h"
#include "datastore/config/options.h"
#include "datastore/crypto/wrapping_keys.h"
#include "datastore/node/directory_key.h"
#include "datastore/ports/disk.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// Encryption at rest of a running member: the directory's key for the rooms that seal with it, and
/// the thread that wraps it anew when another key becomes the first in --encryption-key-file.
///
///   auto encryption = Encryption::open(options, log, metrics);   // reads the file, no more
///   (*encryption)->claim(disk);                      // the directory is locked, and not open
///   engine.key = (*encryption)->key("store");        // none: the directory is plain
///   (*encryption)->note_all_sealed();                // everything is open, and so sealed
///   (*encryption)->start();
///   …
///   (*encryption)->stop();
///
/// The data key stays what it is while the member runs, so no write waits for a rotation.
class Encryption {
 public:
  static constexpr std::chrono::milliseconds kReloadInterval{500};

  /// Reads the file, if the flag names one. All but the status outlive this. Errors:
  /// InvalidArgument, a sentence that names the file.
  static absl::StatusOr<std::unique_ptr<Encryption>> open(const config::Options& options,
                                                          telemetry::Logger& log,
                                                          telemetry::Metrics& metrics);
  ~Encryption() { stop(); }
  Encryption(const Encryption&) = delete;
  Encryption& operator=(const Encryption&) = delete;

  /// Finds the directory's key, or writes it one. `disk` outlives this. Errors: decide_key()'s,
  /// which leave the directory as it was; the disk's.
  absl::Status claim(ports::Disk& disk);

  /// The key of a room; none if the directory is plain.
  std::optional<crypto::SealingKey> key(BytesView room) const;
  /// What is plain is to be sealed, not refused.
  bool seal_plain() const { return key_ && !key_->all_sealed; }
  /// From now on a plain part is refused. Errors: the disk's.
  absl::Status note_all_sealed();

  /// Looks at the file every kReloadInterval from now on. Once.
  void start();
  /// A second call does nothing.
  void stop() { thread_.stop(); }

 private:
  Encryption(const config::Options& options, telemetry::Logger& log, telemetry::Metrics& metrics);

  absl::Status wrap_by(const crypto::Key256& first);
  void show_in_use();
  void look_at_file();
  void take_changed(const crypto::KeyFile& file);
  void refuse(const absl::Status& why);

  const config::Options& options_;
  telemetry::Logger& log_;
  telemetry::Metrics& metrics_;
  ports::Disk* disk_ = nullptr;
  const node::DataDirectories where_;

  // Set before the thread runs, then its own.
  std::optional<crypto::KeyFile> file_;
  std::optional<crypto::DirectoryKey> key_;
  crypto::KeyId wrapped_by_{};
  /// Why the last look failed, so that it is told once.
  std::string refused_;

  PeriodicThread thread_;
};

}  // namespace holdfast::cli
