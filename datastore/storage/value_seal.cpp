#include "datastore/storage/value_seal.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/storage/stored_value.h"

namespace holdfast::storage {

namespace {

constexpr BytesView kPurpose = "run";
/// Bucket and key's length before the key.
constexpr std::size_t kPrefixBytes = 5;

/// What is authenticated beside the value: where it stands.
class Place {
 public:
  Place(ports::Bucket bucket, BytesView key) : size_(kPrefixBytes + key.size()) {
    HOLDFAST_CHECK(key.size() <= kBundlePrefixBytes);
    bytes_[0] = static_cast<char>(bucket);
    store_le32(bytes_.data() + 1, static_cast<std::uint32_t>(key.size()));
    std::copy(key.begin(), key.end(), bytes_.begin() + kPrefixBytes);
  }
  BytesView view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, kPrefixBytes + kBundlePrefixBytes> bytes_;
  std::size_t size_;
};

}  // namespace

const crypto::Key256* RunKeys::find(std::uint32_t run) const {
  const auto found = keys_.find(run);
  return found == keys_.end() ? nullptr : &found->second;
}

const crypto::Key256& RunKeys::add(std::uint32_t run, BytesView salt) {
  return keys_.insert_or_assign(run, key_.key.derive(salt, kPurpose)).first->second;
}

absl::Status ValueOpener::open(ports::Bucket bucket, BytesView key, BytesView stored, char* out) {
  const auto changed = [&] {
    return absl::DataLossError(
        absl::StrCat("the store is damaged: what is sealed in ", describe_entry(bucket, key),
                     " was changed; stop this member, remove its data directory and let it join "
                     "again, or restore a snapshot"));
  };
  if (stored.size() < kSealedValueBytes || key.size() > kBundlePrefixBytes) return changed();
  const std::uint32_t run = load_le32(stored.data());
  if (cipher_ == nullptr || run != run_) {
    const crypto::Key256* of_run = keys_.find(run);
    if (of_run == nullptr) return changed();
    if (cipher_ == nullptr) {
      cipher_ = std::make_unique<crypto::AeadContext>(*of_run);
    } else {
      cipher_->use(*of_run);
    }
    run_ = run;
  }
  const BytesView nonce = stored.substr(0, kSealedFrontBytes);
  const bool opened =
      cipher_->open(nonce, Place(bucket, key).view(), stored.substr(kSealedFrontBytes), out);
  return opened ? absl::OkStatus() : changed();
}

ValueSealer::ValueSealer(RunKeys& keys)
    : run_(keys.last() + 1),
      salt_(crypto::random_bytes(kRunSaltBytes)),
      cipher_(keys.add(run_, salt_)) {
  HOLDFAST_CHECK(run_ != 0);
}

void ValueSealer::seal(ports::Bucket bucket, BytesView key, BytesView value, char* out) {
  store_le32(out, run_);
  store_le64(out + 4, next_++);
  cipher_.seal({out, kSealedFrontBytes}, Place(bucket, key).view(), value, out + kSealedFrontBytes);
}

}  // namespace holdfast::storage
