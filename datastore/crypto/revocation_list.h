#pragma once

#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "datastore/crypto/openssl.h"

namespace holdfast::crypto {

/// The certificates that a CRL withdraws, by serial number alone, as etcd reads it: who issued the
/// list and whether it is out of date does not matter. Immutable once parsed; any thread.
class RevocationList {
 public:
  /// Lists nothing.
  RevocationList() = default;
  /// Of the bytes of one CRL, DER or PEM; `file` is for the error. Errors: InvalidArgument.
  static absl::StatusOr<RevocationList> parse(std::string_view bytes, const std::string& file);

  bool lists(const X509* certificate) const;
  std::size_t size() const { return serials_.size(); }

 private:
  absl::flat_hash_set<std::string> serials_;  // big-endian bytes
};

}  // namespace holdfast::crypto
