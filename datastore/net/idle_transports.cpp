#include "datastore/net/idle_transports.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace holdfast::net {

class IdleTransports::Watched final : public IoHandler {
 public:
  Watched(IdleTransports& home, std::unique_ptr<Transport> transport)
      : home_(home),
        transport_(std::move(transport)),
        timer_([](void* self) { static_cast<Watched*>(self)->drop(); }, this) {}

  bool watch() {
    home_.loop_.arm(timer_, home_.idle_timeout_);
    return home_.loop_.add(transport_->fd(), EPOLLIN | EPOLLRDHUP, *this);
  }

  void on_io(std::uint32_t) override {
    if (transport_ == nullptr) return;
    char byte;
    // A TLS transport may have had something to read that was not for us.
    if (transport_->read(&byte, 1).io != Transport::Io::kWouldBlock) drop();
  }

  std::unique_ptr<Transport> release() {
    timer_.cancel();
    home_.loop_.remove(transport_->fd());
    return std::move(transport_);
  }

 private:
  void drop() { home_.remove(*this); }

  IdleTransports& home_;
  std::unique_ptr<Transport> transport_;
  Timer timer_;
};

IdleTransports::IdleTransports(EventLoop& loop, std::size_t limit,
                               std::chrono::milliseconds idle_timeout)
    : loop_(loop), limit_(limit), idle_timeout_(idle_timeout) {
}

IdleTransports::~IdleTransports() {
  close();
}

std::unique_ptr<Transport> IdleTransports::take() {
  while (!idle_.empty()) {
    std::unique_ptr<Transport> last = remove(*idle_.back());
    if (last->still_allowed()) return last;
  }
  return nullptr;
}

void IdleTransports::keep(std::unique_ptr<Transport> transport) {
  if (idle_.size() >= limit_) return;
  auto watched = std::make_unique<Watched>(*this, std::move(transport));
  if (watched->watch()) idle_.push_back(std::move(watched));
}

std::unique_ptr<Transport> IdleTransports::remove(const Watched& watched) {
  const auto found = std::find_if(idle_.begin(), idle_.end(),
                                  [&](const auto& each) { return each.get() == &watched; });
  std::unique_ptr<Transport> transport = (*found)->release();
  // It may be on the stack, or have an event of this turn still to come.
  loop_.defer([owned = std::move(*found)] {});
  idle_.erase(found);
  return transport;
}

void IdleTransports::close() {
  limit_ = 0;
  while (!idle_.empty()) remove(*idle_.back());
}

}  // namespace holdfast::net
