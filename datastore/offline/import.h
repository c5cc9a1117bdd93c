#pragma once

#include <string>

#include "absl/status/status.h"
#include "datastore/ports/disk.h"
#include "datastore/ports/random.h"
#include "datastore/telemetry/log.h"

namespace holdfast::offline {

struct ImportRequest {
  /// Of an etcd 3.6 or 3.7 that does not run; only read.
  std::string etcd_data_dir;
  std::string etcd_wal_dir;  // empty: inside etcd_data_dir
  std::string data_dir;
  std::string wal_dir;  // empty: inside data_dir
};

/// Makes a holdfast member's data directory out of an etcd member's: the same member of the same
/// cluster, with every entry that it had acknowledged. Its store is taken over as of its last
/// commit, its log from there on; the entries between are applied when holdfast starts.
/// Put together beside `data_dir` and renamed at the end.
/// Errors: FailedPrecondition while an etcd runs on it; DataLoss for damage, or a log and a store
/// that are not of one moment; InvalidArgument for entries of an older etcd; AlreadyExists; the
/// disk's.
absl::Status import_etcd(ports::Disk& disk, ports::Random& random, const ImportRequest& request,
                         telemetry::Logger& log);

}  // namespace holdfast::offline
