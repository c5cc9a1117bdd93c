#include "tests/unit/net/client_loop.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

constexpr int kPatienceMs = 20'000;

std::string receive_head(int fd) {
  std::string head;
  char byte;
  while (!head.ends_with("\r\n\r\n") && ::recv(fd, &byte, 1, 0) == 1) head += byte;
  return head;
}

}  // namespace

ClientLoop::ClientLoop(const std::string& url, Http1ClientOptions options,
                       std::shared_ptr<const TransportFactory> tls)
    : dialer(std::make_shared<Dialer>(resolver, std::move(tls))) {
  const absl::StatusOr<DialAddress> address = DialAddress::parse(url);
  EXPECT_TRUE(address.ok()) << address.status();
  client.emplace(loop, dialer, *address, options);
}

ClientLoop::ClientLoop(int port, Http1ClientOptions options)
    : ClientLoop(concat("http://127.0.0.1:", port), options) {
}

bool ClientLoop::run_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    loop.run_turn(std::chrono::milliseconds(1));
  }
  return true;
}

absl::StatusOr<Http1Response> ClientLoop::fetch(Http1Request request, const Http1Limits& limits) {
  std::optional<absl::StatusOr<Http1Response>> answer;
  client->fetch(std::move(request), limits,
                [&](absl::StatusOr<Http1Response> told) { answer = std::move(told); });
  EXPECT_FALSE(answer.has_value()) << "told from within";
  if (!run_until([&] { return answer.has_value(); })) return absl::AbortedError("the test waits");
  return *std::move(answer);
}

ScriptedServer::ScriptedServer(int connections,
                               std::function<void(int fd, const std::string& head)> script) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(fd_, 16), 0);
  EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, connections, script = std::move(script)] {
    for (int i = 0; i < connections; ++i) {
      const int accepted = ::accept(fd_, nullptr, nullptr);
      if (accepted < 0) return;
      const std::string head = receive_head(accepted);
      if (!head.empty()) script(accepted, head);
      ::close(accepted);
    }
  });
}

ScriptedServer::ScriptedServer(std::string answer)
    : ScriptedServer(
          1, [answer = std::move(answer)](int fd, const std::string&) { send_all(fd, answer); }) {
}

ScriptedServer::~ScriptedServer() {
  ::shutdown(fd_, SHUT_RDWR);  // an accept() under way ends
  thread_.join();
  ::close(fd_);
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void wait_for_close(int fd) {
  pollfd wanted{fd, POLLRDHUP, 0};
  ::poll(&wanted, 1, kPatienceMs);
}

void reset_at_close(int fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace holdfast::net
