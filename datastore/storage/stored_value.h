#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"

/// How an entry lies in LMDB: the checksum before each value, and bundles of long keys. Pure; the
/// bytes are FORMAT.md's.
namespace holdfast::storage {

inline constexpr std::size_t kValueHeaderBytes = 4;
/// Keys from this length on live in the bundle of their first kBundlePrefixBytes.
inline constexpr std::size_t kBundlePrefixBytes = 480;
/// What one bundle may grow to: names sharing a prefix of 480 bytes are a handful, not a data set.
inline constexpr std::size_t kMaxBundleBytes = std::size_t{64} << 20;

/// `<bucket>/<key>` for messages, the key quoted and shortened.
std::string describe_entry(ports::Bucket bucket, BytesView key);

/// The checksum that stands before `value` when it is stored under `key`.
std::uint32_t stored_checksum(ports::Bucket bucket, BytesView key, BytesView value);

/// Writes the header and the value to `out`, which has kValueHeaderBytes + value.size() bytes.
void encode_stored(ports::Bucket bucket, BytesView key, BytesView value, char* out);

/// Returns the value inside what is stored under `key`; it points into `stored`.
/// Errors: DataLoss naming bucket and key when it is too short or its checksum is wrong.
absl::StatusOr<BytesView> decode_stored(ports::Bucket bucket, BytesView key, BytesView stored);

/// One item of a bundle; points into the bundle.
struct BundleItem {
  BytesView key;
  BytesView value;
};

/// Walks a bundle (a value from decode_stored) item by item.
class BundleReader {
 public:
  BundleReader() = default;
  explicit BundleReader(BytesView bundle) : rest_(bundle) {}

  /// The next item; nullopt at the end, or when the rest makes no sense: then malformed() is true.
  std::optional<BundleItem> next();
  bool malformed() const { return malformed_; }

 private:
  BytesView rest_;
  bool malformed_ = false;
};

/// Returns `bundle` with `key` set to `value`, or removed when there is none; empty when no item is
/// left. Errors: DataLoss for a malformed bundle; ResourceExhausted past kMaxBundleBytes.
absl::StatusOr<Bytes> change_bundle(BytesView bundle, BytesView key,
                                    std::optional<BytesView> value);

}  // namespace holdfast::storage
