#include "datastore/rpc/key_feed.h"

#include <cstdint>

#include "datastore/base/check.h"
#include "datastore/rpc/loop_state.h"

namespace holdfast::rpc {

KeyFeed::KeyFeed(LoopState& state) : state_(state) {
}

KeyFeed::~KeyFeed() = default;

void KeyFeed::follow(watch::Interest interest, Follower& follower) {
  const bool inserted =
      followers_.try_emplace(&follower, Following{std::move(interest), {}}).second;
  HOLDFAST_CHECK(inserted);
  start();
  if (set_.has_value()) begin(follower);
}

void KeyFeed::unfollow(Follower& follower) {
  const auto found = followers_.find(&follower);
  if (found == followers_.end()) return;
  if (set_.has_value()) set_->remove(found->second.id);
  followers_.erase(found);
}

void KeyFeed::start() {
  if (std::exchange(subscribed_, true)) return;
  state_.node().subscribe(
      [this](Revision revision) { on_started(revision); },
      [this](std::shared_ptr<const watch::EventBatch> batch) { on_batch(batch); }, state_);
}

void KeyFeed::begin(Follower& follower) {
  Following& following = followers_.find(&follower)->second;
  following.id = set_->add({.interest = following.interest,
                            .start_revision = Revision(),
                            .progress_notify = false,
                            .cookie = reinterpret_cast<std::uint64_t>(&follower)},
                           set_->revision());
  // Not from within follow(): its caller may not be done yet.
  state_.post([this, follower = &follower, id = following.id] {
    if (still_follows(follower, id)) follower->on_begin(set_->revision());
  });
}

void KeyFeed::on_started(Revision revision) {
  // What the member skipped is in the store alone; so everybody begins anew.
  set_.emplace(revision);
  for (const auto& [follower, following] : followers_) begin(*follower);
}

bool KeyFeed::still_follows(Follower* follower, watch::WatcherId id) const {
  const auto found = followers_.find(follower);
  return found != followers_.end() && found->second.id == id;
}

void KeyFeed::on_batch(const std::shared_ptr<const watch::EventBatch>& batch) {
  if (batch == nullptr) return;  // permissions have changed: followers ask where they read
  struct Due {
    Follower* follower;
    watch::WatcherId id;
    std::uint32_t event;
  };
  // Followers may come and go as they are told, the set's may not meanwhile.
  std::vector<Due> due;
  set_->deliver(*batch, [&due](const watch::Delivery& delivery) {
    for (const watch::Subscriber& subscriber : delivery.subscribers) {
      for (const std::uint32_t event : delivery.events) {
        due.push_back({reinterpret_cast<Follower*>(subscriber.cookie), subscriber.id, event});
      }
    }
  });
  for (const Due& each : due) {
    if (still_follows(each.follower, each.id)) each.follower->on_event((*batch)[each.event]);
  }
}

}  // namespace holdfast::rpc
