#include "operator/kube/transport.h"

#include <httplib.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

using End = ExchangeResult::End;

constexpr std::chrono::seconds kTlsReread{60};
constexpr std::int64_t kMaxRetryAfterSeconds = 3600;

/// A peer that vanished is noticed within about a minute, even on a silent watch.
void set_socket_options(int socket) {
  const auto set = [socket](int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 45'000);
}

/// Writing to a connection that the peer reset must be an error, not the process's end.
void ignore_broken_pipes() {
  struct sigaction now{};
  if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) {
    ::signal(SIGPIPE, SIG_IGN);
  }
}

bool never_left(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
    case httplib::Error::ConnectionTimeout:
    case httplib::Error::BindIPAddress:
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLLoadingCerts:
    case httplib::Error::SSLServerVerification:
      return true;
    default:
      return false;
  }
}

std::string describe(httplib::Error error, const Config& config, const std::string& complaint) {
  const std::string server = authority(config);
  switch (error) {
    case httplib::Error::Connection:
      return concat("cannot connect to the API server at ", server);
    case httplib::Error::ConnectionTimeout:
      return concat("the API server at ", server, " does not accept connections in time");
    case httplib::Error::SSLConnection:
      return complaint.empty()
                 ? concat("no TLS with the API server at ", server)
                 : concat("the certificate of the API server at ", server,
                          " is not accepted: ", complaint, "; check the CA, or tls-server-name");
    case httplib::Error::Read:
      return concat("the API server at ", server, " gave no whole answer in time");
    case httplib::Error::Write:
      return concat("the connection to the API server at ", server, " broke while sending");
    default:
      return concat("exchange with the API server at ", server, ": ", httplib::to_string(error));
  }
}

/// Seconds only: the API server writes no dates.
std::chrono::seconds retry_after(const httplib::Response& response) {
  std::int64_t seconds = 0;
  if (!absl::SimpleAtoi(response.get_header_value("Retry-After"), &seconds)) {
    return std::chrono::seconds(0);
  }
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kMaxRetryAfterSeconds));
}

}  // namespace

struct Transport::Connection {
  std::shared_ptr<const TlsContext> tls;  // null without TLS
  std::string complaint;                  // of the certificate's verification; outlives http
  std::unique_ptr<httplib::ClientImpl> http;
  Clock::TimePoint idle_since{};
  bool pooled = false;
};

Transport::Transport(Config config, TransportOptions options, const Clock& clock)
    : config_(std::move(config)),
      options_(std::move(options)),
      clock_(clock),
      credentials_(config_, clock) {
  ignore_broken_pipes();
}

Transport::~Transport() = default;

absl::Status Transport::check() {
  const absl::StatusOr<Identity> identity = credentials_.current();
  if (!identity.ok()) {
    return identity.status();
  }
  return config_.tls ? current_tls(*identity).status() : absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TlsContext>> Transport::current_tls(const Identity& identity) {
  const std::lock_guard lock(mutex_);
  const bool same_identity = tls_ != nullptr &&
                             tls_->settings().certificate_pem == identity.certificate &&
                             tls_->settings().key_pem == identity.key;
  if (same_identity && !tls_suspected_ && clock_.now() - tls_read_at_ < kTlsReread) {
    return tls_;
  }
  absl::StatusOr<std::string> ca = read_pem(config_.ca);
  if (!ca.ok() && tls_ == nullptr) {
    return ca.status();
  }
  TlsSettings settings{
      .ca_pem = ca.ok() ? *std::move(ca) : tls_->settings().ca_pem,
      .certificate_pem = identity.certificate,
      .key_pem = identity.key,
      .server_name = config_.tls_server_name.empty() ? config_.host : config_.tls_server_name,
      .insecure_skip_verify = config_.insecure_skip_verify,
  };
  if (tls_ == nullptr || tls_->settings() != settings) {
    absl::StatusOr<std::shared_ptr<const TlsContext>> made = TlsContext::make(std::move(settings));
    if (made.ok()) {
      tls_ = *std::move(made);
    } else if (tls_ == nullptr) {
      return made.status();
    }  // else a half-written file: keep what works, and read it again in a minute
  }
  tls_read_at_ = clock_.now();
  tls_suspected_ = false;
  return tls_;
}

absl::StatusOr<std::unique_ptr<Transport::Connection>> Transport::connect(
    std::shared_ptr<const TlsContext> tls) {
  auto connection = std::make_unique<Connection>();
  connection->tls = std::move(tls);
  if (connection->tls == nullptr) {
    connection->http = std::make_unique<httplib::ClientImpl>(config_.host, config_.port);
  } else {
    // The name goes into the handshake (SNI); the address is then looked up here.
    const bool renamed = !config_.tls_server_name.empty();
    auto client = std::make_unique<httplib::SSLClient>(
        renamed ? config_.tls_server_name : config_.host, config_.port);
    if (renamed) {
      std::vector<std::string> addresses;
      httplib::hosted_at(config_.host, addresses);
      if (addresses.empty()) {
        return absl::UnavailableError(concat("cannot resolve ", config_.host));
      }
      client->set_hostname_addr_map({{config_.tls_server_name, addresses.front()}});
    }
    // Verification is OpenSSL's own, set in apply(): httplib's would trust the system's CAs too.
    client->enable_server_certificate_verification(false);
    if (absl::Status bad = connection->tls->apply(client->ssl_context(), &connection->complaint);
        !bad.ok()) {
      return bad;
    }
    connection->http = std::move(client);
  }
  httplib::ClientImpl& http = *connection->http;
  http.set_keep_alive(true);
  http.set_tcp_nodelay(true);
  http.set_follow_location(false);
  http.set_url_encode(false);
  http.set_decompress(false);
  http.set_socket_options(&set_socket_options);
  return connection;
}

absl::StatusOr<std::unique_ptr<Transport::Connection>> Transport::acquire(
    const Exchange& exchange, const Identity& identity) {
  std::shared_ptr<const TlsContext> tls;
  if (config_.tls) {
    absl::StatusOr<std::shared_ptr<const TlsContext>> current = current_tls(identity);
    if (!current.ok()) {
      return current.status();
    }
    tls = *std::move(current);
  }
  if (exchange.streams) {
    return connect(std::move(tls));
  }
  const Cancellation::Scope wake(exchange.cancellation, [this] { released_.notify_all(); });
  const auto cancelled = [&exchange] {
    return exchange.cancellation != nullptr && exchange.cancellation->cancelled();
  };
  std::unique_lock lock(mutex_);
  released_.wait_until(lock, exchange.deadline, [this, &cancelled] {
    return in_use_ < options_.max_connections || cancelled();
  });
  if (cancelled() || in_use_ >= options_.max_connections) {
    return absl::DeadlineExceededError(
        concat("all ", options_.max_connections, " connections are in use"));
  }
  const Clock::TimePoint oldest = clock_.now() - options_.idle_timeout;
  while (!idle_.empty() && idle_.front()->idle_since < oldest) {
    idle_.pop_front();
  }
  std::unique_ptr<Connection> connection;
  while (!idle_.empty() && connection == nullptr) {
    if (idle_.back()->tls == tls) {
      connection = std::move(idle_.back());
    }
    idle_.pop_back();
  }
  ++in_use_;
  lock.unlock();
  if (connection == nullptr) {
    absl::StatusOr<std::unique_ptr<Connection>> made = connect(std::move(tls));
    if (!made.ok()) {
      lock.lock();
      --in_use_;
      released_.notify_one();
      return made.status();
    }
    connection = *std::move(made);
  }
  connection->pooled = true;
  return connection;
}

void Transport::release(std::unique_ptr<Connection> connection, bool reusable) {
  if (!connection->pooled) {
    return;
  }
  const std::lock_guard lock(mutex_);
  --in_use_;
  if (reusable) {
    connection->idle_since = clock_.now();
    idle_.push_back(std::move(connection));
  }
  released_.notify_one();
}

ExchangeResult Transport::send(const Exchange& exchange) {
  const absl::StatusOr<Identity> identity = credentials_.current();
  if (!identity.ok()) {
    return {.problem = std::string(identity.status().message())};
  }
  absl::StatusOr<std::unique_ptr<Connection>> connection = acquire(exchange, *identity);
  if (!connection.ok()) {
    return {.problem = std::string(connection.status().message())};
  }
  ExchangeResult result = run(exchange, **connection, *identity);
  release(*std::move(connection), result.end == End::kAnswered);
  return result;
}

ExchangeResult Transport::run(const Exchange& exchange, Connection& connection,
                              const Identity& identity) {
  ExchangeResult result{.token = identity.token};
  const auto cancelled = [&exchange] {
    return exchange.cancellation != nullptr && exchange.cancellation->cancelled();
  };
  const auto now = std::chrono::steady_clock::now();
  const auto left =
      std::max(std::chrono::duration_cast<std::chrono::milliseconds>(exchange.deadline - now),
               std::chrono::milliseconds(1));
  httplib::ClientImpl& http = *connection.http;
  http.set_connection_timeout(std::min(left, options_.connect_timeout));
  http.set_read_timeout(left);
  http.set_write_timeout(left);

  httplib::Request request;
  request.method = exchange.method;
  request.path = concat(config_.base_path, exchange.target);
  request.headers = {{"Host", authority(config_)},
                     {"Accept", "application/json"},
                     {"Accept-Encoding", "identity"},
                     {"User-Agent", options_.user_agent}};
  if (!identity.token.empty()) {
    request.headers.emplace("Authorization", concat("Bearer ", identity.token));
  }
  if (!exchange.content_type.empty()) {
    request.headers.emplace("Content-Type", exchange.content_type);
  }
  request.body = exchange.body;
  bool stopped = false;
  bool late = false;
  request.response_handler = [&](const httplib::Response& response) {
    result.status = response.status;
    result.retry_after = retry_after(response);
    return !cancelled();
  };
  request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    late = std::chrono::steady_clock::now() >= exchange.deadline;
    if (late || cancelled()) {
      return false;
    }
    stopped = !exchange.receive(result.status, {data, size});
    return !stopped;
  };

  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  bool sent = false;
  {
    const Cancellation::Scope scope(exchange.cancellation, [&http] { http.stop(); });
    if (cancelled()) {
      result.problem = "cancelled";
      return result;
    }
    try {
      sent = http.send(request, response, error);
    } catch (const std::exception& thrown) {  // a body or a header that memory cannot hold
      result.end = End::kNoAnswer;
      result.problem = thrown.what();
      return result;
    }
  }
  if (sent && !late && !stopped) {
    result.end = End::kAnswered;
    result.status = response.status;
    return result;
  }
  result.end = stopped ? End::kStopped : never_left(error) ? End::kNotSent : End::kNoAnswer;
  result.problem = cancelled() ? "cancelled" : describe(error, config_, connection.complaint);
  if (error == httplib::Error::SSLConnection) {
    const std::lock_guard lock(mutex_);
    tls_suspected_ = true;
    connection.complaint.clear();
  }
  return result;
}

}  // namespace holdfast::kube
