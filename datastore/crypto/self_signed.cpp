#include "datastore/crypto/self_signed.h"

#include <openssl/x509v3.h>

#include "datastore/crypto/certificate_parts.h"

namespace holdfast::crypto {
namespace {

bool set_subject(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const auto* organization = reinterpret_cast<const unsigned char*>("holdfast");
  return X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, organization, -1, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1;
}

}  // namespace

absl::StatusOr<SelfSigned> make_self_signed(const std::vector<std::string>& hosts,
                                            std::chrono::system_clock::time_point now,
                                            std::chrono::hours good_for) {
  const absl::StatusOr<SerialBytes> serial = random_serial();
  if (!serial.ok()) return serial.status();
  const absl::StatusOr<KeyPtr> key = new_key();
  if (!key.ok()) return key.status();
  const CertificatePtr certificate(X509_new());
  X509* const made = certificate.get();
  const bool signed_itself =
      made != nullptr && X509_set_version(made, X509_VERSION_3) == 1 && set_serial(made, *serial) &&
      set_subject(made) && set_validity(made, now, now + good_for) &&
      X509_set_pubkey(made, key->get()) == 1 &&
      // An authority too, so that clients may name this very certificate as whom they trust.
      add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE") &&
      add_extension(made, made, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
      add_extension(made, made, NID_ext_key_usage, "serverAuth,clientAuth") &&
      add_alternative_names(made, hosts) && X509_sign(made, key->get(), EVP_sha256()) > 0;
  if (!signed_itself) return openssl_error("making a self-signed certificate");
  return SelfSigned{pem_of(made), pem_of(key->get()), now + good_for};
}

}  // namespace holdfast::crypto
