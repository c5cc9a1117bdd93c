#include "operator/kube/cache.h"

#include <mutex>
#include <string>
#include <utility>

namespace holdfast::kube {
namespace {

bool is_same(const Json& one, const Json& other) {
  return resource_version_of(one) == resource_version_of(other) && uid_of(one) == uid_of(other);
}

}  // namespace

Object Cache::get(const ObjectKey& key) const {
  const std::shared_lock lock(mutex_);
  const auto found = objects_.find(key);
  return found == objects_.end() ? nullptr : found->second;
}

std::vector<Object> Cache::list() const {
  const std::shared_lock lock(mutex_);
  std::vector<Object> objects;
  objects.reserve(objects_.size());
  for (const auto& [key, object] : objects_) {
    objects.push_back(object);
  }
  return objects;
}

std::vector<Object> Cache::list(std::string_view ns) const {
  const std::shared_lock lock(mutex_);
  std::vector<Object> objects;
  for (auto at = objects_.lower_bound({.ns = std::string(ns), .name = ""});
       at != objects_.end() && at->first.ns == ns; ++at) {
    objects.push_back(at->second);
  }
  return objects;
}

std::size_t Cache::size() const {
  const std::shared_lock lock(mutex_);
  return objects_.size();
}

Object Cache::put(const ObjectKey& key, Object object) {
  const std::unique_lock lock(mutex_);
  return std::exchange(objects_[key], std::move(object));
}

Object Cache::erase(const ObjectKey& key) {
  const std::unique_lock lock(mutex_);
  const auto node = objects_.extract(key);
  return node.empty() ? nullptr : node.mapped();
}

std::vector<Cache::Change> Cache::replace(std::map<ObjectKey, Object> objects) {
  const std::unique_lock lock(mutex_);
  std::vector<Change> changes;
  for (const auto& [key, before] : objects_) {
    if (!objects.contains(key)) {
      changes.push_back({.key = key, .before = before, .now = nullptr});
    }
  }
  for (const auto& [key, now] : objects) {
    const auto found = objects_.find(key);
    const Object before = found == objects_.end() ? nullptr : found->second;
    if (before == nullptr || !is_same(*before, *now)) {
      changes.push_back({.key = key, .before = before, .now = now});
    }
  }
  objects_ = std::move(objects);
  return changes;
}

}  // namespace holdfast::kube
