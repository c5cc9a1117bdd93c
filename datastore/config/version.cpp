#include "datastore/config/version.h"

namespace holdfast::config {

std::string_view release() {
  return HOLDFAST_RELEASE;
}

}  // namespace holdfast::config
