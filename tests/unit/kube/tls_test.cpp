#include <httplib.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "gtest/gtest.h"
#include "tests/unit/kube/scripted_server.h"

namespace holdfast::kube {
namespace {

/// A self-signed certificate that is its own CA.
struct Identity {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;

  explicit Identity(const std::string& names) : certificate(X509_new()), key(EVP_EC_gen("P-256")) {
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(names.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    add(NID_basic_constraints, "critical,CA:TRUE");
    add(NID_subject_alt_name, names.c_str());
    X509_sign(certificate, key, EVP_sha256());
  }
  ~Identity() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  std::string certificate_pem() const {
    return text([this](BIO* bio) { PEM_write_bio_X509(bio, certificate); });
  }
  std::string key_pem() const {
    return text([this](BIO* bio) {
      PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

 private:
  void add(int kind, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  template <class Write>
  static std::string text(const Write& write) {
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string result(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return result;
  }
};

/// Serves /version over TLS; asks for a client certificate if it is given the CA of one.
class TlsServer {
 public:
  explicit TlsServer(const Identity& identity, const Identity* client_ca = nullptr,
                     const char* address = "127.0.0.1")
      : store_(client_ca == nullptr ? nullptr : X509_STORE_new()) {
    if (client_ca != nullptr) {
      X509_STORE_add_cert(store_, client_ca->certificate);
    }
    server_ = std::make_unique<httplib::SSLServer>(identity.certificate, identity.key, store_);
    server_->Get("/version", [this](const httplib::Request& request, httplib::Response& response) {
      host = request.get_header_value("Host");
      response.set_content(R"({"major":"1"})", "application/json");
    });
    port = server_->bind_to_any_port(address);
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) {
      std::this_thread::yield();
    }
  }
  ~TlsServer() {
    server_->stop();
    thread_.join();
  }

  int port = 0;
  std::string host;  // as last asked for

 private:
  X509_STORE* store_;  // the server's context owns it
  std::unique_ptr<httplib::SSLServer> server_;
  std::thread thread_;
};

class TlsTest : public testing::Test, public ClientFixture {
 protected:
  std::unique_ptr<RestClient> connect_tls(const TlsServer& server,
                                          const std::function<void(Config&)>& adjust) {
    return connect(server.port, [&](Config& config, RestClientOptions& options) {
      config.tls = true;
      options.max_attempts = 1;
      adjust(config);
    });
  }

  const Identity server_{"IP:127.0.0.1,IP:::1,DNS:kube.example"};
};

TEST_F(TlsTest, OnlyTheConfiguredCaIsTrusted) {
  const TlsServer server(server_);
  const Identity other("IP:127.0.0.1");
  EXPECT_TRUE(
      connect_tls(server, [&](Config& config) { config.ca.data = server_.certificate_pem(); })
          ->server_version()
          .ok());
  const auto refused = connect_tls(server, [&](Config& config) {
                         config.ca.data = other.certificate_pem();
                       })->server_version();
  EXPECT_EQ(fate_of(refused.status()), Fate::kRetry);
  EXPECT_NE(refused.status().message().find("not accepted"), absl::string_view::npos)
      << refused.status();
  EXPECT_FALSE(connect_tls(server, [](Config&) {})->server_version().ok());
  EXPECT_TRUE(connect_tls(server, [](Config& config) { config.insecure_skip_verify = true; })
                  ->server_version()
                  .ok());
}

TEST_F(TlsTest, CertificateMustCarryTheName) {
  const Identity elsewhere("IP:127.0.0.2,DNS:kube.example");
  const TlsServer server(elsewhere);
  EXPECT_FALSE(
      connect_tls(server, [&](Config& config) { config.ca.data = elsewhere.certificate_pem(); })
          ->server_version()
          .ok());
  const auto named = connect_tls(server, [&](Config& config) {
                       config.ca.data = elsewhere.certificate_pem();
                       config.tls_server_name = "kube.example";
                     })->server_version();
  EXPECT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(server.host, "127.0.0.1:" + std::to_string(server.port));
}

TEST_F(TlsTest, ReplacedCaFileIsReadAfterAFailedHandshake) {
  const std::string file = testing::TempDir() + "kube-ca-" + std::to_string(::getpid());
  const Identity next("IP:127.0.0.1");
  std::ofstream(file) << server_.certificate_pem();
  const TlsServer server(next);
  auto client = connect_tls(server, [&](Config& config) { config.ca.file = file; });
  EXPECT_FALSE(client->server_version().ok());
  std::ofstream(file) << server_.certificate_pem() << next.certificate_pem();
  const auto version = client->server_version();
  EXPECT_TRUE(version.ok()) << version.status();
  std::filesystem::remove(file);
}

TEST_F(TlsTest, ClientCertificateIsPresented) {
  const Identity client("DNS:us");
  const TlsServer server(server_, &client);
  const auto with = connect_tls(server, [&](Config& config) {
                      config.ca.data = server_.certificate_pem();
                      config.client_certificate.data = client.certificate_pem();
                      config.client_key.data = client.key_pem();
                    })->server_version();
  EXPECT_TRUE(with.ok()) << with.status();
  const auto without = connect_tls(server, [&](Config& config) {
                         config.ca.data = server_.certificate_pem();
                       })->server_version();
  EXPECT_FALSE(without.ok());
}

TEST_F(TlsTest, ServerOnIPv6IsReachedAndNamedWithBrackets) {
  const TlsServer server(server_, nullptr, "::1");
  if (server.port <= 0) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  const auto version = connect_tls(server, [&](Config& config) {
                         config.host = "::1";
                         config.ca.data = server_.certificate_pem();
                       })->server_version();
  EXPECT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(server.host, "[::1]:" + std::to_string(server.port));
}

TEST_F(TlsTest, UnusableCertificatesAreNamedAtOpening) {
  const auto open = [&](const std::function<void(Config&)>& adjust) {
    Config config;
    config.host = "127.0.0.1";
    adjust(config);
    return RestClient::open(std::move(config), {}, *log, metrics).status();
  };
  EXPECT_NE(open([](Config& c) { c.ca.data = "nonsense"; }).message().find("CA"),
            absl::string_view::npos);
  EXPECT_FALSE(open([](Config& c) { c.ca.file = "/absent/ca.crt"; }).ok());
  const Identity one("DNS:one");
  const Identity two("DNS:two");
  EXPECT_NE(open([&](Config& c) {
              c.client_certificate.data = one.certificate_pem();
              c.client_key.data = two.key_pem();
            })
                .message()
                .find("key"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace holdfast::kube
