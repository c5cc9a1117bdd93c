// The Lease's spec: holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions.
// Every write carries the resourceVersion of what was read: of two candidates one is refused.
#include "operator/kube/leader_elector.h"

#include <algorithm>
#include <utility>

#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

const Resource kLeases{
    .group = "coordination.k8s.io", .version = "v1", .plural = "leases", .namespaced = true};

constexpr std::chrono::milliseconds kReleaseTimeout{3'000};
/// Candidates spread out, so that they do not all ask at once.
constexpr std::uint64_t kJitterPercent = 20;

std::string_view holder_of(const Json& lease) {
  return text_at(lease, {"spec", "holderIdentity"});
}

}  // namespace

absl::Status Leadership::check() const {
  return held() ? absl::OkStatus()
                : absl::AbortedError("no longer the leader: another replica goes on from here");
}

LeaderElector::LeaderElector(Client& client, LeaderElectorOptions options, Callbacks callbacks,
                             telemetry::Logger& log, std::uint64_t seed, const Clock& clock)
    : client_(client),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      log_(log),
      clock_(clock),
      prng_(seed) {
}

LeaderElector::~LeaderElector() {
  stop();
}

void LeaderElector::start() {
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
  }
}

void LeaderElector::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Clock::TimePoint next = clock_.now() + step();
    lock.lock();
    while (!stopping_ && clock_.now() < next) {
      clock_.wait_until(changed_, lock, next);
    }
  }
}

void LeaderElector::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  cancellation_.cancel();
  if (thread_.joinable()) {
    thread_.join();
  }
  release();
}

Clock::Duration LeaderElector::step() {
  const bool holds = try_hold();
  if (!holds && term_ != nullptr && !term_->held()) {
    end_term("the lease could not be renewed in time");
  }
  const Clock::Duration period = options_.retry_period;
  if (term_ != nullptr) {
    // Wake at the term's end, if a renewal does not come before it.
    return std::clamp(term_->until_.load() - clock_.now(), Clock::Duration::zero(), period);
  }
  return period + period * static_cast<int>(prng_.below(kJitterPercent + 1)) / 100;
}

/// Takes or renews the Lease; true if it is known to be ours now.
bool LeaderElector::try_hold() {
  const Clock::TimePoint began = clock_.now();
  // A leader writes over what it wrote last; everyone else looks first.
  if (term_ == nullptr || !observed_.has_value()) {
    if (const absl::Status failed = refresh(); !failed.ok()) {
      log_.warn("cannot read the leader's lease", {telemetry::Field(failed)});
      return false;
    }
  }
  if (observed_.has_value() && !may_take()) {
    if (term_ != nullptr) {
      end_term("another replica holds the lease");
    }
    return false;
  }
  WriteOptions write;
  write.call.timeout = options_.renew_deadline / 2;
  write.call.cancellation = &cancellation_;
  const Json lease = next_lease(false);
  absl::StatusOr<Json> written = observed_.has_value() ? client_.replace(kLeases, lease, write)
                                                       : client_.create(kLeases, lease, write);
  if (!written.ok()) {
    observed_.reset();  // look again: it may have been written, or by another
    log_.warn(term_ == nullptr ? "cannot take the leader's lease" : "cannot renew our lease",
              {telemetry::Field(written.status())});
    return false;
  }
  note(*std::move(written));
  begin_term(began + options_.renew_deadline);
  return true;
}

absl::Status LeaderElector::refresh() {
  CallOptions call{.timeout = options_.renew_deadline / 2, .cancellation = &cancellation_};
  absl::StatusOr<Json> lease = client_.get(kLeases, options_.lease, call);
  if (absl::IsNotFound(lease.status())) {
    observed_.reset();
    return absl::OkStatus();
  }
  if (!lease.ok()) {
    return lease.status();
  }
  note(*std::move(lease));
  return absl::OkStatus();
}

void LeaderElector::note(Json lease) {
  {
    const std::lock_guard lock(mutex_);
    holder_ = holder_of(lease);
  }
  const bool same =
      observed_.has_value() && resource_version_of(observed_->lease) == resource_version_of(lease);
  const Clock::TimePoint at = same ? observed_->at : clock_.now();
  observed_ = Observed{.lease = std::move(lease), .at = at};
}

bool LeaderElector::may_take() const {
  const std::string_view holder = holder_of(observed_->lease);
  if (holder.empty() || holder == options_.identity) {
    return true;
  }
  const std::int64_t seconds = integer_at(observed_->lease, {"spec", "leaseDurationSeconds"})
                                   .value_or(options_.lease_duration.count());
  const std::chrono::seconds duration(std::clamp<std::int64_t>(seconds, 1, 3600));
  return clock_.now() - observed_->at >= duration;
}

Json LeaderElector::next_lease(bool release) const {
  const std::string now = rfc3339_micro(clock_.wall());
  Json lease = {{"apiVersion", "coordination.k8s.io/v1"},
                {"kind", "Lease"},
                {"metadata", {{"name", options_.lease.name}, {"namespace", options_.lease.ns}}}};
  Json spec = {{"acquireTime", now}, {"leaseTransitions", 0}};
  if (observed_.has_value()) {
    lease["metadata"] = observed_->lease["metadata"];
    const bool ours = holder_of(observed_->lease) == options_.identity;
    const std::int64_t transitions =
        integer_at(observed_->lease, {"spec", "leaseTransitions"}).value_or(0);
    spec["leaseTransitions"] = ours ? transitions : transitions + 1;
    if (const std::string_view since = text_at(observed_->lease, {"spec", "acquireTime"});
        ours && !since.empty()) {
      spec["acquireTime"] = since;
    }
  }
  spec["holderIdentity"] = release ? "" : options_.identity;
  spec["leaseDurationSeconds"] = release ? 1 : options_.lease_duration.count();
  spec["renewTime"] = now;
  lease["spec"] = std::move(spec);
  return lease;
}

void LeaderElector::begin_term(Clock::TimePoint until) {
  if (term_ != nullptr && !term_->held()) {
    end_term("the lease was renewed too late");
  }
  const bool is_new = term_ == nullptr;
  if (is_new) {
    term_ = std::make_shared<Leadership>(clock_);
  }
  term_->until_.store(until);
  if (is_new) {
    log_.info("leading", {{"lease", to_text(options_.lease)}, {"identity", options_.identity}});
    if (callbacks_.on_started) {
      callbacks_.on_started(term_);
    }
  }
}

void LeaderElector::end_term(const char* why) {
  term_->ended_.store(true);
  term_.reset();
  log_.warn("no longer leading", {{"lease", to_text(options_.lease)}, {"why", why}});
  if (callbacks_.on_stopped) {
    callbacks_.on_stopped();
  }
}

void LeaderElector::release() {
  if (term_ == nullptr) {
    return;
  }
  const bool ours = term_->held() && observed_.has_value();
  end_term("stopping");
  if (!ours) {
    return;
  }
  WriteOptions write;
  write.call.timeout = kReleaseTimeout;
  const absl::StatusOr<Json> released = client_.replace(kLeases, next_lease(true), write);
  if (!released.ok()) {
    log_.warn("the lease was not given back: the next leader waits for its end",
              {telemetry::Field(released.status())});
  }
}

std::string LeaderElector::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

}  // namespace holdfast::kube
