#include "operator/pki/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/crypto/certificate.h"
#include "operator/pki/names.h"
#include "operator/pki/x509.h"

namespace holdfast::pki {
namespace {

std::string hex_of(const ASN1_OCTET_STRING* bytes) {
  if (bytes == nullptr) return "";
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(bytes)),
                        static_cast<std::size_t>(ASN1_STRING_length(bytes))));
}

std::string issuer_of(const X509* certificate) {
  const crypto::BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_issuer_name(certificate), 0, XN_FLAG_RFC2253);
  return text_of(out.get());
}

std::string fingerprint_of(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return "";
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

void sort_once(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

Certificate value_of(X509* certificate) {
  crypto::CertificateInfo info = crypto::describe(certificate);
  Certificate out;
  out.pem = pem_of(certificate);
  out.subject = std::move(info.subject);
  out.issuer = issuer_of(certificate);
  out.serial = std::move(info.serial);
  out.fingerprint = fingerprint_of(certificate);
  out.key_id = hex_of(X509_get0_subject_key_id(certificate));
  out.issuer_key_id = hex_of(X509_get0_authority_key_id(certificate));
  out.not_before = std::chrono::floor<std::chrono::seconds>(info.not_before);
  out.not_after = std::chrono::floor<std::chrono::seconds>(info.not_after);
  for (const std::string& name : info.dns_names) {
    out.dns_names.push_back(absl::AsciiStrToLower(name));
  }
  out.ip_addresses = std::move(info.ip_addresses);
  sort_once(out.dns_names);
  sort_once(out.ip_addresses);
  out.is_ca = X509_check_ca(certificate) == 1;
  out.for_servers = info.for_servers;
  out.for_clients = info.for_clients;
  return out;
}

}  // namespace

std::vector<std::string> Certificate::names() const {
  std::vector<std::string> all = dns_names;
  all.insert(all.end(), ip_addresses.begin(), ip_addresses.end());
  sort_once(all);
  return all;
}

absl::StatusOr<std::vector<Certificate>> read_certificates(std::string_view pem,
                                                           const std::string& source) {
  const auto parsed = parse_certificates(pem, source);
  if (!parsed.ok()) return parsed.status();
  std::vector<Certificate> out;
  out.reserve(parsed->size());
  for (const crypto::CertificatePtr& each : *parsed) out.push_back(value_of(each.get()));
  ERR_clear_error();
  return out;
}

absl::StatusOr<Certificate> read_leaf(std::string_view pem, const std::string& source) {
  absl::StatusOr<std::vector<Certificate>> all = read_certificates(pem, source);
  if (!all.ok()) return all.status();
  return std::move(all->front());
}

absl::Status check_key(std::string_view certificate_pem, std::string_view key_pem,
                       const std::string& source) {
  const auto chain = parse_certificates(certificate_pem, source);
  if (!chain.ok()) return chain.status();
  const auto key = parse_key(key_pem, source);
  if (!key.ok()) return key.status();
  const bool belongs = X509_check_private_key(chain->front().get(), key->get()) == 1;
  ERR_clear_error();
  if (belongs) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(source, ": the private key does not belong to the certificate"));
}

}  // namespace holdfast::pki
