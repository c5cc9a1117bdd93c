#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace holdfast::crypto {

/// A few threads for what costs tens of milliseconds of computing: hashing and checking passwords,
/// signing tokens. They give way to every other thread of the process. Any thread may submit.
class PasswordPool {
 public:
  /// Logins that may wait; more are refused.
  static constexpr std::size_t kMaxWaiting = 512;

  /// Half of the processor's cores, at least one.
  PasswordPool();
  explicit PasswordPool(std::size_t threads);
  /// Drops what waits; ends when what runs has ended.
  ~PasswordPool();
  PasswordPool(const PasswordPool&) = delete;
  PasswordPool& operator=(const PasswordPool&) = delete;

  /// Runs `work` soon on a thread of the pool. False, and never, if too much waits.
  bool submit(absl::AnyInvocable<void()> work);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::crypto
