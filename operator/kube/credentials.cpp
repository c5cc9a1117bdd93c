#include "operator/kube/credentials.h"

#include "absl/strings/ascii.h"
#include "operator/kube/exec_credential.h"
#include "operator/kube/text.h"

namespace holdfast::kube {

absl::StatusOr<std::string> read_pem(const Pem& pem) {
  return pem.data.empty() && !pem.file.empty() ? read_small_file(pem.file) : pem.data;
}

absl::StatusOr<Identity> Credentials::current() {
  const std::lock_guard lock(mutex_);
  if (is_fresh()) {
    return *identity_;
  }
  absl::StatusOr<Identity> loaded = load();
  if (!loaded.ok() && (!identity_.has_value() || config_.exec.has_value())) {
    return loaded.status();
  }
  if (loaded.ok()) {
    identity_ = *std::move(loaded);
  }
  read_at_ = clock_.now();
  rejected_ = false;
  return *identity_;
}

bool Credentials::is_fresh() const {
  if (!identity_.has_value() || rejected_) {
    return false;
  }
  if (config_.exec.has_value()) {
    return !expires_.has_value() || clock_.wall() + kExpiryMargin < *expires_;
  }
  return clock_.now() - read_at_ < kReread;
}

absl::StatusOr<Identity> Credentials::load() {
  absl::StatusOr<Identity> identity = load_files();
  if (!identity.ok() || !config_.exec.has_value()) {
    return identity;
  }
  absl::StatusOr<ExecCredential> given = run_exec_plugin(*config_.exec);
  if (!given.ok()) {
    return given.status();
  }
  expires_ = given->expires;
  if (!given->token.empty()) {
    identity->token = std::move(given->token);
  }
  if (!given->certificate.empty()) {
    identity->certificate = std::move(given->certificate);
    identity->key = std::move(given->key);
  }
  return identity;
}

absl::StatusOr<Identity> Credentials::load_files() const {
  absl::StatusOr<std::string> certificate = read_pem(config_.client_certificate);
  absl::StatusOr<std::string> key = read_pem(config_.client_key);
  if (!certificate.ok() || !key.ok()) {
    return certificate.ok() ? key.status() : certificate.status();
  }
  Identity identity{
      .token = config_.token, .certificate = *std::move(certificate), .key = *std::move(key)};
  if (!config_.token_file.empty()) {
    const absl::StatusOr<std::string> token = read_small_file(config_.token_file);
    if (!token.ok()) {
      return token.status();
    }
    identity.token = from_absl(absl::StripAsciiWhitespace(*token));
  }
  return identity;
}

void Credentials::reject(const std::string& token) {
  const std::lock_guard lock(mutex_);
  if (identity_.has_value() && identity_->token == token) {
    rejected_ = true;
  }
}

}  // namespace holdfast::kube
