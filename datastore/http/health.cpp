#include "datastore/http/health.h"

#include <algorithm>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace holdfast::http {
namespace {

using StatusDone = absl::AnyInvocable<void(absl::Status)>;

std::string text_of(const absl::Status& status) {
  return std::string(status.message());
}

void check_corruption(HealthSource& source, StatusDone done) {
  const std::vector<std::string> alarms = source.alarms();
  const bool corrupt = std::ranges::find(alarms, "CORRUPT") != alarms.end();
  done(corrupt ? absl::DataLossError("alarm activated: CORRUPT") : absl::OkStatus());
}

void check_serializable(HealthSource& source, StatusDone done) {
  source.read(/*serializable=*/true, std::move(done));
}

void check_linearizable(HealthSource& source, StatusDone done) {
  source.read(/*serializable=*/false, std::move(done));
}

void check_non_learner(HealthSource& source, StatusDone done) {
  done(source.is_learner() ? absl::FailedPreconditionError("not supported for learner")
                           : absl::OkStatus());
}

}  // namespace

struct HealthPages::Check {
  std::string_view name;
  void (*run)(HealthSource&, StatusDone);
};

struct HealthPages::Page {
  std::string_view name;  // the path without its slash
  std::vector<Check> checks;
};

const std::vector<HealthPages::Page>& HealthPages::pages() {
  static const std::vector<Page> kPages = {
      {"livez", {{"serializable_read", check_serializable}}},
      {"readyz",
       {{"data_corruption", check_corruption},
        {"serializable_read", check_serializable},
        {"linearizable_read", check_linearizable},
        {"non_learner", check_non_learner}}},
  };
  return kPages;
}

/// Runs checks one after the other, each when the one before has answered; keeps itself alive.
class HealthPages::CheckRun : public std::enable_shared_from_this<HealthPages::CheckRun> {
 public:
  CheckRun(HealthPages& pages, std::string_view page, std::string_view path,
           std::vector<const Check*> checks, bool verbose, ReplyDone done)
      : pages_(pages),
        page_(page),
        path_(path),
        checks_(std::move(checks)),
        verbose_(verbose),
        done_(std::move(done)) {}

  void step() {
    if (next_ == checks_.size()) {
      pages_.finish_checks(path_, succeeded_, outcomes_, verbose_, std::move(done_));
      return;
    }
    const Check& check = *checks_[next_++];
    check.run(pages_.source_, [self = shared_from_this(), &check](absl::Status status) {
      self->note(check.name, status);
      self->step();
    });
  }

 private:
  void note(std::string_view check, const absl::Status& status) {
    succeeded_ = succeeded_ && status.ok();
    outcomes_ += status.ok() ? fmt::format("[+]{} ok\n", check)
                             : fmt::format("[-]{} failed: {}\n", check, text_of(status));
    pages_.metrics_.record_health_check(page_, check, status.ok());
  }

  HealthPages& pages_;
  const std::string page_;
  const std::string path_;
  const std::vector<const Check*> checks_;
  const bool verbose_;
  ReplyDone done_;
  std::size_t next_ = 0;
  bool succeeded_ = true;
  std::string outcomes_;
};

HealthPages::HealthPages(HealthSource& source, telemetry::Metrics& metrics, telemetry::Logger& log)
    : source_(source), metrics_(metrics), log_(log) {
}

bool HealthPages::serve(std::string_view method, std::string_view path, const Query& query,
                        ReplyDone& done) {
  if (path == "/health") {
    if (method != "GET") {
      done(only_get());
    } else {
      serve_health(query, std::move(done));
    }
    return true;
  }
  for (const Page& page : pages()) {
    const std::string_view rest = path.substr(std::min<std::size_t>(path.size(), 1));
    const bool ours = rest == page.name || (rest.starts_with(page.name) &&
                                            rest.substr(page.name.size()).starts_with('/'));
    if (!ours) {
      continue;
    }
    if (method != "GET") {
      done(only_get());
      return true;
    }
    return serve_page(page, path, query, done);
  }
  return false;
}

bool HealthPages::serve_page(const Page& page, std::string_view path, const Query& query,
                             ReplyDone& done) {
  const std::string_view single =
      path.size() > page.name.size() + 1 ? path.substr(page.name.size() + 2) : std::string_view();
  const bool whole_page = path.size() == page.name.size() + 1;
  const std::vector<std::string_view> excluded = query.all("exclude");
  std::vector<const Check*> checks;
  for (const Check& check : page.checks) {
    const bool wanted = whole_page ? std::ranges::find(excluded, check.name) == excluded.end()
                                   : check.name == single;
    if (wanted) {
      checks.push_back(&check);
    }
  }
  if (checks.empty() && !whole_page) {
    return false;
  }
  run_checks(page.name, path, std::move(checks), query.has("verbose"), std::move(done));
  return true;
}

void HealthPages::run_checks(std::string_view page, std::string_view path,
                             std::vector<const Check*> checks, bool verbose, ReplyDone done) {
  std::make_shared<CheckRun>(*this, page, path, std::move(checks), verbose, std::move(done))
      ->step();
}

void HealthPages::finish_checks(std::string_view path, bool succeeded, const std::string& outcomes,
                                bool verbose, ReplyDone done) {
  if (!succeeded) {
    log_.warn(limiter_, "Health check error",
              {{"path", path}, {"reason", outcomes}, {"status-code", 503}});
    done(text_error(503, outcomes));
    return;
  }
  log_.debug("Health check OK", {{"path", path}, {"reason", outcomes}, {"status-code", 200}});
  done({200,
        {{"content-type", std::string(kPlainText)}, {"x-content-type-options", "nosniff"}},
        (verbose ? outcomes : "") + "ok\n"});
}

void HealthPages::serve_health(const Query& query, ReplyDone done) {
  const std::vector<std::string_view> excluded = query.all("exclude");
  for (const std::string& alarm : source_.alarms()) {
    if (std::ranges::find(excluded, alarm) == excluded.end()) {
      finish_health("ALARM " + alarm, std::move(done));
      return;
    }
  }
  const bool serializable = query.first("serializable") == "true";
  if (!serializable && !source_.has_leader()) {
    finish_health("RAFT NO LEADER", std::move(done));
    return;
  }
  source_.read(serializable, [this, done = std::move(done)](absl::Status status) mutable {
    finish_health(status.ok() ? "" : "RANGE ERROR:" + text_of(status), std::move(done));
  });
}

void HealthPages::finish_health(std::string_view reason, ReplyDone done) {
  const bool healthy = reason.empty();
  (healthy ? metrics_.server_health_success : metrics_.server_health_failures).add();
  const std::string body =
      fmt::format(R"({{"health":"{}","reason":{}}})", healthy, nlohmann::json(reason).dump());
  if (healthy) {
    done({200, {{"content-type", std::string(kPlainText)}}, body});
    return;
  }
  log_.warn(limiter_, "/health error", {{"output", body}, {"status-code", 503}});
  done(text_error(503, body));
}

}  // namespace holdfast::http
