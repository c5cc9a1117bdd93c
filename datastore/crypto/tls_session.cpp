#include "datastore/crypto/tls_session.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/crypto/address.h"

namespace holdfast::crypto {
namespace {

void expect_name(X509_VERIFY_PARAM* param, const std::string& name) {
  X509_VERIFY_PARAM_set_hostflags(
      param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(param, name.data(), name.size());
  }
}

/// Alerts that the other side sends come as errors numbered from here.
bool is_alert(unsigned long error) {
  return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET;
}

TlsSession* session_of(X509_STORE_CTX* context) {
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  return static_cast<TlsSession*>(SSL_get_app_data(ssl));
}

/// The CAs' word, then ours.
bool verify(X509_STORE_CTX* context, const TlsMaterial& material, const TlsSettings& settings) {
  if (X509_verify_cert(context) != 1) return false;
  const TlsMaterial::Judgement judgement = material.judge(
      settings, X509_STORE_CTX_get0_cert(context), X509_STORE_CTX_get0_untrusted(context));
  if (judgement.error == X509_V_OK) return true;
  X509_STORE_CTX_set_error(context, judgement.error);
  X509_STORE_CTX_set_current_cert(context, judgement.certificate);
  return false;
}

}  // namespace

int verify_shown(X509_STORE_CTX* context, void*) {
  TlsSession* session = session_of(context);
  if (verify(context, *session->material_, session->settings())) return 1;
  if (!session->settings().verify_server && session->role_ == TlsRole::kClient) return 1;
  return on_verified(0, context);
}

int on_verified(int ok, X509_STORE_CTX* context) {
  if (ok == 1) return ok;
  TlsSession* session = session_of(context);
  session->verify_error_ = X509_STORE_CTX_get_error(context);
  session->verify_failure_ =
      verification_failure(session->verify_error_, X509_STORE_CTX_get_current_cert(context));
  return ok;
}

TlsSession::TlsSession(std::shared_ptr<TlsContext> context, TlsRole role, std::string remote,
                       std::string server_name)
    : context_(std::move(context)),
      role_(role),
      remote_(std::move(remote)),
      server_name_(context_->settings().server_name.empty() ? std::move(server_name)
                                                            : context_->settings().server_name),
      // Before the material: if the CAs change in between, they are checked once too often.
      trust_generation_(context_->trust_generation()),
      material_(context_->material()),
      verify_error_(X509_V_OK) {
  SSL_CTX* made_of = material_->of(role_);
  HOLDFAST_CHECK(made_of != nullptr);  // no listener is opened without a certificate
  ssl_.reset(SSL_new(made_of));
  HOLDFAST_CHECK(ssl_ != nullptr);
  SSL_set_app_data(ssl_.get(), this);
  if (role_ == TlsRole::kServer) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  expect_name(SSL_get0_param(ssl_.get()), server_name_);
  if (!is_address(server_name_)) SSL_set_tlsext_host_name(ssl_.get(), server_name_.c_str());
}

std::string_view TlsSession::application_protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string TlsSession::remote_host() const {
  std::string host = remote_.substr(0, remote_.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

std::vector<std::string> TlsSession::peer_dns_names() const {
  X509* leaf = SSL_get0_peer_certificate(ssl_.get());
  return leaf == nullptr ? std::vector<std::string>() : describe(leaf).dns_names;
}

std::optional<std::string> TlsSession::peer_common_name() const {
  X509* leaf = SSL_get0_peer_certificate(ssl_.get());
  if (leaf == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return std::nullopt;
  return common_name_of(leaf);
}

TlsSession::Admission TlsSession::admit() {
  if (role_ == TlsRole::kClient || !settings().check_client_address) return Admission::kAdmitted;
  X509* leaf = SSL_get0_peer_certificate(ssl_.get());
  const std::string host = remote_host();
  if (leaf == nullptr || !is_address(host)) return Admission::kAdmitted;
  const CertificateInfo info = describe(leaf);
  if (info.dns_names.empty() && info.ip_addresses.empty()) return Admission::kAdmitted;
  if (!info.ip_addresses.empty() && names_address(leaf, host)) return Admission::kAdmitted;
  if (!info.dns_names.empty()) return Admission::kNeedsNames;
  report(verification_failure(X509_V_ERR_IP_ADDRESS_MISMATCH, leaf));
  return Admission::kRefused;
}

std::string TlsSession::fail(int ssl_error) {
  TlsFailure failure = failure_of(ssl_error);
  ERR_clear_error();
  return report(std::move(failure));
}

std::string TlsSession::fail(TlsReason reason, std::string text) {
  TlsFailure failure;
  failure.reason = reason;
  failure.text = std::move(text);
  if (X509* leaf = SSL_get0_peer_certificate(ssl_.get()); leaf != nullptr) {
    failure.certificate = describe(leaf);
    failure.has_certificate = true;
  }
  return report(std::move(failure));
}

TlsFailure TlsSession::failure_of(int ssl_error) const {
  if (verify_error_ != X509_V_OK) return verify_failure_;
  TlsFailure failure;
  const unsigned long error = ERR_peek_error();
  const int reason = ERR_GET_REASON(error);
  const bool ended =
      ssl_error == SSL_ERROR_ZERO_RETURN || (ssl_error == SSL_ERROR_SYSCALL && error == 0) ||
      (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING);
  if (ended) {
    failure.reason = TlsReason::kClosed;
    failure.text = "EOF: the other side left during the handshake";
  } else if (is_alert(error)) {
    failure.reason = TlsReason::kRefusedByPeer;
    failure.text = absl::StrCat("remote error: ", ERR_reason_error_string(error));
    if (X509* own = SSL_get_certificate(ssl_.get()); own != nullptr) {
      failure.certificate = describe(own);
      failure.has_certificate = true;
      absl::StrAppend(&failure.text, " (it was shown \"", failure.certificate.subject, "\")");
    }
  } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    failure.reason = TlsReason::kMissing;
    failure.text = "the other side showed no certificate, and one is demanded";
  } else if (reason == SSL_R_HTTP_REQUEST) {
    failure.text = "a plain HTTP request where TLS is spoken: use https";
  } else {
    const char* text = ERR_reason_error_string(error);
    failure.text = absl::StrCat("not TLS as it is spoken here: ",
                                text == nullptr ? "the connection broke" : text);
  }
  return failure;
}

std::string TlsSession::report(TlsFailure failure) {
  if (!std::exchange(reported_, true)) {
    const char* asked_for = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    const std::string_view name = role_ == TlsRole::kClient ? std::string_view(server_name_)
                                  : asked_for != nullptr    ? std::string_view(asked_for)
                                                            : std::string_view();
    context_->observer().handshake_failed(settings(), role_, remote_, name, failure);
  }
  return std::move(failure.text);
}

bool TlsSession::still_trusted() {
  const std::uint64_t generation = context_->trust_generation();
  if (generation == trust_generation_) return trusted_;
  trust_generation_ = generation;
  if (!trusted_) return false;
  const std::optional<TlsFailure> failure = verify_again();
  if (failure) tell_untrusted(*failure);
  trusted_ = !failure;
  return trusted_;
}

bool TlsSession::will_stay_trusted() {
  if (!trusted_) return false;
  const std::optional<TlsFailure> failure = verify_again();
  if (failure) tell_untrusted(*failure);
  return !failure;
}

void TlsSession::tell_untrusted(const TlsFailure& failure) {
  if (std::exchange(told_untrusted_, true)) return;
  context_->observer().connection_dropped(settings(), remote_, failure);
}

std::optional<TlsFailure> TlsSession::verify_again() {
  X509* leaf = SSL_get0_peer_certificate(ssl_.get());
  if (leaf == nullptr) return std::nullopt;  // none was demanded
  if (role_ == TlsRole::kClient && !settings().verify_server) return std::nullopt;
  const std::shared_ptr<const TlsMaterial> material = context_->material();
  const StoreContextPtr check(X509_STORE_CTX_new());
  HOLDFAST_CHECK(check != nullptr);
  X509_STORE_CTX_init(check.get(), material->trust(), leaf, SSL_get_peer_cert_chain(ssl_.get()));
  X509_STORE_CTX_set_default(check.get(), role_ == TlsRole::kServer ? "ssl_client" : "ssl_server");
  if (role_ == TlsRole::kClient) {
    expect_name(X509_STORE_CTX_get0_param(check.get()), server_name_);
  }
  const bool ok = verify(check.get(), *material, settings());
  ERR_clear_error();
  if (ok) return std::nullopt;
  return verification_failure(X509_STORE_CTX_get_error(check.get()),
                              X509_STORE_CTX_get_current_cert(check.get()));
}

}  // namespace holdfast::crypto
