#include "datastore/simulation/engine.h"

#include <utility>

namespace holdfast::simulation {

class SimulatedEngine::Cursor final : public ports::BackendCursor {
 public:
  explicit Cursor(const Map& map) : map_(map), at_(map.end()) {}
  void seek(BytesView key) override { at_ = map_.lower_bound(key); }
  bool valid() const override { return at_ != map_.end(); }
  void next() override { ++at_; }
  BytesView key() const override { return at_->first; }
  BytesView value() const override { return at_->second; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const Map& map_;
  Map::const_iterator at_;
};

class SimulatedEngine::Read final : public ports::BackendRead {
 public:
  explicit Read(std::shared_ptr<const Buckets> held) : held_(std::move(held)) {}
  absl::StatusOr<BytesView> get(ports::Bucket bucket, BytesView key) override {
    const Map& map = (*held_)[static_cast<std::size_t>(bucket)];
    const auto found = map.find(key);
    if (found == map.end()) return absl::NotFoundError("no such key in the bucket");
    return BytesView(found->second);
  }
  std::unique_ptr<ports::BackendCursor> cursor(ports::Bucket bucket) override {
    return std::make_unique<Cursor>((*held_)[static_cast<std::size_t>(bucket)]);
  }

 private:
  const std::shared_ptr<const Buckets> held_;
};

class SimulatedEngine::Fill final : public ports::BackendFill {
 public:
  absl::Status add(ports::Bucket bucket, BytesView key, BytesView value) override {
    Map& map = (*buckets)[static_cast<std::size_t>(bucket)];
    if (!map.empty() && map.rbegin()->first >= key) {
      return absl::InvalidArgumentError("the keys do not ascend");
    }
    map.emplace_hint(map.end(), key, value);
    return absl::OkStatus();
  }
  std::shared_ptr<Buckets> buckets = std::make_shared<Buckets>();
};

class SimulatedEngine::Content final : public ports::BackendContent {
 public:
  explicit Content(std::shared_ptr<Buckets> buckets) : buckets_(std::move(buckets)) {}
  absl::StatusOr<std::unique_ptr<ports::BackendRead>> begin_read() override {
    return std::make_unique<Read>(buckets_);
  }
  /// In place, unless a reader still looks at it.
  Buckets& changeable() {
    if (buckets_.use_count() != 1) buckets_ = std::make_shared<Buckets>(*buckets_);
    return *buckets_;
  }

 private:
  std::shared_ptr<Buckets> buckets_;
};

SimulatedEngine::SimulatedEngine(Dice dice, SimulatedDisk& disk, FaultCounts& counts)
    : dice_(dice),
      disk_(disk),
      counts_(counts),
      content_(std::make_shared<Content>(std::make_shared<Buckets>())) {
}

SimulatedEngine::~SimulatedEngine() = default;

template <class Apply>
absl::Status SimulatedEngine::commit_by(Apply apply) {
  if (!disk_.powered()) return absl::InternalError("the power is off");
  if (full_) return absl::ResourceExhaustedError("the engine's disk is full");
  if (std::exchange(fail_next_commit_, false)) {
    counts_.add(Fault::kEngineError);
    if (dice_.coin()) apply();
    return absl::UnknownError("the engine's sync failed");
  }
  if (disk_.power_goes_now()) {
    if (dice_.coin()) apply();
    return absl::InternalError("the power is off");
  }
  apply();
  return absl::OkStatus();
}

absl::Status SimulatedEngine::commit(absl::Span<const ports::BackendWrite> writes) {
  return commit_by([&] {
    Buckets& buckets = content_->changeable();
    for (const ports::BackendWrite& write : writes) {
      Map& map = buckets[static_cast<std::size_t>(write.bucket)];
      if (write.value.has_value()) {
        bytes_ += write.key.size() + write.value->size();
        map.insert_or_assign(Bytes(write.key), Bytes(*write.value));
      } else if (const auto found = map.find(write.key); found != map.end()) {
        map.erase(found);
      }
    }
  });
}

absl::Status SimulatedEngine::replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> fill) {
  Fill fresh;
  if (absl::Status status = fill(fresh); !status.ok()) return status;
  return commit_by([&] { content_ = std::make_shared<Content>(std::move(fresh.buckets)); });
}

std::shared_ptr<ports::BackendContent> SimulatedEngine::content() {
  return content_;
}

void SimulatedEngine::wipe() {
  content_ = std::make_shared<Content>(std::make_shared<Buckets>());
  bytes_ = 0;
}

}  // namespace holdfast::simulation
