#include "operator/pki/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/crypto/certificate.h"

namespace holdfast::pki {
namespace {

absl::Status check_size(std::string_view pem, const std::string& source) {
  if (pem.empty()) return absl::InvalidArgumentError(absl::StrCat(source, " is empty"));
  if (pem.size() <= kMaxPemBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(source, " is larger than ", kMaxPemBytes, " bytes"));
}

using Certificates = std::vector<crypto::CertificatePtr>;

/// What was parsed before: the same certificates are looked at in every pass, and OpenSSL 3 takes
/// most of a millisecond for each. Forgets everything when it is full.
class ParsedTexts {
 public:
  static ParsedTexts& of_this_thread() {
    thread_local ParsedTexts texts;
    return texts;
  }

  /// Empty: not known.
  Certificates find(std::string_view pem) const {
    const auto known = texts_.find(std::string(pem));
    return known == texts_.end() ? Certificates() : shared(known->second);
  }
  void keep(std::string_view pem, const Certificates& parsed) {
    if (texts_.size() >= kMaxTexts) texts_.clear();
    texts_[std::string(pem)] = shared(parsed);
  }

 private:
  static constexpr std::size_t kMaxTexts = 256;

  static Certificates shared(const Certificates& certificates) {
    Certificates more;
    for (const crypto::CertificatePtr& each : certificates) {
      X509_up_ref(each.get());
      more.emplace_back(each.get());
    }
    return more;
  }

  std::map<std::string, Certificates> texts_;
};

}  // namespace

absl::StatusOr<std::vector<crypto::CertificatePtr>> parse_certificates(std::string_view pem,
                                                                       const std::string& source) {
  if (absl::Status status = check_size(pem, source); !status.ok()) return status;
  if (auto known = ParsedTexts::of_this_thread().find(pem); !known.empty()) return known;
  auto parsed = crypto::parse_certificates(pem, source);
  ERR_clear_error();
  if (parsed.ok() && parsed->size() > kMaxCertificates) {
    return absl::InvalidArgumentError(absl::StrCat(source, " holds ", parsed->size(),
                                                   " certificates; at most ", kMaxCertificates,
                                                   " are read"));
  }
  if (parsed.ok()) ParsedTexts::of_this_thread().keep(pem, *parsed);
  return parsed;
}

absl::StatusOr<crypto::KeyPtr> parse_key(std::string_view pem, const std::string& source) {
  if (absl::Status status = check_size(pem, source); !status.ok()) return status;
  return crypto::parse_private_key(pem, source);
}

}  // namespace holdfast::pki
