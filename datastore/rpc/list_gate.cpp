#include "datastore/rpc/list_gate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"

namespace holdfast::rpc {
namespace {

/// A refusal before the client's own deadline tells it more than the deadline would.
constexpr std::chrono::milliseconds kBeforeDeadline{100};
/// Of the room for big answers, the part that one client can have if it is alone.
constexpr std::size_t kClientShare = 2;

}  // namespace

void ListGate::post(Answers answers) {
  for (Answer& answer : answers) {
    answer.mailbox->post([ready = std::move(answer.ready),
                          status = std::move(answer.status)]() mutable { ready(status); });
  }
}

std::shared_ptr<ListGate::Place> ListGate::enter(const Request& request, Clock::time_point now,
                                                 node::Mailbox& mailbox, Ready ready) {
  std::shared_ptr<Place> place(
      new Place(shared_from_this(), std::string(request.client), request.use));
  place->size_bytes_ = request.size_bytes;
  place->mailbox_ = &mailbox;
  place->ready_ = std::move(ready);
  place->until_ = now + options_.max_wait;
  if (request.deadline - kBeforeDeadline < place->until_) {
    place->until_ = request.deadline - kBeforeDeadline;
  }
  Answers answers;
  bool refused = false;
  {
    const std::lock_guard lock(mutex_);
    Client& client = clients_[place->client_];
    const std::size_t free = options_.max_waiting - waiting_;
    if (client.waiting.size() >= free) {
      refused = true;
      place->state_ = Place::State::kGone;
      if (client.places == 0) clients_.erase(place->client_);
    } else {
      ++client.places;
      ++waiting_;
      if (client.waiting.empty()) turns_.push_back(place->client_);
      client.waiting.push_back(place.get());
      admit(answers);
    }
  }
  post(std::move(answers));
  if (!refused) return place;
  budget_.count_refused(request.use);
  return nullptr;
}

/// Lets in whom there is room for, each client in its turn.
void ListGate::admit(Answers& answers) {
  std::size_t in_vain = 0;
  while (running_ < options_.max_running && in_vain < turns_.size()) {
    std::string name = std::move(turns_.front());
    turns_.pop_front();
    Client& client = clients_.find(name)->second;
    in_vain = admit_first(client, answers) ? 0 : in_vain + 1;
    if (!client.waiting.empty()) turns_.push_back(std::move(name));
  }
}

bool ListGate::admit_first(Client& client, Answers& answers) {
  Place& place = *client.waiting.front();
  const std::size_t size_bytes = std::exchange(place.size_bytes_, 0);
  if (!reserve(client, place, size_bytes)) {
    place.size_bytes_ = size_bytes;
    return false;
  }
  client.waiting.pop_front();
  --waiting_;
  ++running_;
  place.state_ = Place::State::kRunning;
  answers.push_back({place.mailbox_, std::move(place.ready_), absl::OkStatus()});
  return true;
}

bool ListGate::reserve(Client& client, Place& place, std::size_t size_bytes) {
  const std::size_t room = budget_.room_bytes();
  const std::size_t reserved = std::min(budget_.reserved_bytes(), room);
  const bool has_some = client.reserved_bytes > 0;
  if (has_some && client.reserved_bytes + size_bytes > room - reserved) return false;
  if (!budget_.reserve(place.use_, size_bytes)) return false;
  client.reserved_bytes += size_bytes;
  place.size_bytes_ += size_bytes;
  return true;
}

void ListGate::tick(Clock::time_point now) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    std::vector<Place*> late;
    for (auto& [name, client] : clients_) {
      for (Place* place : client.waiting) {
        if (place->until_ <= now) late.push_back(place);
      }
    }
    for (Place* place : late) {
      forget_waiting(*place);
      budget_.count_refused(place->use_);
      answers.push_back({place->mailbox_, std::move(place->ready_), errors::too_many_requests()});
    }
    admit(answers);
  }
  post(std::move(answers));
}

/// Takes it out of the line; it is gone then.
void ListGate::forget_waiting(Place& place) {
  const auto found = clients_.find(place.client_);
  Client& client = found->second;
  client.waiting.erase(std::find(client.waiting.begin(), client.waiting.end(), &place));
  if (client.waiting.empty()) {
    turns_.erase(std::find(turns_.begin(), turns_.end(), place.client_));
  }
  --waiting_;
  place.state_ = Place::State::kGone;
  if (--client.places == 0) clients_.erase(found);
}

void ListGate::leave(Place& place) {
  Answers answers;
  Ready unused;  // may hold what holds the place: it goes after the lock
  {
    const std::lock_guard lock(mutex_);
    unused = std::move(place.ready_);
    if (place.state_ == Place::State::kGone) return;
    if (place.state_ == Place::State::kWaiting) {
      forget_waiting(place);
    } else {
      if (place.state_ == Place::State::kRunning) --running_;
      place.state_ = Place::State::kGone;
      budget_.give_back(place.use_, place.size_bytes_);
      const auto found = clients_.find(place.client_);
      found->second.reserved_bytes -= place.size_bytes_;
      if (--found->second.places == 0) clients_.erase(found);
    }
    admit(answers);
  }
  post(std::move(answers));
}

std::size_t ListGate::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

std::size_t ListGate::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

// --- one place ----------------------------------------------------------------------------------

ListGate::Place::~Place() {
  gate_->leave(*this);
}

void ListGate::Place::park() {
  Answers answers;
  {
    const std::lock_guard lock(gate_->mutex_);
    if (state_ != State::kRunning) return;
    state_ = State::kParked;
    --gate_->running_;
    gate_->admit(answers);
  }
  ListGate::post(std::move(answers));
}

void ListGate::Place::resume() {
  const std::lock_guard lock(gate_->mutex_);
  if (state_ != State::kParked) return;
  state_ = State::kRunning;
  ++gate_->running_;
}

absl::Status ListGate::Place::grow(std::size_t size_bytes) {
  MemoryBudget& budget = gate_->budget_;
  const std::lock_guard lock(gate_->mutex_);
  if (state_ == State::kGone || state_ == State::kWaiting) return errors::too_many_requests();
  Client& client = gate_->clients_.find(client_)->second;
  if (gate_->reserve(client, *this, size_bytes)) return absl::OkStatus();
  budget.count_refused(use_);
  if (size_bytes_ + size_bytes <= budget.room_bytes() / kClientShare) {
    return errors::too_many_requests();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("holdfast: this answer takes ", size_bytes_ + size_bytes,
                   " bytes of memory at once, more than --memory-limit-bytes leaves for it; ask "
                   "for less, with a limit, or for the default order"));
}

void ListGate::Place::stop_waiting() {
  {
    const std::lock_guard lock(gate_->mutex_);
    if (state_ != State::kWaiting) return;
  }
  gate_->leave(*this);
}

}  // namespace holdfast::rpc
