#include "datastore/net/listener.h"
#include "datastore/net/text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"

namespace holdfast::net {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 64;

bool consume_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool consume_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

absl::Status system_error(std::string_view what, std::string_view url) {
  const int error = errno;
  const std::string text = concat(what, " ", url, ": ", std::strerror(error));
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

std::string peer_name(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return concat(text, ":", ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
      return concat(text, ":", ntohs(v6.sin6_port));
    }
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return concat("[", text, "]:", ntohs(v6.sin6_port));
  }
  return "@";
}

int bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  }
  return 0;
}

/// A descriptor that closes unless released.
struct OwnedFd {
  explicit OwnedFd(int descriptor) : fd(descriptor) {}
  ~OwnedFd() {
    if (fd >= 0) ::close(fd);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int release() { return std::exchange(fd, -1); }
  int fd;
};

absl::StatusOr<int> bind_and_listen(const sockaddr* address, socklen_t size, int family,
                                    std::string_view url, bool reuse_port) {
  OwnedFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd < 0) return system_error("can't make a socket for", url);
  const int on = 1;
  const int off = 0;
  ::setsockopt(socket.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (reuse_port) ::setsockopt(socket.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(socket.fd, address, size) != 0) return system_error("can't listen on", url);
  if (::listen(socket.fd, kBacklog) != 0) return system_error("can't listen on", url);
  return socket.release();
}

absl::StatusOr<int> listen_tcp(const ListenAddress& address, std::string_view url,
                               bool reuse_port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  // Every interface: one dual-stack socket, if the machine has IPv6 at all.
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  const int error = ::getaddrinfo(host, address.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(concat("can't listen on ", url, ": ", ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  const int preferred = host == nullptr ? AF_INET6 : AF_INET;
  absl::Status last = absl::UnavailableError(concat("no address for ", url));
  for (const bool first_choice : {true, false}) {
    for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
      if ((info->ai_family == preferred) != first_choice) continue;
      absl::StatusOr<int> fd =
          bind_and_listen(info->ai_addr, info->ai_addrlen, info->ai_family, url, reuse_port);
      if (fd.ok()) return fd;
      last = fd.status();
    }
  }
  return last;
}

absl::StatusOr<int> listen_unix(const std::string& path, std::string_view url) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(concat("the path of ", url, " is too long: at most ",
                                             sizeof address.sun_path - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  // A socket left behind by a process that is gone would refuse the bind.
  ::unlink(path.c_str());
  return bind_and_listen(reinterpret_cast<sockaddr*>(&address), sizeof address, AF_UNIX, url,
                         /*reuse_port=*/false);
}

}  // namespace

absl::StatusOr<ListenAddress> ListenAddress::parse(std::string_view url) {
  ListenAddress address;
  std::string_view rest = url;
  address.tls = rest.starts_with("https://") || rest.starts_with("unixs://");
  if (consume_prefix(rest, "unix://") || consume_prefix(rest, "unixs://")) {
    address.unix_path = rest;
    if (rest.empty()) return absl::InvalidArgumentError(concat(url, " needs a path"));
    return address;
  }
  if (!consume_prefix(rest, "https://")) consume_prefix(rest, "http://");
  consume_suffix(rest, "/");
  const std::size_t colon = rest.rfind(':');
  std::uint32_t port = 0;
  if (colon == rest.npos || !absl::SimpleAtoi(to_absl(rest.substr(colon + 1)), &port) ||
      port > 65'535) {
    return absl::InvalidArgumentError(
        concat("can't listen on ", url, ": write it as http://host:port"));
  }
  std::string_view host = rest.substr(0, colon);
  if (consume_prefix(host, "[") && !consume_suffix(host, "]")) {
    return absl::InvalidArgumentError(concat(url, ": '[' without ']'"));
  }
  address.host = host;
  address.port = concat(port);
  return address;
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::open(std::string_view url, bool reuse_port) {
  absl::StatusOr<ListenAddress> address = ListenAddress::parse(url);
  if (!address.ok()) return address.status();
  const bool is_unix = !address->unix_path.empty();
  absl::StatusOr<int> fd =
      is_unix ? listen_unix(address->unix_path, url) : listen_tcp(*address, url, reuse_port);
  if (!fd.ok()) return fd.status();
  std::unique_ptr<Listener> listener(new Listener());
  listener->fd_ = *fd;
  listener->reserve_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  listener->unix_path_ = address->unix_path;
  listener->tls_ = address->tls;
  if (is_unix) {
    listener->url_ = url;
  } else {
    listener->port_ = bound_port(*fd);
    const bool v6 = address->host.find(':') != std::string::npos;
    listener->url_ = concat(address->tls ? "https://" : "http://", v6 ? "[" : "", address->host,
                            v6 ? "]" : "", ":", listener->port_);
  }
  return listener;
}

Listener::~Listener() {
  if (fd_ >= 0) ::close(fd_);
  if (reserve_fd_ >= 0) ::close(reserve_fd_);
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
}

void Listener::start(EventLoop& loop, std::shared_ptr<NetObserver> observer,
                     OnConnection on_connection) {
  loop_ = &loop;
  observer_ = std::move(observer);
  on_connection_ = std::move(on_connection);
  loop.add(fd_, EPOLLIN, *this);
}

void Listener::close() {
  if (fd_ < 0) return;
  if (loop_ != nullptr) loop_->remove(fd_);
  ::close(fd_);
  fd_ = -1;
}

void Listener::on_io(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn && fd_ >= 0; ++i) {
    if (!accept_one()) return;
  }
}

bool Listener::accept_one() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd =
      ::accept4(fd_, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE) {
      shed_one();
      return true;
    }
    return errno == EINTR || errno == ECONNABORTED;
  }
  if (address.ss_family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  on_connection_(fd, peer_name(address));
  return true;
}

void Listener::shed_one() {
  ::close(reserve_fd_);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd = ::accept4(fd_, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC);
  if (fd >= 0) {
    observer_->connection_refused(peer_name(address),
                                  "out of file descriptors: raise the limit (ulimit -n)");
    ::close(fd);
  }
  reserve_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace holdfast::net
