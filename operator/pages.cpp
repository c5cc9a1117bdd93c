#include "operator/pages.h"

#include <httplib.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast {

namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kMaxRequestBytes = 16 * 1024;
constexpr int kSeconds = 5;

void answer(const absl::Status& status, httplib::Response& response) {
  response.status = status.ok() ? 200 : 503;
  const std::string text = status.ok() ? "ok" : std::string(status.message());
  response.set_content(absl::StrCat(text, "\n"), "text/plain; charset=utf-8");
}

}  // namespace

struct Pages::Server {
  httplib::Server http;
};

Pages::Pages(Sources sources) : server_(std::make_unique<Server>()) {
  httplib::Server& http = server_->http;
  http.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  http.set_payload_max_length(kMaxRequestBytes);
  http.set_read_timeout(kSeconds, 0);
  http.set_write_timeout(kSeconds, 0);
  http.set_keep_alive_max_count(100);
  http.set_keep_alive_timeout(kSeconds);
  http.Get("/healthz", [health = std::move(sources.health)](const auto&, auto& response) {
    answer(health(), response);
  });
  http.Get("/readyz", [ready = std::move(sources.readiness)](const auto&, auto& response) {
    answer(ready(), response);
  });
  http.Get("/metrics", [metrics = std::move(sources.metrics)](const auto&, auto& response) {
    response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
}

Pages::~Pages() {
  stop();
}

absl::Status Pages::start(const std::string& host, int port) {
  // IPv4 only machines have no "::".
  const bool bound = server_->http.bind_to_port(host, port) ||
                     (host == "::" && server_->http.bind_to_port("0.0.0.0", port));
  if (!bound) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", host, " port ", port, "; see --listen"));
  }
  thread_ = std::thread([this] { server_->http.listen_after_bind(); });
  return absl::OkStatus();
}

void Pages::stop() {
  if (!thread_.joinable()) return;
  server_->http.stop();
  thread_.join();
}

}  // namespace holdfast
