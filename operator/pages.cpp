#include "operator/pages.h"

#include <httplib.h>

#include <chrono>
#include <iostream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast {

namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kMaxRequestBytes = 16 * 1024;
constexpr int kSeconds = 5;
constexpr std::chrono::seconds kProbePatience{30};
constexpr std::chrono::seconds kProbeInterval{1};

void answer(const absl::Status& status, httplib::Response& response) {
  response.status = status.ok() ? 200 : 503;
  const std::string text = status.ok() ? "ok" : std::string(status.message());
  response.set_content(absl::StrCat(text, "\n"), "text/plain; charset=utf-8");
}

/// What the page at `path` of `server` says, and whether with 200.
std::pair<bool, std::string> ask(const std::string& server, const std::string& path) {
  httplib::Client client(server);
  client.set_connection_timeout(kSeconds, 0);
  client.set_read_timeout(kSeconds, 0);
  const httplib::Result answer = client.Get(path);
  if (!answer) return {false, httplib::to_string(answer.error()) + "\n"};
  return {answer->status == 200, absl::StrCat(answer->status, " ", answer->body)};
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

int probe(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t slash = url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  if (!url.starts_with("http://") || slash == std::string::npos) {
    std::cerr << "--probe takes a URL such as http://127.0.0.1:8080/readyz; not " << url << "\n";
    return 2;
  }
  const auto deadline = std::chrono::steady_clock::now() + kProbePatience;
  while (true) {
    const auto [well, said] = ask(url.substr(0, slash), url.substr(slash));
    if (well || std::chrono::steady_clock::now() + kProbeInterval > deadline) {
      std::cout << url << ": " << said;
      return well ? 0 : 1;
    }
    std::this_thread::sleep_for(kProbeInterval);
  }
}

}  // namespace holdfast
