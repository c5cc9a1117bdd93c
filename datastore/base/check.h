#pragma once

namespace holdfast::internal {
/// Prints one line to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* fact);
}  // namespace holdfast::internal

/// Stays on in release. One fact each, about our own bugs only: never about what a user, a peer or
/// a disk can send.
#define HOLDFAST_CHECK(fact)                                         \
  do {                                                               \
    if (__builtin_expect(!(fact), 0)) {                              \
      ::holdfast::internal::check_failed(__FILE__, __LINE__, #fact); \
    }                                                                \
  } while (false)
