#pragma once

#include "datastore/telemetry/metric.h"

namespace holdfast::telemetry {

/// Adds process_* and os_fd_*: CPU, memory, descriptors, start time and network bytes of this
/// process, read from /proc at each scrape, so that they cost nothing between scrapes. A value
/// that /proc does not give reads 0.
void add_process_metrics(MetricRegistry& registry);

}  // namespace holdfast::telemetry
