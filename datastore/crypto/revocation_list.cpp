#include "datastore/crypto/revocation_list.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "absl/strings/str_cat.h"

namespace holdfast::crypto {
namespace {

std::string bytes_of(const ASN1_INTEGER* serial) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
          static_cast<std::size_t>(ASN1_STRING_length(serial))};
}

CrlPtr read(std::string_view bytes) {
  if (bytes.find("-----BEGIN X509 CRL-----") != bytes.npos) {
    const BioPtr in(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
    return CrlPtr(PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr));
  }
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  return CrlPtr(d2i_X509_CRL(nullptr, &from, static_cast<long>(bytes.size())));
}

}  // namespace

absl::StatusOr<RevocationList> RevocationList::parse(std::string_view bytes,
                                                     const std::string& file) {
  ERR_clear_error();
  const CrlPtr crl = read(bytes);
  if (crl == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " holds no certificate revocation list: ", take_openssl_error()));
  }
  RevocationList list;
  const STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(crl.get());
  for (int i = 0; i < sk_X509_REVOKED_num(revoked); ++i) {
    list.serials_.insert(
        bytes_of(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, i))));
  }
  return list;
}

bool RevocationList::lists(const X509* certificate) const {
  return !serials_.empty() && serials_.contains(bytes_of(X509_get0_serialNumber(certificate)));
}

}  // namespace holdfast::crypto
