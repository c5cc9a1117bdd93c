#include "operator/pki/trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <map>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/crypto/certificate.h"
#include "datastore/crypto/digest.h"
#include "operator/pki/x509.h"

namespace holdfast::pki {
namespace {

/// Only borrows the certificates in it.
struct StackFree {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), StackFree>;
using Certificates = std::vector<crypto::CertificatePtr>;

absl::Status run_verification(X509_STORE* trust, const Certificates& chain, Purpose purpose,
                              Time at) {
  const StackPtr others(sk_X509_new_null());
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(others.get(), chain[i].get());
  const crypto::StoreContextPtr context(X509_STORE_CTX_new());
  if (others == nullptr || context == nullptr ||
      X509_STORE_CTX_init(context.get(), trust, chain.front().get(), others.get()) != 1) {
    return openssl_error("verifying a certificate");
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(at));
  X509_VERIFY_PARAM_set_purpose(
      parameters, purpose == Purpose::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  const bool accepted = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (accepted) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the certificate \"", crypto::describe(chain.front().get()).subject,
                   "\" is not accepted: ", X509_verify_cert_error_string(error)));
}

}  // namespace

absl::StatusOr<std::string> make_bundle(const std::vector<std::string>& pems,
                                        const std::string& source) {
  std::map<std::string, std::string> by_fingerprint;
  for (const std::string& pem : pems) {
    absl::StatusOr<std::vector<Certificate>> read = read_certificates(pem, source);
    if (!read.ok()) return read.status();
    for (Certificate& each : *read) by_fingerprint[each.fingerprint] = std::move(each.pem);
  }
  std::string bundle;
  for (const auto& [fingerprint, pem] : by_fingerprint) bundle += pem;
  return bundle;
}

std::string bundle_digest(std::string_view bundle) {
  crypto::Sha256 sum;
  sum.update(bundle);
  const crypto::Sha256Digest digest = sum.finish();
  return absl::BytesToHexString(absl::string_view(digest.data(), digest.size()));
}

absl::Status verify(std::string_view chain, std::string_view bundle, Purpose purpose, Time at) {
  const absl::StatusOr<Certificates> shown = parse_certificates(chain, "the certificate");
  if (!shown.ok()) return shown.status();
  const absl::StatusOr<Certificates> anchors = parse_certificates(bundle, "the trust bundle");
  if (!anchors.ok()) return anchors.status();
  const crypto::StorePtr trust(X509_STORE_new());
  if (trust == nullptr) return openssl_error("making a certificate store");
  X509_STORE_set_flags(trust.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (const crypto::CertificatePtr& each : *anchors) X509_STORE_add_cert(trust.get(), each.get());
  ERR_clear_error();  // of a certificate that the bundle holds twice
  return run_verification(trust.get(), *shown, purpose, at);
}

}  // namespace holdfast::pki
