#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/simulation/context.h"
#include "datastore/simulation/dice.h"

namespace holdfast::simulation {

/// Where bytes for a member arrive.
class Station {
 public:
  virtual ~Station() = default;
  /// Whether somebody listens there.
  virtual bool is_listening() const = 0;
  virtual void receive(MemberId from, Bytes message) = 0;
};

/// The network between members: carries bytes from station to station, late, out of order, twice or
/// not at all, as the seed and the nemesis have it. Directions are cut one by one, so that a
/// partition may be whole, partial or one-way.
class Network {
 public:
  explicit Network(Context& context) : context_(context), dice_(context.seed, 2) {}

  void attach(MemberId member, Station& station);
  void detach(MemberId member) { stations_.erase(member); }

  struct Weather {
    std::uint64_t lost_per_mille = 0;
    std::uint64_t repeated_per_mille = 0;
    /// Of the messages, those that take up to `late_by` longer than others.
    std::uint64_t late_per_mille = 10;
    Time late_by = std::chrono::milliseconds(20);
  };
  void set_weather(const Weather& weather) { weather_ = weather; }

  void cut(MemberId from, MemberId to);
  void mend(MemberId from, MemberId to);
  void mend_all();
  bool is_open(MemberId from, MemberId to) const { return !cut_.contains({from, to}); }
  /// Both directions open and both listening: true time since when, if so. Asked now and then, it
  /// finds out for itself; what falls between two questions it does not see.
  std::optional<Time> connected_since(MemberId a, MemberId b);

  /// Sends once. `may_repeat`: the transport could deliver it twice.
  void send(MemberId from, MemberId to, Bytes message, Time leaves_in, bool may_repeat);
  /// Does `arrive` at the other end after a while, if anything gets there; else `fail` here, after
  /// a longer while. For what travels over a connection of its own.
  void call(MemberId from, MemberId to, Time takes, absl::AnyInvocable<void()> arrive,
            absl::AnyInvocable<void()> fail);

 private:
  void deliver(MemberId from, MemberId to, Bytes message, Time delay);
  bool reaches(MemberId from, MemberId to) const;

  Context& context_;
  Dice dice_;
  Weather weather_;
  std::map<MemberId, Station*> stations_;
  std::set<std::pair<MemberId, MemberId>> cut_;
  std::map<std::pair<MemberId, MemberId>, Time> connected_since_;
};

}  // namespace holdfast::simulation
