#include "operator/kube/tls_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>

#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct X509Deleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;
using X509Ptr = std::unique_ptr<X509, X509Deleter>;
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyDeleter>;

BioPtr bio_of(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string last_error() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, name.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), address.data()) == 1;
}

int complaint_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

/// OpenSSL calls it for each certificate of the chain; what is wrong is kept for the error's text.
int note_verification(int ok, X509_STORE_CTX* store) {
  if (ok == 1) {
    return 1;
  }
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* complaint =
      ssl == nullptr
          ? nullptr
          : static_cast<std::string*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), complaint_index()));
  if (complaint != nullptr && complaint->size() < 1024) {
    append(*complaint, complaint->empty() ? "" : "; ",
           X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
  }
  return 0;
}

absl::Status use_certificate(SSL_CTX* context, const TlsSettings& settings) {
  const BioPtr bio = bio_of(settings.certificate_pem);
  const X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (leaf == nullptr || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return absl::InvalidArgumentError(concat("client certificate: ", last_error()));
  }
  while (true) {
    const X509Ptr next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) {
      break;
    }
    SSL_CTX_add1_chain_cert(context, next.get());
  }
  ERR_clear_error();
  const BioPtr key_bio = bio_of(settings.key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return absl::InvalidArgumentError(concat("client key: ", last_error()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::make(TlsSettings settings) {
  const std::shared_ptr<TlsContext> made(new TlsContext(std::move(settings)));
  if (absl::Status bad = made->load_trust(); !bad.ok()) {
    return bad;
  }
  // Say at once what is wrong with the certificate, not at the first connection.
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> trial(SSL_CTX_new(TLS_client_method()),
                                                                &SSL_CTX_free);
  std::string complaint;
  if (absl::Status bad = made->apply(trial.get(), &complaint); !bad.ok()) {
    return bad;
  }
  return std::shared_ptr<const TlsContext>(made);
}

TlsContext::~TlsContext() {
  X509_STORE_free(trust_);
}

absl::Status TlsContext::load_trust() {
  trust_ = X509_STORE_new();
  if (settings_.ca_pem.empty()) {
    X509_STORE_set_default_paths(trust_);
    return absl::OkStatus();
  }
  const BioPtr bio = bio_of(settings_.ca_pem);
  int certificates = 0;
  while (true) {
    const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) {
      break;
    }
    X509_STORE_add_cert(trust_, certificate.get());
    ++certificates;
  }
  ERR_clear_error();
  if (certificates == 0) {
    return absl::InvalidArgumentError("the CA bundle holds no certificate");
  }
  return absl::OkStatus();
}

absl::Status TlsContext::apply(SSL_CTX* context, std::string* complaint) const {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set1_cert_store(context, trust_);
  SSL_CTX_set_ex_data(context, complaint_index(), complaint);
  if (!settings_.insecure_skip_verify) {
    X509_VERIFY_PARAM* verification = SSL_CTX_get0_param(context);
    const std::string& name = settings_.server_name;
    const int named = is_address(name)
                          ? X509_VERIFY_PARAM_set1_ip_asc(verification, name.c_str())
                          : X509_VERIFY_PARAM_set1_host(verification, name.c_str(), name.size());
    if (named != 1) {
      return absl::InvalidArgumentError(
          concat("'", name, "' is no name that a certificate can carry"));
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &note_verification);
  }
  return settings_.certificate_pem.empty() ? absl::OkStatus() : use_certificate(context, settings_);
}

}  // namespace holdfast::kube
