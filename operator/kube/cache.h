#pragma once

#include <cstddef>
#include <map>
#include <shared_mutex>
#include <string_view>
#include <vector>

#include "operator/kube/json.h"
#include "operator/kube/resource.h"

namespace holdfast::kube {

/// The objects of one resource, by key. Objects in it are never changed, only replaced: what a
/// reader holds stays as it was. Any thread.
class Cache {
 public:
  /// Null if there is none.
  Object get(const ObjectKey& key) const;
  /// All, or those of one namespace, by key.
  std::vector<Object> list() const;
  std::vector<Object> list(std::string_view ns) const;
  std::size_t size() const;

  /// Puts `object` in place of what is there, which is returned (null: nothing was).
  Object put(const ObjectKey& key, Object object);
  Object erase(const ObjectKey& key);

  struct Change {
    ObjectKey key;
    Object before;  ///< null: it is new
    Object now;     ///< null: it is gone
  };
  /// Replaces everything; returns what that changed, by resourceVersion and uid.
  std::vector<Change> replace(std::map<ObjectKey, Object> objects);

 private:
  mutable std::shared_mutex mutex_;
  std::map<ObjectKey, Object> objects_;
};

}  // namespace holdfast::kube
