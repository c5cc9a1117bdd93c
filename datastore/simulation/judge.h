#pragma once

#include <string>
#include <utility>

namespace holdfast::simulation {

/// Takes down the first broken promise; later ones are its consequences.
class Judge {
 public:
  void fail(std::string violation) {
    if (violation_.empty()) violation_ = std::move(violation);
  }
  /// Fails unless `fact`; `describe` is called only then.
  template <class Describe>
  bool demand(bool fact, Describe describe) {
    if (!fact) fail(describe());
    return fact;
  }
  bool failed() const { return !violation_.empty(); }
  const std::string& violation() const { return violation_; }

 private:
  std::string violation_;
};

}  // namespace holdfast::simulation
