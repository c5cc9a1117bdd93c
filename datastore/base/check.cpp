#include "datastore/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace holdfast::internal {

void check_failed(const char* file, int line, const char* fact) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, fact);
  std::abort();
}

}  // namespace holdfast::internal
