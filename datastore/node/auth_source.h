#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "datastore/auth/auth_state.h"

namespace holdfast::node {

/// Where every thread finds who may do what, as of the newest applied command. A state is here
/// before any view of the store shows what was applied after it: whoever takes a view first and
/// asks then is never told of permissions that the view has outlived.
class AuthSource {
 public:
  AuthSource() : state_(std::make_shared<auth::AuthState>()) {}

  /// Whether authentication is enabled: one atomic load, for every request.
  bool enabled() const { return (word_.load(std::memory_order_acquire) & 1) != 0; }
  /// Another number whenever the state is another: to keep a copy of it until then.
  std::uint64_t version() const { return word_.load(std::memory_order_acquire); }
  std::shared_ptr<const auth::AuthState> get() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

  /// The node's thread.
  void set(std::shared_ptr<const auth::AuthState> state) {
    const std::uint64_t enabled = state->enabled() ? 1 : 0;
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
    count_ += 2;
    word_.store(count_ | enabled, std::memory_order_release);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const auth::AuthState> state_;  // guarded by mutex_
  std::uint64_t count_ = 0;
  std::atomic<std::uint64_t> word_{0};  // the count, and in its lowest bit whether enabled
};

}  // namespace holdfast::node
