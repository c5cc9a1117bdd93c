#include "datastore/platform/os_random.h"

#include <sys/random.h>

#include "datastore/base/check.h"
#include "datastore/platform/descriptor.h"

namespace holdfast::platform {

std::uint64_t OsRandom::next() {
  std::uint64_t number = 0;
  // Requests of up to 256 bytes are never short once the kernel's pool is ready, and it waits until
  // then.
  const ssize_t got = retry_interrupted([&] { return ::getrandom(&number, sizeof number, 0); });
  HOLDFAST_CHECK(got == static_cast<ssize_t>(sizeof number));
  return number;
}

}  // namespace holdfast::platform
