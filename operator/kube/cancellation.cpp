#include "operator/kube/cancellation.h"

#include <utility>

namespace holdfast::kube {
namespace {

/// An exchange that was not yet on its socket when it was aborted is aborted again after this.
constexpr std::chrono::milliseconds kAbortAgain{20};

}  // namespace

void Cancellation::cancel() {
  std::unique_lock lock(mutex_);
  cancelled_.store(true, std::memory_order_release);
  changed_.notify_all();
  while (!aborts_.empty()) {
    for (const auto& [id, abort] : aborts_) {
      abort();
    }
    changed_.wait_for(lock, kAbortAgain, [this] { return aborts_.empty(); });
  }
}

bool Cancellation::sleep_for(std::chrono::steady_clock::duration duration) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, duration, [this] { return cancelled(); });
  return !cancelled();
}

Cancellation::Scope::Scope(Cancellation* cancellation, std::function<void()> abort)
    : cancellation_(cancellation) {
  if (cancellation_ != nullptr) {
    const std::lock_guard lock(cancellation_->mutex_);
    id_ = cancellation_->next_id_++;
    cancellation_->aborts_.emplace(id_, std::move(abort));
  }
}

Cancellation::Scope::~Scope() {
  if (cancellation_ != nullptr) {
    const std::lock_guard lock(cancellation_->mutex_);
    cancellation_->aborts_.erase(id_);
    cancellation_->changed_.notify_all();
  }
}

}  // namespace holdfast::kube
