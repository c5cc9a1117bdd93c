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

    bool is_same(const Question& other) const {
      return address == other.address && names == other.names;
    }
    /// Whoever asked has let go of the answer.
    bool is_abandoned() const { return answer.use_count() == 1; }
  };
  using QuestionPtr = std::shared_ptr<const Question>;

  std::mutex mutex;
  std::condition_variable changed;
  // All guarded by mutex.
  std::deque<QuestionPtr> waiting;
  std::vector<QuestionPtr> under_way;  // one per busy thread
  std::size_t threads = 0;
  bool stopped = false;

  /// A thread, which keeps the queue.
  static void run(const std::shared_ptr<Queue>& queue);
  /// Takes the question that waited longest of those that nobody asks now; null if there is none.
  QuestionPtr take_next();
  /// Takes all that wait for the same answer.
  std::vector<QuestionPtr> take_same(const Question& question);
};

NameCheck::Queue::QuestionPtr NameCheck::Queue::take_next() {
  std::erase_if(waiting, [](const QuestionPtr& each) { return each->is_abandoned(); });
  const auto next = std::ranges::find_if(waiting, [this](const QuestionPtr& each) {
    return std::ranges::none_of(under_way,
                                [&](const QuestionPtr& busy) { return busy->is_same(*each); });
  });
  if (next == waiting.end()) return nullptr;
  QuestionPtr question = *next;
  waiting.erase(next);
  under_way.push_back(question);
  return question;
}

std::vector<NameCheck::Queue::QuestionPtr> NameCheck::Queue::take_same(const Question& question) {
  std::vector<QuestionPtr> same;
  std::erase_if(waiting, [&](const QuestionPtr& each) {
    if (!each->is_same(question)) return false;
    same.push_back(each);
    return true;
  });
  return same;
}

void NameCheck::Queue::run(const std::shared_ptr<Queue>& queue) {
  std::unique_lock<std::mutex> lock(queue->mutex);
  QuestionPtr question;
  while (true) {
    queue->changed.wait(
        lock, [&] { return queue->stopped || (question = queue->take_next()) != nullptr; });
    if (queue->stopped) return;
    lock.unlock();
    const bool yes = address_has_name(question->address, question->names);
    lock.lock();
    std::erase(queue->under_way, question);
    std::vector<QuestionPtr> answered = queue->take_same(*question);
    answered.push_back(std::move(question));
    lock.unlock();
    for (const QuestionPtr& each : answered) {
      each->answer->store(yes ? Answer::kYes : Answer::kNo);
      each->done();
    }
    answered.clear();
    lock.lock();
  }
}

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
  queue_->waiting.push_back(std::make_shared<const Queue::Question>(
      Queue::Question{std::move(address), std::move(names), answer, std::move(done)}));
  queue_->changed.notify_one();
  const std::size_t idle = queue_->threads - queue_->under_way.size();
  if (queue_->threads < kMaxThreads && queue_->waiting.size() > idle) {
    ++queue_->threads;
    std::thread([queue = queue_] { Queue::run(queue); }).detach();
  }
  return answer;
}

}  // namespace holdfast::net
