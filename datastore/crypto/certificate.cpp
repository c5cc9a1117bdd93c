#include "datastore/crypto/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "absl/strings/str_cat.h"
#include "datastore/crypto/address.h"
#include "datastore/crypto/certificate_parts.h"

namespace holdfast::crypto {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<&GENERAL_NAMES_free>>;

std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string subject_of(const X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  return text_of(out.get());
}

std::string serial_of(const X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  i2a_ASN1_INTEGER(out.get(), X509_get0_serialNumber(certificate));
  return text_of(out.get());
}

std::string address_of(const ASN1_OCTET_STRING* octets) {
  return address_text({reinterpret_cast<const char*>(ASN1_STRING_get0_data(octets)),
                       static_cast<std::size_t>(ASN1_STRING_length(octets))});
}

void read_alternative_names(const X509* certificate, CertificateInfo& info) {
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const ASN1_IA5STRING* text = name->d.dNSName;
      info.dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                  static_cast<std::size_t>(ASN1_STRING_length(text)));
    } else if (name->type == GEN_IPADD) {
      info.ip_addresses.push_back(address_of(name->d.iPAddress));
    }
  }
}

/// No terminal is ever asked for the passphrase of a key.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

BioPtr reader(std::string_view bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

}  // namespace

std::string take_openssl_error() {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  if (first == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(first);
  return reason != nullptr ? reason : absl::StrCat("OpenSSL error ", first);
}

CertificateInfo describe(X509* certificate) {
  CertificateInfo info;
  info.subject = subject_of(certificate);
  info.serial = serial_of(certificate);
  info.not_before = time_of(X509_get0_notBefore(certificate));
  info.not_after = time_of(X509_get0_notAfter(certificate));
  read_alternative_names(certificate, info);
  info.for_servers = X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) == 1;
  info.for_clients = X509_check_purpose(certificate, X509_PURPOSE_SSL_CLIENT, 0) == 1;
  return info;
}

std::string common_name_of(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  int last = -1;
  for (int next = last; (next = X509_NAME_get_index_by_NID(subject, NID_commonName, next)) >= 0;) {
    last = next;
  }
  if (last < 0) return {};
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last));
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, value);
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name;
}

bool names_address(X509* certificate, const std::string& address) {
  return X509_check_ip_asc(certificate, address.c_str(), 0) == 1;
}

bool names_host(X509* certificate, const std::string& host) {
  if (is_address(host)) return names_address(certificate, host);
  constexpr unsigned int kFlags =
      X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
  return X509_check_host(certificate, host.data(), host.size(), kFlags, nullptr) == 1;
}

absl::StatusOr<std::vector<CertificatePtr>> parse_certificates(std::string_view pem,
                                                               const std::string& file) {
  std::vector<CertificatePtr> found;
  const BioPtr in = reader(pem);
  ERR_clear_error();
  while (true) {
    CertificatePtr next(PEM_read_bio_X509(in.get(), nullptr, &no_passphrase, nullptr));
    if (next == nullptr) break;
    found.push_back(std::move(next));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string error = take_openssl_error();
  if (!at_end) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": certificate ", found.size() + 1,
                                                   " of the file does not parse: ", error));
  }
  if (found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, " holds no PEM certificate"));
  }
  return found;
}

absl::StatusOr<KeyPtr> parse_private_key(std::string_view pem, const std::string& file) {
  const BioPtr in = reader(pem);
  ERR_clear_error();
  KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, &no_passphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " holds no readable, unencrypted PEM key: ", take_openssl_error()));
  }
  ERR_clear_error();
  return key;
}

}  // namespace holdfast::crypto
