#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/base/memory_budget.h"
#include "datastore/node/node.h"

namespace holdfast::rpc {

/// Where long answers (lists, snapshots) wait for their turn, so that a flood of them takes neither
/// the memory nor the processors from small requests, which never come here.
///
/// So many run at a time, each with its memory reserved before it begins. The others wait, client
/// by client in turn, so that one client's thousand does not delay another's one. Nobody may have
/// more waiting than there are free places in the line, nor more memory than is left free: slow
/// readers, however many lists they began, always leave room for the next client. Who has waited
/// too long is refused, as is whoever finds the line full: "too many requests".
///
/// Any thread. All loops share one.
class ListGate : public std::enable_shared_from_this<ListGate> {
 public:
  struct Options {
    /// Being read at the same time. A few keep the readers busy; more would only wait inside.
    std::size_t max_running = 16;
    std::size_t max_waiting = 4096;
    std::chrono::milliseconds max_wait{10'000};
  };
  using Clock = std::chrono::steady_clock;

  /// One answer's place: in the line, running, or parked (no more is read, its bytes wait for the
  /// client). Letting go of it gives back all it has.
  class Place {
   public:
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    /// Lets another run; what is reserved stays so.
    void park();
    void resume();
    /// Reserves `size_bytes` more. Errors: too_many_requests if there is no room now; a sentence
    /// that tells what to do if there never will be.
    absl::Status grow(std::size_t size_bytes);
    /// What all places together may reserve at present.
    std::size_t room_bytes() const { return gate_->budget_.room_bytes(); }
    /// Forgets the wait, if it still waits.
    void stop_waiting();

   private:
    friend class ListGate;
    enum class State : std::uint8_t { kWaiting, kRunning, kParked, kGone };
    Place(std::shared_ptr<ListGate> gate, std::string client, MemoryUse use)
        : gate_(std::move(gate)), client_(std::move(client)), use_(use) {}

    const std::shared_ptr<ListGate> gate_;
    const std::string client_;
    const MemoryUse use_;
    // Guarded by the gate's mutex.
    State state_ = State::kWaiting;
    std::size_t size_bytes_ = 0;
    node::Mailbox* mailbox_ = nullptr;
    absl::AnyInvocable<void(absl::Status)> ready_;
    Clock::time_point until_;
  };

  struct Request {
    /// Whose turn it counts as: a connection.
    std::string_view client;
    MemoryUse use = MemoryUse::kLists;
    std::size_t size_bytes = 0;
    /// When whoever asks stops waiting, if that is sooner than Options::max_wait.
    Clock::time_point deadline = Clock::time_point::max();
  };
  /// OK once it may begin, or too_many_requests.
  using Ready = absl::AnyInvocable<void(absl::Status)>;

  /// `budget` outlives every place.
  ListGate(MemoryBudget& budget, Options options) : budget_(budget), options_(options) {}

  /// Takes a place for `request`; null if the line is full. `ready` runs in `mailbox`, soon if
  /// there is room now, and not at all once the place is gone.
  std::shared_ptr<Place> enter(const Request& request, Clock::time_point now,
                               node::Mailbox& mailbox, Ready ready);
  /// Refuses who has waited too long and lets in whom there is room for; to be called now and then
  /// while waiting() is not zero.
  void tick(Clock::time_point now);

  std::size_t waiting() const;
  std::size_t running() const;

 private:
  struct Client {
    std::deque<Place*> waiting;
    std::size_t places = 0;
    std::size_t reserved_bytes = 0;
  };
  /// What is to be posted once the mutex is free.
  struct Answer {
    node::Mailbox* mailbox;
    Ready ready;
    absl::Status status;
  };
  using Answers = std::vector<Answer>;

  static void post(Answers answers);
  void admit(Answers& answers);
  bool admit_first(Client& client, Answers& answers);
  bool reserve(Client& client, Place& place, std::size_t size_bytes);
  void leave(Place& place);
  void forget_waiting(Place& place);

  MemoryBudget& budget_;
  const Options options_;
  mutable std::mutex mutex_;
  std::map<std::string, Client, std::less<>> clients_;
  std::deque<std::string> turns_;  // of the clients that wait
  std::size_t running_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace holdfast::rpc
