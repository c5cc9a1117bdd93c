#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operator/member/endpoint.h"

namespace holdfast::member {

/// Who we are to one cluster that has auth on: a token by password, shared by every Client of the
/// cluster's members, since each member takes a token that any of them gave. That works with TLS
/// and without, and for a learner, which signs nobody in itself.
///
/// Several credentials may be offered, because a password that is being changed is the old one or
/// the new one and nobody knows which: they are tried in order, what was taken last first. Nothing
/// of them is ever logged. Any thread.
class Session {
 public:
  using Clock = std::chrono::steady_clock;

  /// Shorter than a token lasts in etcd (five minutes, and longer while it is used); auth that
  /// somebody turned off is seen then at the latest.
  static constexpr std::chrono::seconds kTokenLife{120};
  /// How long "auth is off" and "these credentials are refused" are believed: a check of a password
  /// is dear to a member.
  static constexpr std::chrono::seconds kBelieved{10};
  /// The longest offer that is taken; what is beyond is not tried.
  static constexpr std::size_t kMaxCredentials = 8;

  enum class Auth : std::uint8_t { kUnknown, kOff, kOn };

  Session() = default;
  /// One that shows this token whatever happens: signed by whom the members trust.
  explicit Session(std::string token) : signed_token_(std::move(token)) {}

  /// What to try from now on, in this order. Empty: we ask as nobody. A token stays while what it
  /// was got with is still among them.
  void offer(std::vector<Credentials> credentials);

  /// What a Client does about signing in now.
  struct Pass {
    /// Shown as it is: a token, or nothing where none is needed. Absent: `attempts` are to be made.
    std::optional<std::string> token;
    std::vector<Credentials> attempts;
    /// To be shown if none of the attempts was answered: an older token may still be good.
    std::string spare;
  };
  /// Errors: the refusal of everything offered, for as long as it is believed.
  absl::StatusOr<Pass> enter(Clock::time_point now) const;

  void accepted(const Credentials& credentials, const std::string& token, Clock::time_point now);
  void auth_is_off(Clock::time_point now);
  void refused(const absl::Status& why, Clock::time_point now);
  /// A member does not take `token` (any more): another is asked for next.
  void drop(const std::string& token);
  /// What is known is known no longer: passwords or auth itself were changed.
  void forget();

  Auth auth() const;
  /// What the cluster took last; nothing before that, and after all was refused.
  std::optional<Credentials> taken() const;

 private:
  bool is_offered(const Credentials& credentials) const;  // mutex_ is held

  const std::string signed_token_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<Credentials> offered_;
  Auth auth_ = Auth::kUnknown;
  std::optional<Credentials> taken_;
  std::string token_;
  absl::Status refusal_;
  Clock::time_point believed_until_{};
};

}  // namespace holdfast::member
