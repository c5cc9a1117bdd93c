#include "datastore/raft/progress.h"

#include <algorithm>

namespace holdfast::raft {

bool Progress::window_is_full(const Options& options) const {
  const auto* replicate = std::get_if<Replicate>(&state_);
  return replicate != nullptr && (replicate->in_flight.size() >= options.max_inflight_appends ||
                                  replicate->bytes >= options.max_inflight_bytes);
}

void Progress::become_probe() {
  next = match.next();
  if (const auto* waiting = std::get_if<AwaitSnapshot>(&state_)) {
    next = std::max(next, waiting->index.next());
  }
  state_ = Probe();
  paused_ = false;
  probe_due = true;
}

void Progress::become_replicate() {
  state_ = Replicate();
  next = match.next();
  paused_ = false;
}

void Progress::become_await_snapshot(Index index) {
  state_ = AwaitSnapshot{index};
  paused_ = false;
}

void Progress::sent(Index last, std::size_t bytes, const Options& options) {
  probe_due = false;
  auto* replicate = std::get_if<Replicate>(&state_);
  if (replicate == nullptr) {
    paused_ = true;
    return;
  }
  if (last) {
    replicate->in_flight.push_back({last, bytes});
    replicate->bytes += bytes;
    next = last.next();
  }
  paused_ = window_is_full(options);
}

void Progress::acknowledged(Index index, Index first_index, const Options& options) {
  match = std::max(match, index);
  next = std::max(next, match.next());
  if (is<Probe>() || (is<AwaitSnapshot>() && match.next() >= first_index)) {
    become_replicate();
    return;
  }
  auto* replicate = std::get_if<Replicate>(&state_);
  if (replicate == nullptr) return;
  while (!replicate->in_flight.empty() && replicate->in_flight.front().last <= index) {
    replicate->bytes -= replicate->in_flight.front().bytes;
    replicate->in_flight.pop_front();
  }
  paused_ = window_is_full(options);
}

bool Progress::rejected(Index rejected, Index hint) {
  if (is<Replicate>()) {
    if (rejected <= match) return false;
    become_probe();
    return true;
  }
  if (!is<Probe>() || next != rejected.next()) return false;
  next = std::max(std::min(rejected, hint.next()), match.next());
  paused_ = false;
  probe_due = true;
  return true;
}

void Progress::heartbeat_answered() {
  recently_active = true;
  paused_ = false;
}

void Progress::snapshot_reported(bool ok) {
  if (!is<AwaitSnapshot>()) return;
  if (!ok) state_ = Probe();
  become_probe();
  // Not at once: the peer may still be installing, its answer or the next heartbeat's goes first.
  paused_ = true;
}

}  // namespace holdfast::raft
