#include "datastore/node/log_upkeep.h"

namespace holdfast::node {

void tend_log(wal::Wal& log, const absl::Status& committed, Index trim_below,
              absl::FunctionRef<void(const char* what, const absl::Status& why)> failed) {
  const auto report = [failed](const char* what, const absl::Status& status) {
    if (!status.ok()) failed(what, status);
  };
  if (absl::IsResourceExhausted(committed)) {
    report("giving back the next log segment", log.release_next_segment());
  }
  if (committed.ok() && log.wants_next_segment()) {
    report("preparing the next log segment", log.prepare_next_segment());
  }
  report("trimming the log", log.trim_before(trim_below).status());
}

}  // namespace holdfast::node
