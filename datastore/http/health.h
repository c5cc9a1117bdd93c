#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/http/query.h"
#include "datastore/http/reply.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::http {

/// What the health pages ask of the member. Any thread; must not block.
class HealthSource {
 public:
  virtual ~HealthSource() = default;
  /// Names of the alarms now raised, by any member: NOSPACE, CORRUPT.
  virtual std::vector<std::string> alarms() = 0;
  virtual bool has_leader() = 0;
  virtual bool is_learner() = 0;
  /// Reads as a client would: from this member's store if serializable, else with the cluster's
  /// agreement. `done` runs once, on any thread, within the member's request timeout.
  virtual void read(bool serializable, absl::AnyInvocable<void(absl::Status)> done) = 0;
};

/// /health, /livez and /readyz, with etcd's answers.
///
///   GET /health[?serializable=true][&exclude=NOSPACE]   {"health":"true","reason":""}, or 503
///   GET /livez[?verbose][&exclude=check]                 ok, or 503 and the checks' outcomes
///   GET /readyz, /livez/<check>, /readyz/<check>         the same
///
/// Failures are logged, at most kLinesPerSecond; every outcome is counted. Any thread.
class HealthPages {
 public:
  static constexpr std::uint32_t kLinesPerSecond = 5;

  /// All outlive it, and every answer still outstanding.
  HealthPages(HealthSource& source, telemetry::Metrics& metrics, telemetry::Logger& log);

  /// Answers if `path` is one of ours; false, with `done` untouched, if not.
  bool serve(std::string_view method, std::string_view path, const Query& query, ReplyDone& done);

 private:
  struct Check;
  struct Page;
  class CheckRun;
  static const std::vector<Page>& pages();

  void serve_health(const Query& query, ReplyDone done);
  void finish_health(std::string_view reason, ReplyDone done);
  void run_checks(std::string_view page, std::string_view path, std::vector<const Check*> checks,
                  bool verbose, ReplyDone done);
  bool serve_page(const Page& page, std::string_view path, const Query& query, ReplyDone& done);
  void finish_checks(std::string_view path, bool succeeded, const std::string& outcomes,
                     bool verbose, ReplyDone done);

  HealthSource& source_;
  telemetry::Metrics& metrics_;
  telemetry::Logger& log_;
  telemetry::LogLimiter limiter_{kLinesPerSecond};
};

}  // namespace holdfast::http
