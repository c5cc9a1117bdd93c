#pragma once

#include <array>

#include "datastore/base/bytes.h"

typedef struct evp_md_ctx_st EVP_MD_CTX;

namespace holdfast::crypto {

using Sha1Digest = std::array<char, 20>;
using Sha256Digest = std::array<char, 32>;

/// SHA-1 of `data`: etcd derives member and cluster ids from it, nothing secret.
Sha1Digest sha1(BytesView data);

/// SHA-256 in pieces. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(BytesView data);
  /// Ends the sum; call once, last.
  Sha256Digest finish();

 private:
  EVP_MD_CTX* context_;
};

}  // namespace holdfast::crypto
