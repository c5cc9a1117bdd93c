#include "datastore/base/thread_share.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace holdfast {
namespace {

constexpr int kNice = 10;
/// What a thread that is woken asks for at a time; the least that Linux gives.
constexpr std::uint64_t kShortSliceNanoseconds = 100'000;

/// struct sched_attr of sched_setattr(2), for which glibc has no name yet.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;  // SCHED_OTHER
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // of SCHED_OTHER: the slice
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

id_t this_thread() {
  return static_cast<id_t>(::syscall(SYS_gettid));  // Linux knows a niceness of threads
}

}  // namespace

void run_behind_others() {
  (void)::setpriority(PRIO_PROCESS, this_thread(), kNice);
}

void run_when_woken() {
  // Whoever started the process with another policy (chrt) keeps it.
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  SchedulingAttributes attributes;
  attributes.nice = ::getpriority(PRIO_PROCESS, this_thread());
  attributes.runtime = kShortSliceNanoseconds;
  (void)::syscall(SYS_sched_setattr, 0, &attributes, 0U);
}

}  // namespace holdfast
