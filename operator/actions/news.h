#pragma once

#include <string>

namespace holdfast::actions {

/// What users are told of something that was done: an event's reason and sentence.
struct News {
  std::string reason;
  std::string sentence;
};

}  // namespace holdfast::actions
