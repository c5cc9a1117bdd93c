#include "datastore/config/version.h"

namespace holdfast::config {

std::string_view release() {
  return HOLDFAST_RELEASE;
}

std::string_view etcd_version() {
  return HOLDFAST_ETCD_VERSION;
}

}  // namespace holdfast::config
