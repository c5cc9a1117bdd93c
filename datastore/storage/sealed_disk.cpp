#include "datastore/storage/sealed_disk.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/crypto/aead.h"
#include "datastore/storage/layout.h"

namespace holdfast::storage {

namespace {

constexpr BytesView kMagic = "HOLDFSPL";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kCipherAes256Gcm = 1;
constexpr std::size_t kKeyIdAt = 16;
constexpr std::size_t kSaltAt = 32;
constexpr std::size_t kSaltBytes = 32;
constexpr std::size_t kHeaderBytes = 64;
constexpr BytesView kPurpose = "file";

constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
constexpr std::size_t kPieceFrontBytes = 4;
constexpr std::size_t kPieceExtraBytes = kPieceFrontBytes + crypto::AeadContext::kTagBytes;
constexpr std::size_t kSealedPieceBytes = kPieceBytes + kPieceExtraBytes;

using Nonce = std::array<char, crypto::AeadContext::kNonceBytes>;

Nonce nonce_of(std::uint64_t piece, std::uint32_t writing) {
  Nonce nonce;
  store_le64(nonce.data(), piece);
  store_le32(nonce.data() + 8, writing);
  return nonce;
}
BytesView view(const Nonce& nonce) {
  return {nonce.data(), nonce.size()};
}

std::uint64_t place_of(std::uint64_t piece) {
  return kHeaderBytes + piece * kSealedPieceBytes;
}

Bytes new_header(const crypto::SealingKey& key) {
  Bytes header(kHeaderBytes, '\0');
  kMagic.copy(header.data(), kMagic.size());
  store_le32(header.data() + 8, kVersion);
  store_le32(header.data() + 12, kCipherAes256Gcm);
  crypto::view_of(key.id).copy(header.data() + kKeyIdAt, key.id.size());
  crypto::random_bytes(kSaltBytes).copy(header.data() + kSaltAt, kSaltBytes);
  return header;
}

crypto::Key256 file_key(const crypto::SealingKey& key, BytesView header) {
  Bytes purpose(kPurpose);
  purpose.append(header.substr(0, kSaltAt));
  return key.key.derive(header.substr(kSaltAt, kSaltBytes), purpose);
}

absl::Status not_ours(const std::string& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": ", what));
}

/// What can't be done with a file of this kind.
absl::Status never(const char* what) {
  return absl::UnimplementedError(absl::StrCat("a sealed file can't be ", what));
}

class WritingFile final : public ports::File {
 public:
  WritingFile(std::unique_ptr<ports::File> beneath, const crypto::SealingKey& key)
      : beneath_(std::move(beneath)), header_(new_header(key)), cipher_(file_key(key, header_)) {}

  absl::Status write(std::uint64_t offset, absl::Span<const BytesView> pieces) override {
    if (offset != written_) return never("written but from front to back");
    for (BytesView bytes : pieces) {
      written_ += bytes.size();
      while (!bytes.empty()) {
        const BytesView part = bytes.substr(0, kPieceBytes - pending_.size());
        pending_.append(part);
        bytes.remove_prefix(part.size());
        if (pending_.size() < kPieceBytes) continue;
        if (absl::Status status = write_pending(); !status.ok()) return status;
        ++piece_;
        writing_ = 0;
        pending_.clear();
      }
    }
    return absl::OkStatus();
  }
  absl::Status sync() override {
    // Written again when there is more of it, with another nonce.
    if (absl::Status status = write_pending(); !status.ok()) return status;
    return beneath_->sync();
  }
  absl::StatusOr<std::uint64_t> size() override { return written_; }
  absl::Status read(std::uint64_t, std::size_t, Bytes&) override {
    return never("read while it is written");
  }
  absl::Status preallocate(std::uint64_t) override { return never("allocated"); }
  absl::Status truncate(std::uint64_t) override { return never("cut"); }

 private:
  absl::Status write_pending() {
    if (!has_header_) {
      const BytesView header(header_);
      if (absl::Status status = beneath_->write(0, {&header, 1}); !status.ok()) return status;
      has_header_ = true;
    }
    if (pending_.empty()) return absl::OkStatus();
    sealed_.resize(pending_.size() + kPieceExtraBytes);
    store_le32(sealed_.data(), writing_);
    cipher_.seal(view(nonce_of(piece_, writing_)), {}, pending_, sealed_.data() + kPieceFrontBytes);
    ++writing_;
    const BytesView bytes(sealed_);
    return beneath_->write(place_of(piece_), {&bytes, 1});
  }

  const std::unique_ptr<ports::File> beneath_;
  const Bytes header_;
  crypto::AeadContext cipher_;
  bool has_header_ = false;
  std::uint64_t written_ = 0;
  /// The piece that is not full yet, and how often it was written.
  std::uint64_t piece_ = 0;
  std::uint32_t writing_ = 0;
  Bytes pending_;
  Bytes sealed_;
};

class ReadingFile final : public ports::File {
 public:
  static absl::StatusOr<std::unique_ptr<ports::File>> open(std::unique_ptr<ports::File> beneath,
                                                           const crypto::SealingKey& key,
                                                           const std::string& path) {
    Bytes header;
    if (absl::Status status = beneath->read(0, kHeaderBytes, header); !status.ok()) return status;
    if (header.size() < kHeaderBytes || !BytesView(header).starts_with(kMagic)) {
      return not_ours(path, "is plain, or cut off, where everything is encrypted");
    }
    if (load_le32(header.data() + 8) != kVersion ||
        load_le32(header.data() + 12) != kCipherAes256Gcm) {
      return absl::FailedPreconditionError(absl::StrCat(
          path, ": has a newer format; start the release that wrote it, or a later one"));
    }
    if (BytesView(header).substr(kKeyIdAt, sizeof(crypto::KeyId)) != crypto::view_of(key.id)) {
      return not_ours(path, "was encrypted with another data key");
    }
    const absl::StatusOr<std::uint64_t> size = beneath->size();
    if (!size.ok()) return size.status();
    return std::unique_ptr<ports::File>(
        new ReadingFile(std::move(beneath), file_key(key, header), *size - kHeaderBytes, path));
  }

  absl::Status read(std::uint64_t offset, std::size_t size, Bytes& out) override {
    out.clear();
    const std::uint64_t end = std::min(bytes_, offset + std::min<std::uint64_t>(size, bytes_));
    while (offset < end) {
      if (absl::Status status = load(offset / kPieceBytes); !status.ok()) return status;
      const std::size_t at = offset % kPieceBytes;
      const std::size_t part = std::min<std::uint64_t>(end - offset, opened_bytes_ - at);
      out.append(opened_, at, part);
      offset += part;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::uint64_t> size() override { return bytes_; }
  absl::Status write(std::uint64_t, absl::Span<const BytesView>) override {
    return never("written when it is complete");
  }
  absl::Status sync() override { return absl::OkStatus(); }
  absl::Status preallocate(std::uint64_t) override { return never("allocated"); }
  absl::Status truncate(std::uint64_t) override { return never("cut"); }

 private:
  ReadingFile(std::unique_ptr<ports::File> beneath, const crypto::Key256& key,
              std::uint64_t sealed_bytes, std::string path)
      : beneath_(std::move(beneath)), cipher_(key), path_(std::move(path)) {
    const std::uint64_t rest = sealed_bytes % kSealedPieceBytes;
    bytes_ = sealed_bytes / kSealedPieceBytes * kPieceBytes +
             (rest > kPieceExtraBytes ? rest - kPieceExtraBytes : 0);
  }

  absl::Status load(std::uint64_t piece) {
    if (has_piece_ && piece_ == piece) return absl::OkStatus();
    has_piece_ = false;
    if (absl::Status status = beneath_->read(place_of(piece), kSealedPieceBytes, opened_);
        !status.ok()) {
      return status;
    }
    // It begins before bytes_, so there is something of it, unless the file was cut meanwhile.
    if (opened_.size() <= kPieceExtraBytes) return not_ours(path_, "was cut off");
    const std::uint32_t writing = load_le32(opened_.data());
    opened_.erase(0, kPieceFrontBytes);
    if (!cipher_.open(view(nonce_of(piece, writing)), {}, opened_, opened_.data())) {
      return not_ours(path_, absl::StrCat("piece ", piece, " is not what was sealed there"));
    }
    opened_bytes_ = opened_.size() - crypto::AeadContext::kTagBytes;
    piece_ = piece;
    has_piece_ = true;
    return absl::OkStatus();
  }

  const std::unique_ptr<ports::File> beneath_;
  crypto::AeadContext cipher_;
  const std::string path_;
  std::uint64_t bytes_ = 0;
  /// The piece that was read last: a walk asks for its pages one after the other.
  bool has_piece_ = false;
  std::uint64_t piece_ = 0;
  Bytes opened_;
  std::size_t opened_bytes_ = 0;
};

absl::StatusOr<bool> is_sealed(ports::Disk& disk, const std::string& path) {
  const absl::StatusOr<std::unique_ptr<ports::File>> file =
      disk.open(path, ports::Disk::Open::kRead);
  if (!file.ok()) return file.status();
  Bytes begin;
  if (absl::Status status = (*file)->read(0, kMagic.size(), begin); !status.ok()) return status;
  return begin == kMagic;
}

absl::Status copy_file(ports::Disk& from, ports::Disk& to, const std::string& path,
                       const std::string& target) {
  constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
  const auto source = from.open(path, ports::Disk::Open::kRead);
  if (!source.ok()) return source.status();
  const auto copy = to.open(target, ports::Disk::Open::kCreate);
  if (!copy.ok()) return copy.status();
  Bytes bytes;
  for (std::uint64_t offset = 0;; offset += bytes.size()) {
    if (absl::Status s = (*source)->read(offset, kCopyBytes, bytes); !s.ok()) return s;
    if (bytes.empty()) return (*copy)->sync();
    const BytesView piece(bytes);
    if (absl::Status s = (*copy)->write(offset, {&piece, 1}); !s.ok()) return s;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ports::File>> SealedDisk::open(const std::string& path, Open how) {
  if (how == Open::kReadWrite) return never("changed");
  absl::StatusOr<std::unique_ptr<ports::File>> file = beneath_.open(path, how);
  if (!file.ok()) return file;
  if (how == Open::kRead) return ReadingFile::open(*std::move(file), key_, path);
  return std::make_unique<WritingFile>(*std::move(file), key_);
}

absl::StatusOr<std::unique_ptr<ports::FileContent>> SealedDisk::map(const std::string& path) {
  return absl::UnimplementedError(absl::StrCat(path, ": a sealed file is read, not mapped"));
}

absl::StatusOr<std::vector<std::string>> seal_received_states(ports::Disk& disk,
                                                              const std::string& directory,
                                                              const crypto::SealingKey& key) {
  std::vector<std::string> sealed;
  const absl::StatusOr<std::vector<std::string>> names = disk.list(directory);
  if (absl::IsNotFound(names.status())) return sealed;
  if (!names.ok()) return names.status();
  SealedDisk sealing(disk, key);
  for (const std::string& name : *names) {
    if (!absl::StrContains(name, kSnapshotSuffix)) continue;
    const std::string path = absl::StrCat(directory, "/", name);
    if (!absl::EndsWith(name, kSnapshotSuffix)) {
      if (absl::Status s = disk.remove(path); !s.ok()) return s;
      continue;
    }
    const absl::StatusOr<bool> already = is_sealed(disk, path);
    if (!already.ok()) return already.status();
    if (*already) continue;
    const std::string draft = path + ".sealing";
    absl::Status status = copy_file(disk, sealing, path, draft);
    if (status.ok()) status = disk.rename(draft, path);
    if (status.ok()) status = disk.sync_directory(directory);
    if (!status.ok()) return status;
    sealed.push_back(name);
  }
  return sealed;
}

}  // namespace holdfast::storage
