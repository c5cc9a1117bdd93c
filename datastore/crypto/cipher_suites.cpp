#include "datastore/crypto/cipher_suites.h"

#include <openssl/err.h>

#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/base/check.h"

namespace holdfast::crypto {
namespace {

/// Every suite that this OpenSSL has, by its IANA name.
absl::flat_hash_map<std::string, const SSL_CIPHER*> known_suites() {
  const SslContextPtr context(SSL_CTX_new(TLS_method()));
  HOLDFAST_CHECK(context != nullptr);
  SSL_CTX_set_cipher_list(context.get(), "ALL:@SECLEVEL=0");
  absl::flat_hash_map<std::string, const SSL_CIPHER*> known;
  const STACK_OF(SSL_CIPHER)* all = SSL_CTX_get_ciphers(context.get());
  for (int i = 0; i < sk_SSL_CIPHER_num(all); ++i) {
    const SSL_CIPHER* suite = sk_SSL_CIPHER_value(all, i);
    if (const char* name = SSL_CIPHER_standard_name(suite); name != nullptr) known[name] = suite;
  }
  return known;
}

std::string full_name(const std::string& name) {
  const bool shortened = name == "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" ||
                         name == "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305";
  return shortened ? absl::StrCat(name, "_SHA256") : name;
}

}  // namespace

absl::Status choose_cipher_suites(SSL_CTX* context, const std::vector<std::string>& names) {
  if (names.empty()) return absl::OkStatus();
  const auto known = known_suites();
  std::vector<std::string> chosen;
  for (const std::string& name : names) {
    const auto found = known.find(full_name(name));
    if (found == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unexpected TLS cipher suite \"", name, "\""));
    }
    // TLS 1.3's own are always on: OpenSSL says of them that they are "TLSv1.3".
    if (std::string_view(SSL_CIPHER_get_version(found->second)) != "TLSv1.3") {
      chosen.emplace_back(SSL_CIPHER_get_name(found->second));
    }
  }
  if (chosen.empty()) {
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    return absl::OkStatus();
  }
  if (SSL_CTX_set_cipher_list(context, absl::StrJoin(chosen, ":").c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of the TLS cipher suites ", absl::StrJoin(names, ", "),
                     " is allowed by this machine's OpenSSL: ", take_openssl_error()));
  }
  return absl::OkStatus();
}

absl::Status check_cipher_suites(const std::vector<std::string>& names) {
  const SslContextPtr context(SSL_CTX_new(TLS_method()));
  HOLDFAST_CHECK(context != nullptr);
  return choose_cipher_suites(context.get(), names);
}

}  // namespace holdfast::crypto
