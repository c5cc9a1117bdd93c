#include "datastore/crypto/certificate_parts.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "datastore/crypto/address.h"

namespace holdfast::crypto {
namespace {

using BignumPtr = std::unique_ptr<BIGNUM, OpensslFree<&BN_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslFree<&X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<&GENERAL_NAMES_free>>;
using NamePtr = std::unique_ptr<GENERAL_NAME, OpensslFree<&GENERAL_NAME_free>>;
using OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, OpensslFree<&ASN1_OCTET_STRING_free>>;
using IA5Ptr = std::unique_ptr<ASN1_IA5STRING, OpensslFree<&ASN1_IA5STRING_free>>;

bool append_address(GENERAL_NAMES* all, std::string_view bytes) {
  OctetsPtr octets(ASN1_OCTET_STRING_new());
  NamePtr name(GENERAL_NAME_new());
  if (octets == nullptr || name == nullptr ||
      ASN1_OCTET_STRING_set(octets.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                            static_cast<int>(bytes.size())) != 1) {
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), GEN_IPADD, octets.release());
  if (sk_GENERAL_NAME_push(all, name.get()) == 0) return false;
  static_cast<void>(name.release());  // `all` owns it
  return true;
}

bool append_dns(GENERAL_NAMES* all, const std::string& dns) {
  IA5Ptr text(ASN1_IA5STRING_new());
  NamePtr name(GENERAL_NAME_new());
  if (text == nullptr || name == nullptr ||
      ASN1_STRING_set(text.get(), dns.data(), static_cast<int>(dns.size())) != 1) {
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), GEN_DNS, text.release());
  if (sk_GENERAL_NAME_push(all, name.get()) == 0) return false;
  static_cast<void>(name.release());
  return true;
}

}  // namespace

absl::StatusOr<SerialBytes> random_serial() {
  SerialBytes bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return openssl_error("drawing a random serial");
  }
  bytes[0] |= 0x40;  // never zero, and always of the same length
  return bytes;
}

absl::StatusOr<KeyPtr> new_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_error("making an ECDSA P-256 key");
  return key;
}

bool set_serial(X509* certificate, const SerialBytes& bytes) {
  const BignumPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_validity(X509* certificate, std::chrono::system_clock::time_point begin,
                  std::chrono::system_clock::time_point end) {
  return ASN1_TIME_set(X509_getm_notBefore(certificate),
                       std::chrono::system_clock::to_time_t(begin)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate),
                       std::chrono::system_clock::to_time_t(end)) != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_alternative_names(X509* certificate, const std::vector<std::string>& names) {
  if (names.empty()) return true;
  const NamesPtr all(GENERAL_NAMES_new());
  if (all == nullptr) return false;
  for (const std::string& each : names) {
    const std::optional<std::string> address = address_bytes(each);
    const bool added =
        address.has_value() ? append_address(all.get(), *address) : append_dns(all.get(), each);
    if (!added) return false;
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, 0) == 1;
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string pem_of(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return text_of(out.get());
}

std::string pem_of(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(out.get());
}

absl::Status openssl_error(const std::string& tried) {
  return absl::InternalError(absl::StrCat(tried, ": ", take_openssl_error()));
}

}  // namespace holdfast::crypto
