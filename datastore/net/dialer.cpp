#include "datastore/net/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

/// Marks the status of a connection that was refused.
constexpr absl::string_view kRefused = "holdfast.net/refused";

/// Name, connection, handshake. At the end it tells `done` and holds nothing.
class Dialing final : public IoHandler {
 public:
  Dialing(EventLoop& loop, DialAddress address, std::shared_ptr<const TransportFactory> tls,
          Dialer::Done done)
      : loop_(loop),
        address_(std::move(address)),
        tls_(std::move(tls)),
        done_(std::move(done)),
        total_timer_([](void* self) { static_cast<Dialing*>(self)->on_total_timeout(); }, this),
        address_timer_([](void* self) { static_cast<Dialing*>(self)->try_next(); }, this) {}
  ~Dialing() override { let_go(); }
  Dialing(const Dialing&) = delete;
  Dialing& operator=(const Dialing&) = delete;

  void begin(Resolver& resolver, std::chrono::milliseconds timeout);
  void on_io(std::uint32_t events) override;
  /// Nothing is told any more.
  void let_go();

 private:
  absl::Status begin_unix();
  void on_total_timeout();
  void on_addresses(absl::StatusOr<Resolver::Addresses> found);
  void try_next();
  absl::Status start_connecting(const SocketAddress& to);
  void on_connected();
  void shake_hands();
  void close_socket();
  void finish(absl::StatusOr<std::unique_ptr<Transport>> result);
  absl::Status failure(absl::StatusCode code, std::string_view why) const {
    return absl::Status(code, to_absl(concat("can't connect to ", address_.url, ": ", why)));
  }

  EventLoop& loop_;
  const DialAddress address_;
  const std::shared_ptr<const TransportFactory> tls_;
  Dialer::Done done_;  // null once told
  EventLoop::Clock::time_point deadline_;
  std::unique_ptr<Resolver::Lookup> lookup_;
  Resolver::Addresses addresses_;
  std::size_t next_address_ = 0;
  absl::Status early_failure_;  // of begin()
  absl::Status last_failure_;   // of an address
  int fd_ = -1;                 // connecting, watched
  std::unique_ptr<Transport> transport_;
  std::uint32_t watched_events_ = 0;  // of the transport
  Timer total_timer_;
  Timer address_timer_;
};

void Dialing::begin(Resolver& resolver, std::chrono::milliseconds timeout) {
  deadline_ = loop_.now() + timeout;
  if (address_.tls && tls_ == nullptr) {
    early_failure_ = failure(absl::StatusCode::kFailedPrecondition,
                             "it asks for TLS, for which no certificates are configured");
  } else if (!address_.unix_path.empty()) {
    early_failure_ = begin_unix();
  } else {
    lookup_ = resolver.resolve(
        loop_, address_.host, address_.port,
        [this](absl::StatusOr<Resolver::Addresses> found) { on_addresses(std::move(found)); });
  }
  // A failure known by now is told by the timer, as it must not be told from within dial().
  loop_.arm(total_timer_, early_failure_.ok() ? timeout : std::chrono::milliseconds(0));
}

absl::Status Dialing::begin_unix() {
  SocketAddress to;
  auto& name = reinterpret_cast<sockaddr_un&>(to.storage);
  name.sun_family = AF_UNIX;
  if (address_.unix_path.size() >= sizeof name.sun_path) {
    return failure(absl::StatusCode::kInvalidArgument,
                   concat("the path is longer than ", sizeof name.sun_path - 1, " bytes"));
  }
  std::memcpy(name.sun_path, address_.unix_path.data(), address_.unix_path.size());
  to.size_bytes = sizeof name;
  return start_connecting(to);
}

void Dialing::on_total_timeout() {
  if (!early_failure_.ok()) return finish(early_failure_);
  finish(failure(absl::StatusCode::kDeadlineExceeded, "it did not answer in the time allowed"));
}

void Dialing::on_addresses(absl::StatusOr<Resolver::Addresses> found) {
  if (!found.ok()) {
    return finish(failure(found.status().code(), from_absl(found.status().message())));
  }
  addresses_ = *std::move(found);
  try_next();
}

void Dialing::try_next() {
  if (fd_ >= 0) {
    last_failure_ = failure(absl::StatusCode::kDeadlineExceeded, "it did not answer in time");
    close_socket();
  }
  while (next_address_ < addresses_.size()) {
    const auto left = static_cast<std::int64_t>(addresses_.size() - next_address_);
    const absl::Status status = start_connecting(addresses_[next_address_++]);
    if (status.ok()) return loop_.arm(address_timer_, (deadline_ - loop_.now()) / left);
    last_failure_ = status;
  }
  finish(last_failure_);
}

absl::Status Dialing::start_connecting(const SocketAddress& to) {
  fd_ = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return failure(absl::StatusCode::kUnavailable, std::strerror(errno));
  const int on = 1;
  if (to.family() != AF_UNIX) ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  absl::Status status;
  if (::connect(fd_, to.get(), to.size_bytes) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    status = failure(absl::StatusCode::kUnavailable, std::strerror(error));
    if (error == ECONNREFUSED) status.SetPayload(kRefused, absl::Cord());
  } else if (!loop_.add(fd_, EPOLLOUT, *this)) {
    status = failure(absl::StatusCode::kResourceExhausted,
                     "the kernel can't watch more descriptors: raise fs.epoll.max_user_watches");
  }
  if (!status.ok()) ::close(std::exchange(fd_, -1));
  return status;
}

void Dialing::on_io(std::uint32_t) {
  if (done_ == nullptr) return;
  if (transport_ != nullptr) return shake_hands();
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) return on_connected();
  last_failure_ = failure(absl::StatusCode::kUnavailable, std::strerror(error));
  if (error == ECONNREFUSED) last_failure_.SetPayload(kRefused, absl::Cord());
  close_socket();
  try_next();
}

void Dialing::on_connected() {
  address_timer_.cancel();
  loop_.remove(fd_);
  const int fd = std::exchange(fd_, -1);
  if (!address_.tls) return finish(make_socket_transport(fd));
  absl::StatusOr<std::unique_ptr<Transport>> transport = tls_->make(fd, address_.host);
  if (!transport.ok()) {
    return finish(failure(transport.status().code(), from_absl(transport.status().message())));
  }
  transport_ = *std::move(transport);
  shake_hands();
}

void Dialing::shake_hands() {
  const Transport::Io io = transport_->handshake();
  if (io == Transport::Io::kWouldBlock) {
    const std::uint32_t wanted = transport_->blocked_on_output() ? EPOLLOUT : EPOLLIN;
    if (watched_events_ == wanted) return;
    if (watched_events_ != 0) {
      loop_.modify(transport_->fd(), wanted, *this);
    } else if (!loop_.add(transport_->fd(), wanted, *this)) {
      return finish(
          failure(absl::StatusCode::kResourceExhausted, "the kernel can't watch more descriptors"));
    }
    watched_events_ = wanted;
    return;
  }
  if (std::exchange(watched_events_, 0) != 0) loop_.remove(transport_->fd());
  if (io == Transport::Io::kProgress) return finish(std::move(transport_));
  const std::string why = transport_->failure();
  finish(failure(absl::StatusCode::kUnavailable,
                 concat("the TLS handshake failed: ", why.empty() ? "closed by the peer" : why)));
}

void Dialing::close_socket() {
  if (fd_ < 0) return;
  loop_.remove(fd_);
  ::close(std::exchange(fd_, -1));
}

void Dialing::let_go() {
  done_ = nullptr;
  lookup_.reset();
  total_timer_.cancel();
  address_timer_.cancel();
  close_socket();
  if (std::exchange(watched_events_, 0) != 0) loop_.remove(transport_->fd());
  transport_.reset();
}

void Dialing::finish(absl::StatusOr<std::unique_ptr<Transport>> result) {
  Dialer::Done done = std::move(done_);
  let_go();
  done(std::move(result));
}

/// What the caller holds. The attempt itself goes at the end of the turn, as it may be on the
/// stack.
class DialHandle final : public Dialer::Attempt {
 public:
  DialHandle(EventLoop& loop, std::unique_ptr<Dialing> dialing)
      : loop_(loop), dialing_(std::move(dialing)) {}
  ~DialHandle() override {
    dialing_->let_go();
    loop_.defer([owned = std::move(dialing_)] {});
  }
  DialHandle(const DialHandle&) = delete;
  DialHandle& operator=(const DialHandle&) = delete;

 private:
  EventLoop& loop_;
  std::unique_ptr<Dialing> dialing_;
};

absl::Status bad_url(std::string_view url) {
  return absl::InvalidArgumentError(concat(
      "can't dial ", url, ": write it as http://host:port, https://host:port or unix://path"));
}

}  // namespace

absl::StatusOr<DialAddress> DialAddress::parse(std::string_view url) {
  DialAddress address;
  address.url = url;
  const std::size_t mark = url.find("://");
  if (mark == url.npos) return bad_url(url);
  const std::string_view scheme = url.substr(0, mark);
  std::string_view rest = url.substr(mark + 3);
  address.tls = scheme == "https" || scheme == "unixs";
  if (scheme == "unix" || scheme == "unixs") {
    if (rest.empty() || rest.find('\0') != rest.npos) return bad_url(url);
    address.unix_path = rest;
    return address;
  }
  if (scheme != "http" && scheme != "https") return bad_url(url);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  if (colon == rest.npos) return bad_url(url);
  std::uint32_t port = 0;
  if (!absl::SimpleAtoi(to_absl(rest.substr(colon + 1)), &port) || port == 0 || port > 65'535) {
    return bad_url(url);
  }
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return bad_url(url);
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return bad_url(url);
  }
  for (const char c : host) {
    // What would break a Host header, or a path that was meant for a request.
    if (c <= ' ' || c == '/' || c == '@' || c == '\x7f') return bad_url(url);
  }
  if (host.empty()) return bad_url(url);
  address.host = host;
  address.port = concat(port);
  return address;
}

std::string DialAddress::authority() const {
  if (!unix_path.empty()) return "localhost";
  const bool v6 = host.find(':') != std::string::npos;
  return concat(v6 ? "[" : "", host, v6 ? "]:" : ":", port);
}

Dialer::Dialer(std::shared_ptr<Resolver> resolver, std::shared_ptr<const TransportFactory> tls)
    : resolver_(std::move(resolver)), tls_(std::move(tls)) {
}

std::unique_ptr<Dialer::Attempt> Dialer::dial(EventLoop& loop, const DialAddress& address,
                                              std::chrono::milliseconds timeout, Done done) const {
  auto dialing = std::make_unique<Dialing>(loop, address, tls_, std::move(done));
  dialing->begin(*resolver_, timeout);
  return std::make_unique<DialHandle>(loop, std::move(dialing));
}

bool was_refused(const absl::Status& status) {
  return status.GetPayload(kRefused).has_value();
}

}  // namespace holdfast::net
