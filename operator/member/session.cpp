#include "operator/member/session.h"

#include <algorithm>
#include <utility>

namespace holdfast::member {

bool Session::is_offered(const Credentials& credentials) const {
  return std::find(offered_.begin(), offered_.end(), credentials) != offered_.end();
}

void Session::offer(std::vector<Credentials> credentials) {
  if (credentials.size() > kMaxCredentials) credentials.resize(kMaxCredentials);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (credentials == offered_) return;
  offered_ = std::move(credentials);
  if (taken_ && is_offered(*taken_)) return;
  taken_.reset();
  token_.clear();
  refusal_ = absl::OkStatus();
  believed_until_ = {};
}

absl::StatusOr<Session::Pass> Session::enter(Clock::time_point now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (offered_.empty()) return Pass{.token = signed_token_};
  if (now < believed_until_) {
    if (!refusal_.ok()) return refusal_;
    return Pass{.token = token_};
  }
  Pass pass;
  pass.spare = token_;
  if (taken_) pass.attempts.push_back(*taken_);
  for (const Credentials& each : offered_) {
    const auto& before = pass.attempts;
    if (std::find(before.begin(), before.end(), each) == before.end()) {
      pass.attempts.push_back(each);
    }
  }
  return pass;
}

void Session::accepted(const Credentials& credentials, const std::string& token,
                       Clock::time_point now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_offered(credentials)) return;  // withdrawn meanwhile
  auth_ = Auth::kOn;
  taken_ = credentials;
  token_ = token;
  refusal_ = absl::OkStatus();
  believed_until_ = now + kTokenLife;
}

void Session::auth_is_off(Clock::time_point now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auth_ = Auth::kOff;
  taken_.reset();
  token_.clear();
  refusal_ = absl::OkStatus();
  believed_until_ = now + kBelieved;
}

void Session::refused(const absl::Status& why, Clock::time_point now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auth_ = Auth::kOn;
  taken_.reset();
  token_.clear();
  refusal_ = why;
  believed_until_ = now + kBelieved;
}

void Session::drop(const std::string& token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (token_ != token || !refusal_.ok()) return;
  token_.clear();
  believed_until_ = {};
}

void Session::forget() {
  const std::lock_guard<std::mutex> lock(mutex_);
  auth_ = Auth::kUnknown;
  token_.clear();
  refusal_ = absl::OkStatus();
  believed_until_ = {};
}

Session::Auth Session::auth() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return auth_;
}

std::optional<Credentials> Session::taken() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return taken_;
}

}  // namespace holdfast::member
