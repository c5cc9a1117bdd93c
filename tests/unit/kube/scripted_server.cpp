#include "tests/unit/kube/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "datastore/base/check.h"
#include "gtest/gtest.h"

namespace holdfast::kube {
namespace {

constexpr std::chrono::seconds kPatience{60};

std::size_t length_of(const std::string& head) {
  const std::size_t at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + 16, nullptr, 10);
}

/// Reads one request; false at the end of the connection.
bool read_request(int socket, std::string& buffer, ScriptedServer::Heard& heard) {
  std::array<char, 4096> piece;
  const auto more = [&] {
    const ssize_t got = ::recv(socket, piece.data(), piece.size(), 0);
    if (got > 0) {
      buffer.append(piece.data(), static_cast<std::size_t>(got));
    }
    return got > 0;
  };
  std::size_t end = std::string::npos;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) {
      return false;
    }
  }
  heard.head = buffer.substr(0, end + 2);
  buffer.erase(0, end + 4);
  const std::size_t length = length_of(heard.head);
  while (buffer.size() < length) {
    if (!more()) {
      return false;
    }
  }
  heard.body = buffer.substr(0, length);
  buffer.erase(0, length);
  const std::size_t space = heard.head.find(' ');
  heard.method = heard.head.substr(0, space);
  heard.target = heard.head.substr(space + 1, heard.head.find(' ', space + 1) - space - 1);
  return true;
}

}  // namespace

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  closing_.store(true);
  ::shutdown(listener_, SHUT_RDWR);
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) {
      ::shutdown(socket, SHUT_RDWR);
    }
    changed_.notify_all();
  }
  acceptor_.join();
  for (std::thread& server : servers_) {
    server.join();
  }
  for (const int socket : sockets_) {
    ::close(socket);
  }
  ::close(listener_);
}

void ScriptedServer::accept_all() {
  while (!closing()) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) {
      continue;
    }
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    if (closing()) {
      ::shutdown(socket, SHUT_RDWR);
    }
    servers_.emplace_back([this, socket] { serve(socket); });
  }
}

void ScriptedServer::serve(int socket) {
  std::string buffer;
  const Send send = [socket](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return;
      }
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  };
  Heard heard;
  while (read_request(socket, buffer, heard)) {
    int number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = static_cast<int>(heard_.size());
      heard_.push_back(heard);
      changed_.notify_all();
    }
    if (!script_(number, heard, send)) {
      break;
    }
  }
  ::shutdown(socket, SHUT_RDWR);
}

std::vector<ScriptedServer::Heard> ScriptedServer::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

bool ScriptedServer::wait_for(std::size_t requests) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return heard_.size() >= requests; });
}

void ScriptedServer::hold() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closing(); });
}

std::string answer(int status, std::string_view body, std::string_view headers) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
         std::string(headers) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

std::string status_body(int code, std::string_view reason, std::string_view message) {
  return to_text(Json{{"kind", "Status"},
                      {"apiVersion", "v1"},
                      {"status", "Failure"},
                      {"message", message},
                      {"reason", reason},
                      {"code", code}});
}

std::string chunked_head() {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
}

std::string chunk(std::string_view bytes) {
  std::array<char, 24> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
  return size.data() + std::string(bytes) + "\r\n";
}

std::unique_ptr<RestClient> ClientFixture::connect(
    int port, const std::function<void(Config&, RestClientOptions&)>& adjust) {
  Config config;
  config.tls = false;
  config.host = "127.0.0.1";
  config.port = static_cast<std::uint16_t>(port);
  RestClientOptions options;
  options.requests_per_second = 10'000;
  options.burst = 10'000;
  options.first_backoff = std::chrono::milliseconds(1);
  options.last_backoff = std::chrono::milliseconds(4);
  if (adjust) {
    adjust(config, options);
  }
  auto client = RestClient::open(std::move(config), std::move(options), *log, metrics);
  EXPECT_TRUE(client.ok()) << client.status();
  return client.ok() ? *std::move(client) : nullptr;
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace holdfast::kube
