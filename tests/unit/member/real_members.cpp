#include "tests/unit/member/real_members.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

extern char** environ;

namespace holdfast::member {

namespace {

std::string holdfast_binary() {
  const char* named = std::getenv("HOLDFAST_BIN");
  const std::string path = named != nullptr ? named : HOLDFAST_BUILT;
  if (!std::filesystem::exists(path)) {
    std::cerr << "there is no " << path << ": build the target holdfast, or set HOLDFAST_BIN\n";
    std::exit(1);
  }
  return path;
}

std::string url(const char* scheme, std::uint16_t port) {
  return absl::StrCat(scheme, "://127.0.0.1:", port);
}

bool can_listen(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int reuse = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return bound;
}

}  // namespace

std::uint16_t free_port() {
  // Below the range from which the system gives ports to outgoing connections: one of those could
  // take a port while the member that it is meant for does not listen.
  static std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<std::uint16_t> ports(12000, 29999);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::uint16_t port = ports(random);
    if (can_listen(port)) return port;
  }
  ADD_FAILURE() << "no free port";
  return 0;
}

RealMember::RealMember(std::string name, const std::optional<RealTls>& tls)
    : name_(std::move(name)),
      tls_(tls),
      client_port_(free_port()),
      peer_port_(free_port()),
      metrics_port_(free_port()) {
}

RealMember::~RealMember() {
  if (process_ == 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

void RealMember::start(const std::string& initial_cluster, bool joins) {
  const char* scheme = tls_ ? "https" : "http";
  std::vector<std::string> arguments = {
      holdfast_binary(),
      absl::StrCat("--name=", name_),
      absl::StrCat("--data-dir=", files_.path("data")),
      absl::StrCat("--listen-client-urls=", url(scheme, client_port_)),
      absl::StrCat("--advertise-client-urls=", url(scheme, client_port_)),
      absl::StrCat("--listen-peer-urls=", peer_url()),
      absl::StrCat("--initial-advertise-peer-urls=", peer_url()),
      absl::StrCat("--listen-metrics-urls=", url("http", metrics_port_)),
      absl::StrCat("--initial-cluster=", initial_cluster),
      absl::StrCat("--initial-cluster-state=", joins ? "existing" : "new"),
      "--heartbeat-interval=50",
      "--election-timeout=500",
  };
  if (tls_) {
    files_.write("server", tls_->server);
    const std::string ca = files_.write("ca.crt", tls_->ca_pem);
    arguments.push_back(absl::StrCat("--cert-file=", files_.path("server.crt")));
    arguments.push_back(absl::StrCat("--key-file=", files_.path("server.key")));
    arguments.push_back(absl::StrCat("--trusted-ca-file=", ca));
    arguments.push_back("--client-cert-auth");
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string log = files_.path("log");
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ASSERT_EQ(posix_spawn(&process_, argv[0], &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
}

void RealMember::freeze() {
  ::kill(process_, SIGSTOP);
  // The signal is not the stop: its threads go on until each has taken notice.
  int state = 0;
  ::waitpid(process_, &state, WUNTRACED);
}

std::string RealMember::peer_url() const {
  return url("http", peer_port_);
}

std::string RealMember::named_peer_url() const {
  return absl::StrCat(name_, "=", peer_url());
}

Endpoint RealMember::endpoint() const {
  Endpoint endpoint;
  endpoint.name = name_;
  endpoint.address = "127.0.0.1";
  endpoint.port = client_port_;
  endpoint.metrics_port = metrics_port_;
  if (tls_) {
    endpoint.server_name = "member.test";
    endpoint.tls = TlsMaterial{tls_->ca_pem, tls_->client.certificate_pem, tls_->client.key_pem};
  }
  return endpoint;
}

Client RealMember::client(Timeouts timeouts) const {
  return Client(endpoint(), timeouts);
}

}  // namespace holdfast::member
