#include "tests/bench/load/generator.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/str_cat.h"

namespace holdfast::bench {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kStallSeconds = 60;
constexpr uint32_t kWatcherTag = std::numeric_limits<uint32_t>::max();
constexpr int64_t kLatencyUnitNanos = 100;

int64_t read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

int64_t now_nanos() {
  return read_clock(CLOCK_MONOTONIC);
}

/// CPU time of every thread of a process, those that ended included.
double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0) return 0;
  return static_cast<double>(read_clock(clock)) / kSecond;
}

bool holds_a_stream(Operation operation) {
  return operation == Operation::kLeaseKeepAlive;
}

bool visits_every_key(Operation operation) {
  return operation == Operation::kCreate || operation == Operation::kDelete;
}

bool is_guarded(Operation operation) {
  return visits_every_key(operation) || operation == Operation::kUpdate;
}

bool is_list(Operation operation) {
  return operation == Operation::kListPage || operation == Operation::kListStream;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Generator>> Generator::open(const Target& target) {
  if (target.keys < target.in_flight || target.in_flight < 1 || target.connections < 1) {
    return absl::InvalidArgumentError("there must be at least as many keys as requests in flight");
  }
  std::unique_ptr<Generator> generator(new Generator(target));
  if (const absl::Status status = generator->connect(); !status.ok()) return status;
  return generator;
}

Generator::Generator(const Target& target)
    : target_(target), slots_(target.in_flight), revisions_(target.keys) {
}

Generator::~Generator() {
  if (epoll_ >= 0) close(epoll_);
}

absl::Status Generator::connect() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t i = 0; i < std::min(target_.connections, target_.in_flight) + 1; ++i) {
    absl::StatusOr<std::unique_ptr<Connection>> connection =
        Connection::open(target_.address, target_.port, this);
    if (!connection.ok()) return connection.status();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = connection->get();
    epoll_ctl(epoll_, EPOLL_CTL_ADD, (*connection)->fd(), &event);
    if (i == 0) {
      watcher_ = *std::move(connection);
    } else {
      connections_.push_back(*std::move(connection));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Report> Generator::run(const Phase& phase) {
  phase_ = phase;
  report_ = Report{.name = phase.name};
  latencies_.clear();
  issued_ = in_flight_ = 0;
  idle_.clear();
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    slots_[i].cursor = i;
    idle_.push_back(i);
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLHUP;
  event.data.ptr = nullptr;
  if (phase.until_stdin_closes) epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
  if (phase.watched) {
    if (const absl::Status status = start_watch(); !status.ok()) return status;
  }
  const double server_before = cpu_seconds(target_.server_pid);
  const double own_before = cpu_seconds(getpid());
  begin_ = due_ = last_answer_ = now_nanos();
  deadline_ = phase.seconds > 0 ? begin_ + static_cast<Nanos>(phase.seconds * kSecond)
                                : std::numeric_limits<Nanos>::max();
  if (const absl::Status status = drive(); !status.ok()) return status;
  report_.seconds = static_cast<double>(last_answer_ - begin_) / kSecond;
  if (phase.watched) {
    if (const absl::Status status = await_watcher(); !status.ok()) return status;
  }
  report_.server_cpu_seconds = cpu_seconds(target_.server_pid) - server_before;
  report_.own_cpu_seconds = cpu_seconds(getpid()) - own_before;
  summarize();
  return report_;
}

absl::Status Generator::start_watch() {
  request_.clear();
  append_request(Operation::kWatch, target_.shape, {}, &request_);
  watcher_->start_call(kWatcherTag, path_of(Operation::kWatch), request_, false);
  if (const auto left = watcher_->flush(); !left.ok()) return left.status();
  const Nanos limit = now_nanos() + kStallSeconds * kSecond;
  while (!watching_) {
    if (const absl::Status status = poll_once(kSecond / 10); !status.ok()) return status;
    if (now_nanos() > limit) return absl::DeadlineExceededError("no answer to the watch");
  }
  return absl::OkStatus();
}

absl::Status Generator::await_watcher() {
  const Nanos limit = now_nanos() + kStallSeconds * kSecond;
  while (report_.watched < report_.requests - report_.errors) {
    if (const absl::Status status = poll_once(kSecond / 10); !status.ok()) return status;
    if (now_nanos() > limit) {
      return absl::DeadlineExceededError(
          absl::StrCat("the watcher saw ", report_.watched, " of ", report_.requests, " changes"));
    }
  }
  return absl::OkStatus();
}

absl::Status Generator::drive() {
  const bool open_loop = phase_.rate_per_second > 0;
  if (!open_loop) {
    std::vector<uint32_t> idle;
    idle.swap(idle_);
    for (const uint32_t slot : idle) start_next(slot, now_nanos());
  }
  for (;;) {
    for (const auto& connection : connections_) {
      if (const auto left = connection->flush(); !left.ok()) return left.status();
    }
    const Nanos now = now_nanos();
    if (in_flight_ == 0 && (!open_loop || stopping(now))) return absl::OkStatus();
    if (in_flight_ > 0 && now - last_answer_ > kStallSeconds * kSecond) {
      return absl::DeadlineExceededError(
          absl::StrCat("no answer for ", kStallSeconds, " s with ", in_flight_, " in flight"));
    }
    const Nanos wait = open_loop && !idle_.empty() && !stopping(now) ? due_ - now : kSecond / 10;
    if (const absl::Status status = poll_once(wait); !status.ok()) return status;
    if (open_loop) start_due(now_nanos());
  }
}

absl::Status Generator::poll_once(Nanos wait) {
  std::array<epoll_event, 64> events;
  const timespec timeout{std::max<Nanos>(wait, 0) / kSecond, std::max<Nanos>(wait, 0) % kSecond};
  const int ready = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
  for (int i = 0; i < ready; ++i) {
    if (events[i].data.ptr == nullptr) {
      std::array<char, 64> ignored;
      if (read(STDIN_FILENO, ignored.data(), ignored.size()) <= 0) {
        stdin_closed_ = true;
        epoll_ctl(epoll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
      }
      continue;
    }
    auto& connection = *static_cast<Connection*>(events[i].data.ptr);
    if (const absl::Status status = serve(connection); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Generator::serve(Connection& connection) {
  // Edge-triggered: read until there is nothing, answering in between so that the server has work.
  for (;;) {
    const absl::StatusOr<bool> more = connection.read_some();
    if (!more.ok()) return more.status();
    if (const auto left = connection.flush(); !left.ok()) return left.status();
    if (!*more) return absl::OkStatus();
  }
}

bool Generator::stopping(Nanos now) const {
  return now >= deadline_ || stdin_closed_ || (phase_.count > 0 && issued_ >= phase_.count);
}

void Generator::start_due(Nanos now) {
  const auto interval = static_cast<Nanos>(kSecond / phase_.rate_per_second);
  while (due_ <= now && !idle_.empty() && !stopping(now)) {
    const uint32_t slot = idle_.back();
    idle_.pop_back();
    start_next(slot, due_);
    due_ += interval;
  }
}

void Generator::start_next(uint32_t index, Nanos started) {
  Slot& slot = slots_[index];
  if (stopping(started) || !take_item(slot, index)) {
    idle_.push_back(index);
    return;
  }
  slot.started = started;
  slot.entries = 0;
  ++issued_;
  ++in_flight_;
  send_item(index);
}

bool Generator::take_item(Slot& slot, uint32_t index) {
  slot.item = RequestItem{.page_keys = phase_.page_keys};
  if (is_guarded(phase_.operation)) {
    if (slot.cursor >= target_.keys) {
      if (visits_every_key(phase_.operation)) return false;
      slot.cursor = index;
    }
    slot.item.key = slot.cursor;
    slot.cursor += slots_.size();
    if (phase_.operation != Operation::kCreate) slot.item.revision = revisions_[slot.item.key];
  } else if (phase_.operation == Operation::kGet) {
    slot.item.key = random_() % target_.keys;
  } else if (phase_.operation == Operation::kPut) {
    slot.item.key = issued_ % target_.keys;
  } else if (phase_.operation == Operation::kLeaseGrant) {
    slot.item.key = issued_;
  } else if (phase_.operation == Operation::kLeaseKeepAlive) {
    slot.item.lease = slot.lease;
  }
  return true;
}

void Generator::send_item(uint32_t index) {
  Slot& slot = slots_[index];
  slot.answer = Answer{};
  request_.clear();
  append_request(phase_.operation, target_.shape, slot.item, &request_);
  if (slot.stream != 0 && holds_a_stream(phase_.operation)) {
    connection_of(index).send_message(slot.stream, request_);
    return;
  }
  const uint32_t stream = connection_of(index).start_call(
      index, path_of(phase_.operation), request_, !holds_a_stream(phase_.operation));
  slot.stream = holds_a_stream(phase_.operation) ? stream : 0;
}

void Generator::on_message(uint32_t tag, std::string_view message) {
  if (tag == kWatcherTag) {
    Answer answer;
    if (!parse_answer(Operation::kWatch, message, &answer)) fail("a watch answer is not a message");
    if (answer.canceled) fail("the watch was canceled");
    watching_ |= answer.created;
    report_.watched += answer.entries;
    return;
  }
  Slot& slot = slots_[tag];
  if (!parse_answer(phase_.operation, message, &slot.answer)) fail("an answer is not a message");
  slot.entries += slot.answer.entries;
  if (holds_a_stream(phase_.operation)) finish(tag);
}

void Generator::on_end(uint32_t tag, int grpc_status, std::string_view grpc_message) {
  if (grpc_status != 0)
    fail(absl::StrCat("grpc-status ", grpc_status, ": ", std::string(grpc_message)));
  if (tag == kWatcherTag) return;
  if (holds_a_stream(phase_.operation)) {
    slots_[tag].stream = 0;
    return;
  }
  Slot& slot = slots_[tag];
  if (grpc_status == 0) {
    if (phase_.operation == Operation::kListPage && slot.answer.more) {
      slot.item.key = slot.entries;  // keys are numbered without gaps
      send_item(tag);
      return;
    }
    check_answer(tag);
  }
  finish(tag);
}

void Generator::check_answer(uint32_t index) {
  const Slot& slot = slots_[index];
  if (slot.item.key < revisions_.size()) revisions_[slot.item.key] = slot.answer.revision;
  if (is_guarded(phase_.operation) && !slot.answer.succeeded) fail("a guard did not hold");
  if (phase_.operation == Operation::kGet && slot.entries != 1) fail("a key was not found");
  if (phase_.operation == Operation::kLeaseGrant) slots_[index].lease = slot.answer.lease;
  if (is_list(phase_.operation)) {
    if (slot.entries != target_.keys) {
      fail(absl::StrCat("a list has ", slot.entries, " of ", target_.keys, " keys"));
    }
    report_.entries += slot.entries;
  }
}

void Generator::finish(uint32_t index) {
  const Nanos now = now_nanos();
  last_answer_ = now;
  ++report_.requests;
  --in_flight_;
  const Nanos units = (now - slots_[index].started) / kLatencyUnitNanos;
  latencies_.push_back(
      static_cast<uint32_t>(std::min<Nanos>(units, std::numeric_limits<uint32_t>::max())));
  if (phase_.rate_per_second > 0) {
    idle_.push_back(index);
  } else {
    start_next(index, now);
  }
}

void Generator::fail(std::string_view why) {
  ++report_.errors;
  if (report_.first_error.empty()) report_.first_error = why;
}

void Generator::summarize() {
  if (latencies_.empty()) return;
  std::sort(latencies_.begin(), latencies_.end());
  const auto at = [this](double share) {
    const auto rank = static_cast<size_t>(share * static_cast<double>(latencies_.size()));
    return latencies_[std::min(rank, latencies_.size() - 1)] * (kLatencyUnitNanos / 1e6);
  };
  report_.p50_ms = at(0.5);
  report_.p99_ms = at(0.99);
  report_.p999_ms = at(0.999);
  report_.max_ms = at(1);
}

}  // namespace holdfast::bench
