#include "datastore/cli/encryption.h"

#include <utility>

#include "datastore/cli/room_options.h"

namespace holdfast::cli {

Encryption::Encryption(const config::Options& options, telemetry::Logger& log,
                       telemetry::Metrics& metrics)
    : options_(options),
      log_(log),
      metrics_(metrics),
      where_{options.data_dir, wal_directory(options)} {
}

absl::StatusOr<std::unique_ptr<Encryption>> Encryption::open(const config::Options& options,
                                                             telemetry::Logger& log,
                                                             telemetry::Metrics& metrics) {
  std::unique_ptr<Encryption> encryption(new Encryption(options, log, metrics));
  if (options.encryption_key_file.empty()) return encryption;
  absl::StatusOr<crypto::KeyFile> file = crypto::read_key_file(options.encryption_key_file);
  if (!file.ok()) return file.status();
  if (file->open_to_all) {
    log.warn("everybody on this machine may read the encryption key file; chmod o-r it",
             {{"encryption-key-file", options.encryption_key_file}});
  }
  encryption->file_ = *std::move(file);
  return encryption;
}

absl::Status Encryption::claim(ports::Disk& disk) {
  disk_ = &disk;
  const absl::StatusOr<node::SealedParts> parts = node::look_at_seals(disk, where_);
  if (!parts.ok()) return parts.status();
  const absl::Span<const crypto::Key256> keys =
      file_ ? absl::MakeConstSpan(file_->keys) : absl::Span<const crypto::Key256>();
  absl::StatusOr<std::optional<node::DirectoryKey>> found = node::decide_key(*parts, keys, where_);
  if (!found.ok()) return found.status();
  if (!*found) return absl::OkStatus();
  key_ = (*found)->key;
  const crypto::Key256& first = file_->keys.front();
  if ((*found)->wrapped_by == first.id()) {
    wrapped_by_ = first.id();
    show_in_use();
    return absl::OkStatus();
  }
  if (!(*found)->wrapped_by) {
    log_.info("the data directory is encrypted from now on",
              {{"data-dir", options_.data_dir}, {"key", crypto::short_hex(first.id())}});
  }
  const absl::Status wrapped = wrap_by(first);
  if (wrapped.ok() || !(*found)->wrapped_by) return wrapped;
  // A full disk, say: the key it was sealed by still opens it, and start() tries again.
  wrapped_by_ = *(*found)->wrapped_by;
  show_in_use();
  refuse(wrapped);
  return absl::OkStatus();
}

std::optional<crypto::SealingKey> Encryption::key(BytesView room) const {
  if (!key_) return std::nullopt;
  return crypto::sealing_key(key_->data_key, Bytes("holdfast ").append(room));
}

absl::Status Encryption::note_all_sealed() {
  if (!seal_plain()) return absl::OkStatus();
  key_->all_sealed = true;
  absl::Status status = wrap_by(file_->keys.front());
  if (status.ok()) {
    log_.info("everything in the data directory is encrypted", {{"data-dir", options_.data_dir}});
  }
  return status;
}

absl::Status Encryption::wrap_by(const crypto::Key256& first) {
  if (absl::Status s = node::write_key_record(*disk_, options_.data_dir, *key_, first); !s.ok()) {
    return s;
  }
  const crypto::KeyId before = std::exchange(wrapped_by_, first.id());
  show_in_use();
  if (before == wrapped_by_ || before == crypto::KeyId{}) return absl::OkStatus();
  log_.info(
      "the data directory's key is sealed by another key now; the one before is not needed "
      "here any more, and may be removed from the file once every member that shares it says so",
      {{"key", crypto::short_hex(wrapped_by_)}, {"before", crypto::short_hex(before)}});
  return absl::OkStatus();
}

void Encryption::show_in_use() {
  metrics_.encryption.set_in_use(crypto::short_hex(wrapped_by_),
                                 crypto::short_hex(key_->data_key.id()));
}

// --- rotation -----------------------------------------------------------------------------------

void Encryption::start() {
  if (key_) thread_.start(kReloadInterval, [this] { look_at_file(); });
}

void Encryption::look_at_file() {
  const absl::StatusOr<crypto::KeyFile> file = crypto::read_key_file(options_.encryption_key_file);
  if (!file.ok()) return refuse(file.status());
  // Also when it is as it was before it was broken, or when the disk failed last time.
  if (file->digest != file_->digest || file->keys.front().id() != wrapped_by_) take_changed(*file);
}

void Encryption::take_changed(const crypto::KeyFile& file) {
  const bool rewraps = file.keys.front().id() != wrapped_by_;
  if (rewraps) {
    if (absl::Status s = wrap_by(file.keys.front()); !s.ok()) return refuse(s);
  }
  file_ = file;
  refused_.clear();
  metrics_.encryption.count_reload(rewraps ? "rewrapped" : "unchanged");
}

/// The key in use stays, and the member runs on; but would not start again with such a file.
void Encryption::refuse(const absl::Status& why) {
  const std::string text(why.message());
  if (std::exchange(refused_, text) == text) return;
  metrics_.encryption.count_reload("refused");
  log_.error(
      "the encryption key file was not taken into use; the key from before stays, but this "
      "member will not start again like this",
      {{"encryption-key-file", options_.encryption_key_file}, telemetry::Field(why)});
}

}  // namespace holdfast::cli
