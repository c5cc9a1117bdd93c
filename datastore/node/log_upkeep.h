#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/wal/wal.h"

namespace holdfast::node {

/// What the log's files need after each commit of the engine: the next segment ahead of time, and
/// the removal of whole segments that hold nothing at or above `trim_below`. A log can be trimmed
/// once the engine holds what is in it, so on a full disk the engine's need of space goes first:
/// the segment made ahead is given back.
/// `committed`: what came of the commit. `failed`: told what went wrong; nothing is harmed, and the
/// next call tries again. On the thread that wal::Wal calls the other one.
void tend_log(wal::Wal& log, const absl::Status& committed, Index trim_below,
              absl::FunctionRef<void(const char* what, const absl::Status& why)> failed);

}  // namespace holdfast::node
