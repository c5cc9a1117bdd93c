#include "operator/pki/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>

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

}  // namespace

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string pem_of(X509* certificate) {
  const crypto::BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return text_of(out.get());
}

std::string pem_of(EVP_PKEY* key) {
  const crypto::BioPtr out(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(out.get());
}

absl::StatusOr<std::vector<crypto::CertificatePtr>> parse_certificates(std::string_view pem,
                                                                       const std::string& source) {
  if (absl::Status status = check_size(pem, source); !status.ok()) return status;
  auto parsed = crypto::parse_certificates(pem, source);
  ERR_clear_error();
  if (parsed.ok() && parsed->size() > kMaxCertificates) {
    return absl::InvalidArgumentError(absl::StrCat(source, " holds ", parsed->size(),
                                                   " certificates; at most ", kMaxCertificates,
                                                   " are read"));
  }
  return parsed;
}

absl::StatusOr<crypto::KeyPtr> parse_key(std::string_view pem, const std::string& source) {
  if (absl::Status status = check_size(pem, source); !status.ok()) return status;
  return crypto::parse_private_key(pem, source);
}

absl::Status openssl_error(const std::string& tried) {
  return absl::InternalError(absl::StrCat(tried, ": ", crypto::take_openssl_error()));
}

}  // namespace holdfast::pki
