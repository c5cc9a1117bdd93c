#include "datastore/platform/memory_lock.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace holdfast::platform {

namespace {

constexpr char kAdvice[] =
    "raise the limit (ulimit -l unlimited; in a systemd unit LimitMEMLOCK=infinity), or remove "
    "--memory-mlock";

/// A finite limit would let the process start and fail it at a later mapping.
bool limit_is_finite() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
  }
  return limit.rlim_cur != RLIM_INFINITY && ::geteuid() != 0;
}

}  // namespace

absl::Status lock_memory() {
  if (limit_is_finite()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--memory-mlock needs an unlimited memlock limit; ", kAdvice));
  }
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("locking memory (--memory-mlock): ", std::generic_category().message(errno),
                     "; ", kAdvice));
  }
  return absl::OkStatus();
}

}  // namespace holdfast::platform
