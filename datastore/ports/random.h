#pragma once

#include <cstdint>

namespace holdfast::ports {

/// Dice, as the composition root picks them: the operating system's, or a seed's.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

}  // namespace holdfast::ports
