#include "datastore/net/name_check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace holdfast::net {
namespace {

using AddressesPtr = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

AddressesPtr look_up(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) found = nullptr;
  return {found, &::freeaddrinfo};
}

std::string numeric(const addrinfo& info) {
  char text[NI_MAXHOST] = {};
  ::getnameinfo(info.ai_addr, info.ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return text;
}

/// The name that DNS gives the address; empty if it gives none.
std::string name_of(const addrinfo& info) {
  char text[NI_MAXHOST] = {};
  if (::getnameinfo(info.ai_addr, info.ai_addrlen, text, sizeof text, nullptr, 0, NI_NAMEREQD) !=
      0) {
    return {};
  }
  std::string name = text;
  if (name.ends_with('.')) name.pop_back();
  return name;
}

bool covers(std::string_view pattern, std::string_view name) {
  if (pattern.starts_with("*.")) return name.ends_with(pattern.substr(1));
  return pattern == name;
}

bool has_address(const std::string& name, const std::string& address) {
  const AddressesPtr found = look_up(name, 0);
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    if (numeric(*each) == address) return true;
  }
  return false;
}

}  // namespace

bool address_has_name(const std::string& address, const std::vector<std::string>& names) {
  const AddressesPtr parsed = look_up(address, AI_NUMERICHOST);
  if (parsed == nullptr) return false;
  const std::string canonical = numeric(*parsed);
  const std::string own = name_of(*parsed);
  if (!own.empty() &&
      std::ranges::any_of(names, [&](const std::string& each) { return covers(each, own); })) {
    return true;
  }
  return std::ranges::any_of(names, [&](const std::string& each) {
    return !each.starts_with("*.") && has_address(each, canonical);
  });
}

struct NameCheck::Queue {
  struct Question {
    std::string address;
    std::vector<std::string> names;
    Pending answer;
    std::function<void()> done;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Question> waiting;  // guarded by mutex, as all below
  bool started = false;
  bool stopped = false;
};

NameCheck::NameCheck() : queue_(std::make_shared<Queue>()) {
}

NameCheck::~NameCheck() {
  const std::lock_guard<std::mutex> lock(queue_->mutex);
  queue_->stopped = true;
  queue_->waiting.clear();
  queue_->changed.notify_all();
}

NameCheck::Pending NameCheck::ask(std::string address, std::vector<std::string> names,
                                  std::function<void()> done) {
  auto answer = std::make_shared<std::atomic<Answer>>(Answer::kPending);
  const std::lock_guard<std::mutex> lock(queue_->mutex);
  if (queue_->waiting.size() >= kMaxWaiting) {
    answer->store(Answer::kTooManyWaiting);
    return answer;
  }
  queue_->waiting.push_back({std::move(address), std::move(names), answer, std::move(done)});
  queue_->changed.notify_one();
  if (!std::exchange(queue_->started, true)) {
    std::thread([queue = queue_] { work(queue); }).detach();
  }
  return answer;
}

void NameCheck::work(const std::shared_ptr<Queue>& queue) {
  std::unique_lock<std::mutex> lock(queue->mutex);
  while (true) {
    queue->changed.wait(lock, [&] { return queue->stopped || !queue->waiting.empty(); });
    if (queue->stopped) return;
    Queue::Question question = std::move(queue->waiting.front());
    queue->waiting.pop_front();
    lock.unlock();
    const bool yes = address_has_name(question.address, question.names);
    question.answer->store(yes ? Answer::kYes : Answer::kNo);
    question.done();
    question = {};
    lock.lock();
  }
}

}  // namespace holdfast::net
