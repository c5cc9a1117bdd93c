#include "datastore/simulation/network.h"

#include <algorithm>
#include <utility>

namespace holdfast::simulation {

namespace {

constexpr Time kTravelAtLeast = std::chrono::microseconds(100);
constexpr Time kTravelAtMost = std::chrono::microseconds(900);
constexpr Time kCallFailsAfter = std::chrono::milliseconds(500);

std::pair<MemberId, MemberId> ordered(MemberId a, MemberId b) {
  return {std::min(a, b), std::max(a, b)};
}

}  // namespace

void Network::attach(MemberId member, Station& station) {
  stations_[member] = &station;
  std::erase_if(connected_since_, [member](const auto& link) {
    return link.first.first == member || link.first.second == member;
  });
}

void Network::cut(MemberId from, MemberId to) {
  cut_.insert({from, to});
  connected_since_.erase(ordered(from, to));
}

void Network::mend(MemberId from, MemberId to) {
  cut_.erase({from, to});
}

void Network::mend_all() {
  cut_.clear();
  weather_ = {};
}

bool Network::reaches(MemberId from, MemberId to) const {
  const auto station = stations_.find(to);
  return station != stations_.end() && station->second->is_listening() && is_open(from, to);
}

std::optional<Time> Network::connected_since(MemberId a, MemberId b) {
  const auto link = ordered(a, b);
  if (!reaches(a, b) || !reaches(b, a)) {
    connected_since_.erase(link);
    return std::nullopt;
  }
  return connected_since_.try_emplace(link, context_.scheduler.now()).first->second;
}

void Network::send(MemberId from, MemberId to, Bytes message, Time leaves_in, bool may_repeat) {
  if (dice_.per_mille(weather_.lost_per_mille)) {
    context_.faults.add(Fault::kMessageLost);
    return;
  }
  if (may_repeat && dice_.per_mille(weather_.repeated_per_mille)) {
    context_.faults.add(Fault::kMessageDuplicated);
    deliver(from, to, message, leaves_in);
  }
  deliver(from, to, std::move(message), leaves_in);
}

void Network::deliver(MemberId from, MemberId to, Bytes message, Time delay) {
  delay += dice_.between(kTravelAtLeast, kTravelAtMost);
  if (dice_.per_mille(weather_.late_per_mille)) {
    context_.faults.add(Fault::kMessageReordered);
    delay += dice_.between(Time(0), weather_.late_by);
  }
  context_.scheduler.after(delay, [this, from, to, message = std::move(message)]() mutable {
    if (!reaches(from, to)) {
      context_.faults.add(Fault::kMessageLost);
      return;
    }
    context_.scheduler.digest().add(message);
    stations_.at(to)->receive(from, std::move(message));
  });
}

void Network::call(MemberId from, MemberId to, Time takes, absl::AnyInvocable<void()> arrive,
                   absl::AnyInvocable<void()> fail) {
  context_.scheduler.after(
      takes + dice_.between(kTravelAtLeast, kTravelAtMost),
      [this, from, to, arrive = std::move(arrive), fail = std::move(fail)]() mutable {
        if (reaches(from, to) && reaches(to, from)) return arrive();
        context_.scheduler.after(kCallFailsAfter, std::move(fail));
      });
}

}  // namespace holdfast::simulation
