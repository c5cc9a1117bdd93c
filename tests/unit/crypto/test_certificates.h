#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "datastore/crypto/openssl.h"

namespace holdfast::crypto {

/// What a test's certificate says; times are relative to now.
struct TestCertificate {
  std::string common_name = "leaf";
  std::vector<std::string> alternative_names = {"DNS:localhost", "IP:127.0.0.1"};
  std::string usages = "serverAuth,clientAuth";  // empty: no extension
  std::chrono::seconds valid_from = -std::chrono::hours(1);
  std::chrono::seconds valid_until = std::chrono::hours(1);
};

struct TestIdentity {
  std::string certificate_pem;
  std::string key_pem;
};

/// A CA of one test, with keys of its own: P-256, which is made in a moment.
class TestCa {
 public:
  explicit TestCa(const std::string& common_name = "test CA");

  const std::string& pem() const { return pem_; }
  TestIdentity issue(const TestCertificate& what) const;

 private:
  KeyPtr key_;
  CertificatePtr certificate_;
  std::string pem_;
};

/// Files in a directory that ends with the test.
class TestFiles {
 public:
  TestFiles();
  ~TestFiles();
  TestFiles(const TestFiles&) = delete;
  TestFiles& operator=(const TestFiles&) = delete;

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  /// Writes the file whole and returns its path.
  std::string write(const std::string& name, const std::string& content) const;
  /// Writes NAME.crt and NAME.key.
  void write(const std::string& name, const TestIdentity& identity) const;

 private:
  std::string directory_;
};

}  // namespace holdfast::crypto
