#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::net {

/// Asks DNS whether an address is one of some host names: first by the address's own names, where a
/// wildcard "*.example.org" counts, then by each name's addresses. Source: etcd-facts 1.7.
///
/// A few threads, started by the first questions. The same question asked again meanwhile is asked
/// once, so that somebody whose names hang takes up one thread however often it calls; a question
/// that nobody waits for any more is not asked. At most kMaxWaiting wait. Any thread may ask.
/// Destroying it does not wait for a name server: a lookup under way is left to end by itself.
class NameCheck {
 public:
  static constexpr std::size_t kMaxThreads = 4;
  static constexpr std::size_t kMaxWaiting = 256;

  enum class Answer : std::uint8_t { kPending, kYes, kNo, kTooManyWaiting };
  /// An answer to come. Whoever asked keeps it, and may let go of it.
  using Pending = std::shared_ptr<std::atomic<Answer>>;

  NameCheck();
  ~NameCheck();
  NameCheck(const NameCheck&) = delete;
  NameCheck& operator=(const NameCheck&) = delete;

  /// `done` is called once the answer stands, on another thread; not if too many wait, which the
  /// answer tells at once.
  Pending ask(std::string address, std::vector<std::string> names, std::function<void()> done);

 private:
  struct Queue;
  std::shared_ptr<Queue> queue_;
};

/// The question itself, blocking on DNS. For NameCheck's threads, and tests.
bool address_has_name(const std::string& address, const std::vector<std::string>& names);

}  // namespace holdfast::net
