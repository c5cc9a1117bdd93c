#include "datastore/crypto/tls_context.h"

#include "absl/strings/str_cat.h"

namespace holdfast::crypto {

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::open(
    TlsSettings settings, std::shared_ptr<TlsObserver> observer) {
  if (observer == nullptr) observer = std::make_shared<TlsObserver>();
  absl::StatusOr<TlsFiles> files = TlsFiles::read(settings);
  if (!files.ok()) return files.status();
  absl::StatusOr<std::shared_ptr<const TlsMaterial>> material =
      TlsMaterial::build(settings, *files);
  if (!material.ok()) return material.status();
  const std::shared_ptr<TlsContext> context(
      new TlsContext(std::move(settings), std::move(observer)));
  context->files_ = *std::move(files);
  context->material_ = *std::move(material);
  return context;
}

std::shared_ptr<const TlsMaterial> TlsContext::material() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return material_;
}

TlsContext::Reload TlsContext::reload(std::chrono::system_clock::time_point now) {
  const Reload outcome = reload_files();
  tell_own_failures(now);
  return outcome;
}

bool TlsContext::enforce_trust() {
  if (!enforce_at_ || std::chrono::steady_clock::now() < *enforce_at_) return false;
  enforce_at_.reset();
  trust_generation_.fetch_add(1, std::memory_order_release);
  return true;
}

TlsContext::Reload TlsContext::reload_files() {
  absl::StatusOr<TlsFiles> files = TlsFiles::read(settings_);
  if (!files.ok()) return refuse(files.status());
  if (*files == files_) {
    refused_.clear();
    return Reload::kUnchanged;
  }
  absl::StatusOr<std::shared_ptr<const TlsMaterial>> material =
      TlsMaterial::build(settings_, *files);
  if (!material.ok()) return refuse(material.status());
  const bool trust = files->trusted_ca != files_.trusted_ca || files->crl != files_.crl;
  files_ = *std::move(files);
  refused_.clear();
  const std::string digest = (*material)->bundle_sha256();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    material_ = *std::move(material);
  }
  if (trust) enforce_at_ = std::chrono::steady_clock::now() + settings_.drop_grace;
  observer_->reloaded(settings_, trust, digest);
  return trust ? Reload::kTrustChanged : Reload::kReloaded;
}

TlsContext::Reload TlsContext::refuse(const absl::Status& why) {
  // Looked at twice a second, a broken file is told once.
  std::string told(why.message());
  if (told != refused_) {
    refused_ = std::move(told);
    observer_->reload_refused(settings_, why);
  }
  return Reload::kRefused;
}

void TlsContext::tell_own_failures(std::chrono::system_clock::time_point now) {
  std::set<std::string> failing;
  for (const TlsMaterial::OwnFailure& each : material()->failures(settings_, now)) {
    std::string key =
        absl::StrCat(each.flag, " ", each.failure.certificate.serial, " ", each.failure.text);
    if (!failing_.contains(key)) {
      observer_->own_certificate_failed(settings_, each.flag, each.failure);
    }
    failing.insert(std::move(key));
  }
  failing_ = std::move(failing);
}

}  // namespace holdfast::crypto
