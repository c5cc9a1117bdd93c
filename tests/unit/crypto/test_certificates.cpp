#include "tests/unit/crypto/test_certificates.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace holdfast::crypto {
namespace {

KeyPtr new_key() {
  return KeyPtr(EVP_EC_gen("P-256"));
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return text_of(out.get());
}

std::string pem_of(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(out.get());
}

void extend(X509* certificate, X509* issuer, int extension, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str());
  ASSERT_NE(made, nullptr) << value << ": " << take_openssl_error();
  X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
}

CertificatePtr new_certificate(const std::string& common_name, EVP_PKEY* key,
                               std::chrono::seconds from, std::chrono::seconds until) {
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from.count());
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until.count());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

}  // namespace

TestCa::TestCa(const std::string& common_name) : key_(new_key()) {
  constexpr std::chrono::hours kValid{24};
  certificate_ = new_certificate(common_name, key_.get(), -kValid, kValid);
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
  extend(certificate_.get(), certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate_.get(), certificate_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(certificate_.get(), certificate_.get(), NID_subject_key_identifier, "hash");
  X509_sign(certificate_.get(), key_.get(), EVP_sha256());
  pem_ = pem_of(certificate_.get());
}

TestIdentity TestCa::issue(const TestCertificate& what) const {
  const KeyPtr key = new_key();
  const CertificatePtr leaf =
      new_certificate(what.common_name, key.get(), what.valid_from, what.valid_until);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(certificate_.get()));
  extend(leaf.get(), certificate_.get(), NID_authority_key_identifier, "keyid");
  extend(leaf.get(), certificate_.get(), NID_key_usage, "critical,digitalSignature");
  if (!what.usages.empty()) extend(leaf.get(), certificate_.get(), NID_ext_key_usage, what.usages);
  std::string names;
  for (const std::string& name : what.alternative_names) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) extend(leaf.get(), certificate_.get(), NID_subject_alt_name, names);
  X509_sign(leaf.get(), key_.get(), EVP_sha256());
  return {pem_of(leaf.get()), pem_of(key.get())};
}

TestFiles::TestFiles() {
  std::string name = (std::filesystem::temp_directory_path() / "holdfast-tls-XXXXXX").string();
  const char* made = ::mkdtemp(name.data());
  EXPECT_NE(made, nullptr);
  directory_ = name;
}

TestFiles::~TestFiles() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string TestFiles::write(const std::string& name, const std::string& content) const {
  std::ofstream file(path(name), std::ios::binary | std::ios::trunc);
  file << content;
  EXPECT_TRUE(file.good()) << path(name);
  return path(name);
}

void TestFiles::write(const std::string& name, const TestIdentity& identity) const {
  write(name + ".crt", identity.certificate_pem);
  write(name + ".key", identity.key_pem);
}

}  // namespace holdfast::crypto
