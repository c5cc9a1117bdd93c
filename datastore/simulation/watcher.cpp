#include "datastore/simulation/watcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"

namespace holdfast::simulation {

namespace {

constexpr Time kTravelAtMost = std::chrono::milliseconds(2);
constexpr Time kReconnectPause = std::chrono::milliseconds(40);
constexpr Time kConnectionLastsAtMost = std::chrono::seconds(8);

}  // namespace

/// One stream to one member; what comes over it keeps its order.
class Watcher::Connection final : public WatchSink,
                                  public std::enable_shared_from_this<Connection> {
 public:
  Connection(Watcher& watcher, Machine& machine)
      : machine(machine), incarnation(machine.incarnation()), watcher_(watcher) {}

  void on_events(std::vector<WatchedEvent> events) override {
    deliver([this, events = std::move(events)] { watcher_.on_events(events); });
  }
  void on_end(absl::Status why, Revision compacted) override {
    ended = true;
    deliver([this, why, compacted] { watcher_.on_end(why, compacted); });
  }
  bool stands() const { return machine.is_up() && machine.incarnation() == incarnation; }

  Machine& machine;
  const std::uint64_t incarnation;
  std::uint64_t watch = 0;
  bool ended = false;

 private:
  void deliver(absl::AnyInvocable<void()> what) {
    Scheduler& scheduler = watcher_.context_.scheduler;
    last_arrival_ =
        std::max(last_arrival_, scheduler.now() + watcher_.dice_.between(Time(0), kTravelAtMost));
    scheduler.after(last_arrival_ - scheduler.now(),
                    [self = shared_from_this(), what = std::move(what)]() mutable {
                      if (self->watcher_.connection_ == self) what();
                    });
  }

  Watcher& watcher_;
  Time last_arrival_{0};
};

Watcher::Watcher(Context& context, const std::vector<Machine*>& machines, std::uint64_t number,
                 Bytes key, Bytes range_end)
    : context_(context),
      machines_(machines),
      number_(number),
      key_(std::move(key)),
      range_end_(std::move(range_end)),
      dice_(context.seed, 2000 + number) {
}

Watcher::~Watcher() {
  leave();
}

std::string Watcher::describe() const {
  return absl::StrCat("watcher ", number_, " of ", key_);
}

void Watcher::connect_later() {
  context_.scheduler.after(kReconnectPause, [this] { connect(); });
}

void Watcher::connect() {
  Machine& machine = *machines_[dice_.below(machines_.size())];
  if (!machine.is_up() || !machine.watches().is_started()) return connect_later();
  connection_ = std::make_shared<Connection>(*this, machine);
  connection_->watch = machine.watches().add(key_, range_end_, next_revision_, *connection_);
  context_.scheduler.after(dice_.between(Time(0), kConnectionLastsAtMost),
                           [this, connection = connection_] {
                             if (connection_ != connection) return;
                             leave();
                             connect_later();
                           });
}

void Watcher::leave() {
  if (connection_ == nullptr) return;
  if (connection_->stands() && !connection_->ended) {
    connection_->machine.watches().remove(connection_->watch);
  }
  connection_.reset();
}

bool Watcher::wants(const ReferenceEvent& event) const {
  return range_end_.empty() ? event.key == key_ : event.key >= key_ && event.key < range_end_;
}

void Watcher::skip_others() {
  const std::vector<ReferenceEvent>& all = context_.reference.events();
  while (next_event_ < all.size() && !wants(all[next_event_])) ++next_event_;
}

void Watcher::on_events(const std::vector<WatchedEvent>& events) {
  const std::vector<ReferenceEvent>& all = context_.reference.events();
  for (const WatchedEvent& event : events) {
    skip_others();
    const bool there = next_event_ < all.size();
    const bool right = there && all[next_event_].revision == event.revision &&
                       all[next_event_].key == event.key &&
                       all[next_event_].tombstone == event.tombstone;
    if (!context_.judge.demand(right, [&] {
          const std::string expected =
              there ? absl::StrCat(all[next_event_].key, " at ", all[next_event_].revision)
                    : std::string("nothing");
          return absl::StrCat(describe(), " got an event of ", event.key, " at revision ",
                              event.revision, " where ", expected, " was due");
        })) {
      return;
    }
    ++next_event_;
    ++events_;
    context_.scheduler.digest().add(static_cast<std::uint64_t>(event.revision));
    context_.history.event_seen(event.revision);
  }
  if (!events.empty()) next_revision_ = events.back().revision + 1;
}

void Watcher::on_end(const absl::Status& why, Revision compacted) {
  context_.judge.demand(why == errors::compacted() && next_revision_ < compacted.value &&
                            compacted.value <= context_.reference.compact_revision(),
                        [&] {
                          return absl::StrCat(describe(), " from revision ", next_revision_,
                                              " was ended: ", why.ToString(),
                                              " (compacted: ", compacted.value, ")");
                        });
  next_revision_ = compacted.value;
  next_event_ = std::max(next_event_, context_.reference.event_from(next_revision_));
  connection_.reset();
  connect_later();
}

bool Watcher::is_caught_up() {
  skip_others();
  return next_event_ == context_.reference.events().size();
}

}  // namespace holdfast::simulation
