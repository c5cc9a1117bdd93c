#include "operator/member/page.h"

#include <httplib.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace holdfast::member {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// The value of `label` in one sample's line; label values here hold no quotes.
std::optional<std::string> label_of(absl::string_view line, absl::string_view label) {
  const std::string key = absl::StrCat(label, "=\"");
  const std::size_t begin = line.find(key);
  if (begin == absl::string_view::npos) return std::nullopt;
  const std::size_t value = begin + key.size();
  const std::size_t end = line.find('"', value);
  if (end == absl::string_view::npos) return std::nullopt;
  return std::string(line.substr(value, end - value));
}

std::optional<double> value_of(absl::string_view line) {
  const std::size_t space = line.rfind(' ');
  double value = 0;
  if (space == absl::string_view::npos || !absl::SimpleAtod(line.substr(space + 1), &value)) {
    return std::nullopt;
  }
  return value;
}

void take_bucket(absl::string_view line, Buckets& buckets) {
  const auto bound = label_of(line, "le");
  const std::optional<double> count = value_of(line);
  double seconds = 0;
  if (bound && count && absl::SimpleAtod(*bound, &seconds)) buckets[seconds] = *count;
}

/// Of etcd's own metrics, which holdfast has by the same names.
void take_etcd_line(absl::string_view line, MetricsPage& page) {
  if (absl::StartsWith(line, "etcd_disk_wal_fsync_duration_seconds_bucket{")) {
    take_bucket(line, page.wal_fsync);
  } else if (absl::StartsWith(line, "etcd_disk_backend_commit_duration_seconds_bucket{")) {
    take_bucket(line, page.backend_commit);
  } else if (absl::StartsWith(line, "etcd_server_leader_changes_seen_total ")) {
    const std::optional<double> count = value_of(line);
    if (count && *count >= 0) page.leader_changes = static_cast<std::uint64_t>(*count);
  }
}

void take_line(absl::string_view line, MetricsPage& page) {
  if (absl::StartsWith(line, "holdfast_build_info{")) {
    page.release = label_of(line, "release").value_or("");
  } else if (absl::StartsWith(line, "holdfast_encryption_key_info{")) {
    page.wrapping_key = label_of(line, "wrapping_key").value_or("");
  } else if (absl::StartsWith(line, "holdfast_tls_trusted_bundle_info{")) {
    const auto endpoint = label_of(line, "endpoint");
    const auto digest = label_of(line, "sha256");
    if (endpoint && digest) page.trusted_bundle_sha256[*endpoint] = *digest;
  } else if (absl::StartsWith(line, "holdfast_tls_certificate_not_after_seconds{")) {
    const auto flag = label_of(line, "certificate");
    const auto serial = label_of(line, "serial");
    if (flag && serial) page.certificate_serials[*flag].insert(*serial);
    const std::optional<double> end = value_of(line);
    if (!end) return;
    const auto seconds = static_cast<std::int64_t>(*end);
    auto& earliest = page.certificate_not_after_seconds;
    earliest = earliest ? std::min(*earliest, seconds) : seconds;
  }
}

}  // namespace

std::optional<double> quantile(double q, const Buckets& now, const Buckets& before) {
  if (now.empty()) return std::nullopt;
  const bool began_anew = before.empty() || before.rbegin()->second > now.rbegin()->second;
  const auto since = [&](double bound, double count) {
    const auto then = before.find(bound);
    return began_anew || then == before.end() ? count : count - then->second;
  };
  const double total = since(now.rbegin()->first, now.rbegin()->second);
  if (total <= 0) return std::nullopt;
  double lower = 0;
  double below = 0;
  for (const auto& [bound, count] : now) {
    const double at_most = since(bound, count);
    if (at_most >= q * total) {
      // Past the last bound all that is known is that it was exceeded.
      if (std::isinf(bound) || at_most <= below) return lower;
      return lower + (bound - lower) * (q * total - below) / (at_most - below);
    }
    lower = bound;
    below = at_most;
  }
  return lower;
}

MetricsPage parse_metrics_page(std::string_view text) {
  MetricsPage page;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    if (absl::StartsWith(line, "holdfast_")) take_line(line, page);
    if (absl::StartsWith(line, "etcd_")) take_etcd_line(line, page);
  }
  return page;
}

absl::StatusOr<MetricsPage> fetch_metrics_page(const Endpoint& endpoint, milliseconds timeout) {
  const steady_clock::time_point deadline = steady_clock::now() + timeout;
  httplib::Client client(endpoint.address, endpoint.metrics_port);
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  client.set_write_timeout(timeout);
  std::string body;
  bool too_long = false;
  bool too_late = false;
  int code = 0;
  const auto result = client.Get(
      "/metrics", httplib::Headers{{"Connection", "close"}},
      [&](const httplib::Response& response) {
        code = response.status;
        return code == 200;
      },
      [&](const char* data, std::size_t size) {
        too_long = body.size() + size > kMaxPageBytes;
        too_late = steady_clock::now() > deadline;
        if (too_long || too_late) return false;
        body.append(data, size);
        return true;
      });
  const std::string where = absl::StrCat("the metrics page of ", endpoint.name, " at ",
                                         endpoint.address, " port ", endpoint.metrics_port);
  if (too_long) {
    return absl::OutOfRangeError(absl::StrCat(where, " is over ", kMaxPageBytes, " bytes"));
  }
  if (too_late) return absl::DeadlineExceededError(absl::StrCat(where, " came too slowly"));
  if (code != 0 && code != 200) {
    return absl::UnavailableError(absl::StrCat(where, " answers with status ", code));
  }
  if (!result) {
    return absl::UnavailableError(
        absl::StrCat(where, " does not answer: ", httplib::to_string(result.error())));
  }
  return parse_metrics_page(body);
}

}  // namespace holdfast::member
