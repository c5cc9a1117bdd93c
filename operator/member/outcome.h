#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace holdfast::member {

/// What became of a request.
enum class Outcome : std::uint8_t {
  kDone,
  kRejected,  ///< not done, and asking the same again will not help
  kRetry,     ///< not done; later it may be
  kUnknown,   ///< may or may not have been done: look before asking again
};

/// Reads the outcome of a Status that a Client returned. Of a read, never kUnknown: nothing was
/// changed.
Outcome outcome_of(const absl::Status& status);

/// Marks `status` with an outcome other than what its code and text say. Ok stays as it is.
absl::Status with_outcome(absl::Status status, Outcome outcome);

/// The error of a request that changes something, once it may have left this process. A member's
/// own words (they begin with "etcdserver:") decide; where there are none the connection broke or
/// the time was up, and nobody knows.
absl::Status after_sending_a_change(const absl::Status& status);

}  // namespace holdfast::member
