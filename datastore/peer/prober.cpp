#include "datastore/peer/prober.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/peer/answers.h"

namespace holdfast::peer {
namespace {

constexpr std::chrono::seconds kToleratedClockDifference{1};

}  // namespace

Prober::Prober(Context& context, UrlPicker& urls, MemberId peer)
    : context_(context),
      urls_(urls),
      peer_(peer),
      timer_([](void* self) { static_cast<Prober*>(self)->probe(); }, this) {
  context_.loop.arm(timer_, context_.options.probe_interval);
}

void Prober::probe() {
  context_.loop.arm(timer_, context_.options.probe_interval);
  net::Http1Client* const client = urls_.pick();
  if (client == nullptr) return;
  net::Http1Limits limits;
  limits.dial = context_.dial_timeout();
  limits.total = context_.options.probe_interval;
  client->fetch({.target = "/raft/probing"}, limits,
                [this, asked = net::EventLoop::Clock::now(), alive = std::weak_ptr<bool>(alive_)](
                    const absl::StatusOr<net::Http1Response>& answer) {
                  if (!alive.expired()) on_answer(asked, answer);
                });
}

void Prober::on_answer(net::EventLoop::Clock::time_point asked,
                       const absl::StatusOr<net::Http1Response>& answer) {
  if (!answer.ok()) return context_.observer.probe_failed(peer_, answer.status());
  const absl::StatusOr<std::int64_t> clock = decode_probe(*answer);
  if (!clock.ok()) return context_.observer.probe_failed(peer_, clock.status());
  const auto took = net::EventLoop::Clock::now() - asked;
  context_.observer.round_trip(peer_, took);
  // Its clock was read about half way.
  const std::chrono::nanoseconds ahead =
      std::chrono::milliseconds(*clock - context_.clock.unix_milliseconds()) + took / 2;
  if (std::chrono::abs(ahead) > kToleratedClockDifference) {
    context_.observer.clock_differs(peer_, ahead);
  }
}

}  // namespace holdfast::peer
