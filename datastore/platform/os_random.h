#pragma once

#include "datastore/ports/random.h"

namespace holdfast::platform {

/// The kernel's random numbers, fit for secrets and identities. Any thread; a system call each, so
/// not for hot paths.
class OsRandom final : public ports::Random {
 public:
  std::uint64_t next() override;
};

}  // namespace holdfast::platform
