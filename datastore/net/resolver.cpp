#include "datastore/net/resolver.h"

#include <netdb.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

/// One question; `loop` and `done` are guarded by the queue's mutex.
struct Question {
  std::string host;
  std::string port;
  EventLoop* loop = nullptr;  // null once withdrawn
  Resolver::Done done;

  std::string name() const { return concat(host, ":", port); }
};

/// Blocks unless `flags` has AI_NUMERICHOST. Nothing for an address that is none.
absl::StatusOr<Resolver::Addresses> look_up(const std::string& host, const std::string& port,
                                            int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(concat("can't resolve ", host, ": ", ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  Resolver::Addresses addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (addresses.size() == Resolver::kMaxAddresses) break;
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
    address.size_bytes = info->ai_addrlen;
  }
  if (addresses.empty()) {
    return absl::UnavailableError(concat("can't resolve ", host, ": it has no addresses"));
  }
  return addresses;
}

}  // namespace

struct Resolver::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  // All guarded by mutex.
  std::deque<std::shared_ptr<Question>> waiting;  // until answered or withdrawn
  std::vector<std::string> under_way;             // names, one per busy thread
  std::size_t threads = 0;
  bool stopping = false;

  /// Tells the asker, in a task of its loop. Caller holds the mutex.
  static void answer(const std::shared_ptr<Queue>& queue, std::shared_ptr<Question> question,
                     absl::StatusOr<Addresses> answer);
  /// A thread, which keeps the queue.
  static void run(const std::shared_ptr<Queue>& queue);
  /// Tells everyone who asked for `name`. Caller holds the mutex.
  static void answer_all(const std::shared_ptr<Queue>& queue, const std::string& name,
                         const absl::StatusOr<Addresses>& found);
  /// The question that waited longest for a name that nobody looks up; null if there is none.
  std::shared_ptr<Question> next() const;
  void withdraw(const std::shared_ptr<Question>& question);
};

void Resolver::Queue::answer(const std::shared_ptr<Queue>& queue,
                             std::shared_ptr<Question> question, absl::StatusOr<Addresses> answer) {
  if (question->loop == nullptr) return;
  question->loop->post(
      [queue, question = std::move(question), answer = std::move(answer)]() mutable {
        Done done;
        {
          const std::lock_guard<std::mutex> lock(queue->mutex);
          if (question->loop == nullptr) return;
          done = std::move(question->done);
        }
        done(std::move(answer));
      });
}

std::shared_ptr<Question> Resolver::Queue::next() const {
  for (const std::shared_ptr<Question>& question : waiting) {
    if (std::find(under_way.begin(), under_way.end(), question->name()) == under_way.end()) {
      return question;
    }
  }
  return nullptr;
}

void Resolver::Queue::answer_all(const std::shared_ptr<Queue>& queue, const std::string& name,
                                 const absl::StatusOr<Addresses>& found) {
  std::erase_if(queue->waiting, [&](const std::shared_ptr<Question>& question) {
    if (question->name() != name) return false;
    answer(queue, question, found);
    return true;
  });
}

void Resolver::Queue::run(const std::shared_ptr<Queue>& queue) {
  std::unique_lock<std::mutex> lock(queue->mutex);
  std::shared_ptr<Question> question;
  for (;;) {
    queue->changed.wait(lock,
                        [&] { return queue->stopping || (question = queue->next()) != nullptr; });
    if (queue->stopping) break;
    const std::string name = question->name();
    queue->under_way.push_back(name);
    lock.unlock();
    const absl::StatusOr<Addresses> found = look_up(question->host, question->port, AI_ADDRCONFIG);
    lock.lock();
    question.reset();
    std::erase(queue->under_way, name);
    answer_all(queue, name, found);
  }
  --queue->threads;
  queue->changed.notify_all();
}

void Resolver::Queue::withdraw(const std::shared_ptr<Question>& question) {
  Done unused;  // what it holds is let go of outside the lock
  const std::lock_guard<std::mutex> lock(mutex);
  question->loop = nullptr;
  unused = std::move(question->done);
  std::erase(waiting, question);
}

Resolver::Resolver() : queue_(std::make_shared<Queue>()) {
}

Resolver::~Resolver() {
  std::unique_lock<std::mutex> lock(queue_->mutex);
  queue_->stopping = true;
  queue_->changed.notify_all();
  // Those that wait leave at once; those that look something up leave when they can.
  queue_->changed.wait(lock, [&] { return queue_->threads == queue_->under_way.size(); });
}

std::unique_ptr<Resolver::Lookup> Resolver::resolve(EventLoop& loop, std::string host,
                                                    std::string port, Done done) {
  class Asked final : public Lookup {
   public:
    Asked(std::shared_ptr<Queue> queue, std::shared_ptr<Question> question)
        : queue_(std::move(queue)), question_(std::move(question)) {}
    ~Asked() override { queue_->withdraw(question_); }
    Asked(const Asked&) = delete;
    Asked& operator=(const Asked&) = delete;

   private:
    std::shared_ptr<Queue> queue_;
    std::shared_ptr<Question> question_;
  };

  absl::StatusOr<Addresses> numeric = look_up(host, port, AI_NUMERICHOST);
  auto question = std::make_shared<Question>(
      Question{std::move(host), std::move(port), &loop, std::move(done)});
  const std::lock_guard<std::mutex> lock(queue_->mutex);
  if (numeric.ok()) {
    Queue::answer(queue_, question, std::move(numeric));
  } else if (queue_->waiting.size() >= kMaxWaiting) {
    Queue::answer(queue_, question,
                  absl::ResourceExhaustedError(concat("can't resolve ", question->host,
                                                      ": too many names wait for the ",
                                                      "name server, which is slow or down")));
  } else {
    const bool new_name =
        std::none_of(queue_->waiting.begin(), queue_->waiting.end(),
                     [&](const auto& other) { return other->name() == question->name(); });
    queue_->waiting.push_back(question);
    if (new_name && queue_->threads < kMaxThreads) {
      ++queue_->threads;
      std::thread([queue = queue_] { Queue::run(queue); }).detach();
    }
    queue_->changed.notify_one();
  }
  return std::make_unique<Asked>(queue_, std::move(question));
}

}  // namespace holdfast::net
