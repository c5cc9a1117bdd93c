#include "datastore/crypto/key256.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "datastore/base/check.h"
#include "datastore/crypto/aead.h"
#include "datastore/crypto/digest.h"

namespace holdfast::crypto {

namespace {

constexpr BytesView kIdLabel = "holdfast key id\n";
constexpr std::size_t kShortIdBytes = 8;

}  // namespace

std::string short_hex(const KeyId& id) {
  return absl::BytesToHexString({id.data(), kShortIdBytes});
}

Key256::Key256(BytesView bytes) {
  HOLDFAST_CHECK(bytes.size() == kBytes);
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

Key256 Key256::random() {
  Bytes bytes = random_bytes(kBytes);
  Key256 key(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return key;
}

std::optional<Key256> Key256::parse(BytesView text) {
  const absl::string_view digits(text.data(), text.size());
  Bytes bytes;
  bool decoded = false;
  if (digits.size() == 2 * kBytes) {
    decoded = std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit);
    if (decoded) bytes = absl::HexStringToBytes(digits);
  } else {
    decoded = absl::Base64Unescape(digits, &bytes);
  }
  std::optional<Key256> key;
  if (decoded && bytes.size() == kBytes) key.emplace(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return key;
}

Key256::~Key256() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

KeyId Key256::id() const {
  Sha256 sum;
  sum.update(kIdLabel);
  sum.update(bytes());
  const Sha256Digest digest = sum.finish();
  KeyId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

Key256 Key256::derive(BytesView salt, BytesView purpose) const {
  Bytes bytes = hkdf_sha256(this->bytes(), salt, purpose, kBytes);
  Key256 key(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return key;
}

}  // namespace holdfast::crypto
