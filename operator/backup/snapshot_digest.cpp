#include "operator/backup/snapshot_digest.h"

#include "absl/strings/escaping.h"

namespace holdfast::backup {
namespace {

constexpr std::size_t kDigestBytes = 32;
constexpr std::int64_t kBlockBytes = 512;

}  // namespace

void SnapshotDigest::update(BytesView bytes) {
  tail_.append(bytes);
  if (tail_.size() <= kDigestBytes) return;
  const std::size_t known = tail_.size() - kDigestBytes;
  sum_.update(BytesView(tail_).substr(0, known));
  summed_bytes_ += static_cast<std::int64_t>(known);
  tail_.erase(0, known);
}

absl::Status SnapshotDigest::finish() {
  if (summed_bytes_ == 0 || summed_bytes_ % kBlockBytes != 0) {
    return absl::DataLossError(
        "the snapshot is cut, or no snapshot: it is no whole number of blocks and a digest");
  }
  const crypto::Sha256Digest digest = sum_.finish();
  if (tail_ != BytesView(digest.data(), digest.size())) {
    return absl::DataLossError("the snapshot is not what its own SHA-256 says");
  }
  return absl::OkStatus();
}

void ObjectDigest::update(BytesView bytes) {
  sum_.update(bytes);
  size_bytes_ += static_cast<std::int64_t>(bytes.size());
}

std::string ObjectDigest::finish() {
  const crypto::Sha256Digest digest = sum_.finish();
  return absl::BytesToHexString(absl::string_view(digest.data(), digest.size()));
}

}  // namespace holdfast::backup
