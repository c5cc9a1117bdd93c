#include "operator/pki/issue.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "operator/pki/names.h"
#include "operator/pki/x509.h"

namespace holdfast::pki {
namespace {

using crypto::add_alternative_names;
using crypto::add_extension;
using crypto::new_key;
using crypto::random_serial;
using crypto::SerialBytes;
using crypto::set_serial;
using crypto::set_validity;

constexpr std::size_t kMaxNameBytes = 64;  // ub-common-name and ub-organization-name, RFC 5280 A.1

/// At most 64 bytes of `text`, never cutting a UTF-8 character in two.
std::string_view cut(std::string_view text) {
  if (text.size() <= kMaxNameBytes) return text;
  std::size_t size = kMaxNameBytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

bool add_name(X509_NAME* name, const char* field, std::string_view value) {
  if (value.empty()) return true;
  const std::string_view bounded = cut(value);
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(bounded.data()),
                                    static_cast<int>(bounded.size()), -1, 0) == 1;
}

/// The key identifiers by which chains are built; the subject's first, since an issuer that signs
/// itself is found by it.
bool add_key_ids(X509* certificate, X509* issuer) {
  return add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
}

absl::Status check_duration(std::chrono::seconds duration) {
  // Years of four digits are all that a certificate can say.
  constexpr std::chrono::hours kLongest{24 * 366 * 1000};
  if (duration > std::chrono::seconds(0) && duration <= kLongest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "a certificate of ", duration.count(), " seconds can't be made: give a duration above 0"));
}

struct Signer {
  crypto::CertificatePtr certificate;
  crypto::KeyPtr key;
  Certificate value;
};

absl::StatusOr<Signer> open_signer(const Identity& ca, Time now) {
  constexpr char kSource[] = "the CA";
  Signer signer;
  if (absl::Status status = check_key(ca.certificate_pem, ca.key_pem, kSource); !status.ok()) {
    return status;
  }
  auto chain = parse_certificates(ca.certificate_pem, kSource);
  if (!chain.ok()) return chain.status();
  auto key = parse_key(ca.key_pem, kSource);
  if (!key.ok()) return key.status();
  auto value = read_leaf(ca.certificate_pem, kSource);
  if (!value.ok()) return value.status();
  signer.certificate = std::move(chain->front());
  signer.key = *std::move(key);
  signer.value = *std::move(value);
  if (!signer.value.is_ca) {
    return absl::FailedPreconditionError(
        absl::StrCat("\"", signer.value.subject, "\" is no CA: it may not sign certificates"));
  }
  if (now < signer.value.not_before || now >= signer.value.not_after) {
    return absl::FailedPreconditionError(
        absl::StrCat("the CA \"", signer.value.subject, "\" is not valid now: rotate it"));
  }
  return signer;
}

bool set_subject(X509* certificate, std::string_view common_name, std::string_view organization,
                 std::string_view serial_number) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  return add_name(subject, "O", organization) && add_name(subject, "CN", common_name) &&
         add_name(subject, "serialNumber", serial_number);
}

std::string short_hex(const SerialBytes& bytes) {
  constexpr std::size_t kShown = 8;
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), kShown));
}

const char* extended_usages(const LeafRequest& request) {
  if (request.for_servers && request.for_clients) return "serverAuth,clientAuth";
  return request.for_servers ? "serverAuth" : "clientAuth";
}

}  // namespace

absl::StatusOr<Identity> create_ca(const CaRequest& request, Time now) {
  if (absl::Status status = check_duration(request.duration); !status.ok()) return status;
  const absl::StatusOr<SerialBytes> serial = random_serial();
  if (!serial.ok()) return serial.status();
  const absl::StatusOr<crypto::KeyPtr> key = new_key();
  if (!key.ok()) return key.status();
  const crypto::CertificatePtr made(X509_new());
  X509* ca = made.get();
  const bool signed_itself =
      ca != nullptr && X509_set_version(ca, X509_VERSION_3) == 1 && set_serial(ca, *serial) &&
      set_subject(ca, request.common_name, request.organization, short_hex(*serial)) &&
      X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 &&
      set_validity(ca, now - kClockSkew, now + request.duration) &&
      X509_set_pubkey(ca, key->get()) == 1 &&
      add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") && add_key_ids(ca, ca) &&
      X509_sign(ca, key->get(), EVP_sha256()) != 0;
  if (!signed_itself) return openssl_error("making a CA");
  ERR_clear_error();
  return Identity{pem_of(ca), pem_of(key->get())};
}

absl::StatusOr<Identity> issue_leaf(const Identity& ca, const LeafRequest& request, Time now) {
  if (absl::Status status = check_duration(request.duration); !status.ok()) return status;
  if (!request.for_servers && !request.for_clients) {
    return absl::InvalidArgumentError("a leaf is for servers, for clients or for both");
  }
  const absl::StatusOr<std::vector<std::string>> names = canonical_names(request.names);
  if (!names.ok()) return names.status();
  const absl::StatusOr<Signer> signer = open_signer(ca, now);
  if (!signer.ok()) return signer.status();
  const absl::StatusOr<SerialBytes> serial = random_serial();
  if (!serial.ok()) return serial.status();
  const absl::StatusOr<crypto::KeyPtr> key = new_key();
  if (!key.ok()) return key.status();

  const Time begin = std::max<Time>(now - kClockSkew, signer->value.not_before);
  const Time end = std::min<Time>(now + request.duration, signer->value.not_after);
  X509* issuer = signer->certificate.get();
  const crypto::CertificatePtr made(X509_new());
  X509* leaf = made.get();
  const bool signed_by_ca =
      leaf != nullptr && X509_set_version(leaf, X509_VERSION_3) == 1 && set_serial(leaf, *serial) &&
      set_subject(leaf, request.common_name, request.organization, "") &&
      X509_set_issuer_name(leaf, X509_get_subject_name(issuer)) == 1 &&
      set_validity(leaf, begin, end) && X509_set_pubkey(leaf, key->get()) == 1 &&
      add_extension(leaf, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(leaf, issuer, NID_key_usage, "critical,digitalSignature") &&
      add_extension(leaf, issuer, NID_ext_key_usage, extended_usages(request)) &&
      add_alternative_names(leaf, *names) && add_key_ids(leaf, issuer) &&
      X509_sign(leaf, signer->key.get(), EVP_sha256()) != 0;
  if (!signed_by_ca) return openssl_error("issuing a certificate");
  ERR_clear_error();
  return Identity{pem_of(leaf), pem_of(key->get())};
}

}  // namespace holdfast::pki
