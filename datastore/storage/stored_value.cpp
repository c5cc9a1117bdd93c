#include "datastore/storage/stored_value.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"

namespace holdfast::storage {

namespace {

constexpr std::size_t kItemHeaderBytes = 8;
constexpr std::size_t kShownKeyBytes = 64;

void append_item(Bytes& out, BytesView key, BytesView value) {
  char header[kItemHeaderBytes];
  store_le32(header, static_cast<std::uint32_t>(key.size()));
  store_le32(header + 4, static_cast<std::uint32_t>(value.size()));
  out.append(header, sizeof header);
  out.append(key);
  out.append(value);
}

}  // namespace

std::string describe_entry(ports::Bucket bucket, BytesView key) {
  const BytesView name = ports::kBucketNames[static_cast<std::size_t>(bucket)];
  const Bytes shown(key.substr(0, kShownKeyBytes));
  return absl::StrCat("bucket ", Bytes(name), ", key \"", absl::CHexEscape(shown), "\"",
                      key.size() > kShownKeyBytes ? "..." : "");
}

std::uint32_t stored_checksum(ports::Bucket bucket, BytesView key, BytesView value) {
  // Bucket, length and the usual short key in one go: a call per piece costs more than the bytes.
  constexpr std::size_t kPrefixBytes = 5;
  constexpr std::size_t kShortKeyBytes = 64;
  char front[kPrefixBytes + kShortKeyBytes];
  front[0] = static_cast<char>(bucket);
  store_le32(front + 1, static_cast<std::uint32_t>(key.size()));
  const BytesView begin = key.substr(0, kShortKeyBytes);
  std::copy(begin.begin(), begin.end(), front + kPrefixBytes);
  std::uint32_t crc = crc32c(0, BytesView(front, kPrefixBytes + begin.size()));
  if (key.size() > kShortKeyBytes) crc = crc32c(crc, key.substr(kShortKeyBytes));
  return crc32c(crc, value);
}

void encode_stored(ports::Bucket bucket, BytesView key, BytesView value, char* out) {
  store_le32(out, stored_checksum(bucket, key, value));
  if (!value.empty()) std::memcpy(out + kValueHeaderBytes, value.data(), value.size());
}

absl::StatusOr<BytesView> decode_stored(ports::Bucket bucket, BytesView key, BytesView stored) {
  if (stored.size() >= kValueHeaderBytes) {
    const BytesView value = stored.substr(kValueHeaderBytes);
    if (load_le32(stored.begin()) == stored_checksum(bucket, key, value)) return value;
  }
  return absl::DataLossError(
      absl::StrCat("the store is damaged: wrong checksum in ", describe_entry(bucket, key),
                   "; stop this member, remove its data directory and let it join again, or "
                   "restore a snapshot"));
}

std::optional<BundleItem> BundleReader::next() {
  if (rest_.empty() || malformed_) return std::nullopt;
  malformed_ = true;  // unless all of what follows holds
  if (rest_.size() < kItemHeaderBytes) return std::nullopt;
  const std::size_t key_bytes = load_le32(rest_.begin());
  const std::size_t value_bytes = load_le32(rest_.data() + 4);
  rest_.remove_prefix(kItemHeaderBytes);
  if (key_bytes < kBundlePrefixBytes || key_bytes + value_bytes > rest_.size()) {
    return std::nullopt;
  }
  const BundleItem item{rest_.substr(0, key_bytes), rest_.substr(key_bytes, value_bytes)};
  rest_.remove_prefix(key_bytes + value_bytes);
  malformed_ = false;
  return item;
}

absl::StatusOr<Bytes> change_bundle(BytesView bundle, BytesView key,
                                    std::optional<BytesView> value) {
  Bytes changed;
  bool placed = !value.has_value();
  BundleReader reader(bundle);
  while (const std::optional<BundleItem> item = reader.next()) {
    if (!placed && key <= item->key) {
      append_item(changed, key, *value);
      placed = true;
    }
    if (item->key != key) append_item(changed, item->key, item->value);
  }
  if (reader.malformed()) return absl::DataLossError("a bundle of long keys is malformed");
  if (!placed) append_item(changed, key, *value);
  if (changed.size() > kMaxBundleBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxBundleBytes >> 20, " MiB of names share their first ",
                     kBundlePrefixBytes, " bytes; use shorter names"));
  }
  return changed;
}

}  // namespace holdfast::storage
