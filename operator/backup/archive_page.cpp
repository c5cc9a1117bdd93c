#include "operator/backup/archive_page.h"

#include <httplib.h>

#include <utility>

#include "operator/api/text.h"

namespace holdfast::backup {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kMaxRequestBytes = 16 * 1024;
constexpr int kServeSeconds = 5;
constexpr int kAskSeconds = 2;

}  // namespace

struct ArchivePage::Server {
  httplib::Server http;
};

ArchivePage::ArchivePage(std::function<ArchiveHead()> head) : server_(std::make_unique<Server>()) {
  httplib::Server& http = server_->http;
  http.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  http.set_payload_max_length(kMaxRequestBytes);
  http.set_read_timeout(kServeSeconds, 0);
  http.set_write_timeout(kServeSeconds, 0);
  http.set_keep_alive_max_count(1);
  http.Get("/status", [head = std::move(head)](const auto&, auto& response) {
    response.set_content(write_head(head()), "application/json");
  });
}

ArchivePage::~ArchivePage() {
  if (!thread_.joinable()) return;
  server_->http.stop();
  thread_.join();
}

absl::Status ArchivePage::start(int port) {
  // IPv4 only machines have no "::".
  if (!server_->http.bind_to_port("::", port) && !server_->http.bind_to_port("0.0.0.0", port)) {
    return absl::UnavailableError(api::str_cat("cannot listen on port ", port));
  }
  thread_ = std::thread([this] { server_->http.listen_after_bind(); });
  return absl::OkStatus();
}

absl::StatusOr<ArchiveHead> ask_archiver(const std::string& address, int port) {
  httplib::Client client(address, port);
  client.set_connection_timeout(kAskSeconds, 0);
  client.set_read_timeout(kAskSeconds, 0);
  client.set_write_timeout(kAskSeconds, 0);
  std::string body;
  const auto result = client.Get("/status", httplib::Headers{{"Connection", "close"}},
                                 [&](const char* data, std::size_t size) {
                                   if (body.size() + size > kMaxHeadBytes) return false;
                                   body.append(data, size);
                                   return true;
                                 });
  if (!result) {
    return absl::UnavailableError(api::str_cat(
        "the archiver at ", address, " does not answer: ", httplib::to_string(result.error())));
  }
  if (result->status != 200) {
    return absl::UnavailableError(
        api::str_cat("the archiver at ", address, " answers with status ", result->status));
  }
  return read_head(body);
}

}  // namespace holdfast::backup
