#include "datastore/net/tls_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "datastore/base/bytes.h"
#include "datastore/base/check.h"
#include "datastore/crypto/tls_session.h"
#include "datastore/net/name_check.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

using crypto::TlsContext;
using crypto::TlsReason;
using crypto::TlsRole;
using crypto::TlsSession;

/// The most plain bytes in one record. Source: RFC 8446, 5.1.
constexpr std::size_t kRecordBytes = 16 * 1024;
/// The first byte of a connection that begins with a TLS handshake. Source: RFC 8446, 5.1.
constexpr char kHandshakeByte = 0x16;

// --- OpenSSL's way to the socket: as its own, but a peer that is gone raises no signal ----------

int socket_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool try_again(ssize_t n) {
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

int bio_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::send(socket_of(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (try_again(n)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int bio_read(BIO* bio, char* to, int capacity) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::recv(socket_of(bio), to, static_cast<std::size_t>(capacity), 0);
  if (try_again(n)) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

long bio_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    HOLDFAST_CHECK(method != nullptr);
    BIO_meth_set_write(method, &bio_write);
    BIO_meth_set_read(method, &bio_read);
    BIO_meth_set_ctrl(method, &bio_control);
    return method;
  }();
  return kMethod;
}

// --- a connection --------------------------------------------------------------------------------

class TlsTransport final : public Transport {
 public:
  TlsTransport(int fd, std::shared_ptr<TlsContext> tls, TlsRole role, std::string_view remote,
               std::shared_ptr<NameCheck> names)
      : fd_(fd),
        names_(std::move(names)),
        session_(std::move(tls), role, std::string(remote),
                 role == TlsRole::kClient ? std::string(remote) : std::string()) {
    BIO* bio = BIO_new(socket_method());
    HOLDFAST_CHECK(bio != nullptr);
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
    BIO_set_init(bio, 1);
    SSL_set_bio(session_.ssl(), bio, bio);
  }

  ~TlsTransport() override {
    if (state_ == State::kEstablished && !said_goodbye_) say_goodbye();
    ::close(fd_);
  }
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  int fd() const override { return fd_; }
  bool secure() const override { return true; }
  bool blocked_on_output() const override { return blocked_on_output_; }
  bool waits_elsewhere() const override { return state_ == State::kCheckingNames; }
  void set_waker(std::function<void()> wake) override { wake_ = std::move(wake); }
  void give_up_handshake(std::string_view why) override {
    fail(session_.fail(TlsReason::kTimedOut, std::string(why)));
  }
  std::string failure() const override { return failure_; }
  std::string_view application_protocol() const override { return session_.application_protocol(); }

  Io handshake() override;
  Result read(char* to, std::size_t capacity_bytes) override;
  Result write(const iovec* buffers, int count) override;
  void finish_writing() override {
    if (state_ == State::kEstablished) say_goodbye();
    ::shutdown(fd_, SHUT_WR);
  }
  std::optional<std::string> peer_common_name() const override {
    return session_.peer_common_name();
  }
  bool still_allowed() override {
    if (session_.still_trusted()) return true;
    fail("the certificate of the other side is no longer trusted");
    return false;
  }
  bool stays_allowed() override {
    return state_ != State::kEstablished || session_.will_stay_trusted();
  }

 private:
  enum class State { kHandshaking, kCheckingNames, kEstablished, kFailed };

  Io admit();
  Io on_names_checked();
  Io fail(std::string why) {
    state_ = State::kFailed;
    failure_ = std::move(why);
    return Io::kFailed;
  }
  Result discard(char* to, std::size_t capacity_bytes) const;
  /// What a call of OpenSSL's that moved nothing means.
  Io stopped(int outcome);
  void say_goodbye() {
    said_goodbye_ = true;
    ERR_clear_error();
    SSL_shutdown(session_.ssl());
    ERR_clear_error();
  }
  /// Makes the descriptor tell again of an end that came together with bytes.
  void remember_end() { ::shutdown(fd_, SHUT_RD); }

  const int fd_;
  const std::shared_ptr<NameCheck> names_;
  TlsSession session_;
  State state_ = State::kHandshaking;
  bool blocked_on_output_ = false;
  bool said_goodbye_ = false;
  std::string failure_;
  std::function<void()> wake_;
  NameCheck::Pending names_answer_;
};

Transport::Io TlsTransport::handshake() {
  switch (state_) {
    case State::kEstablished:
      return Io::kProgress;
    case State::kFailed:
      return Io::kFailed;
    case State::kCheckingNames:
      return on_names_checked();
    case State::kHandshaking:
      break;
  }
  ERR_clear_error();
  const int outcome = SSL_do_handshake(session_.ssl());
  return outcome == 1 ? admit() : stopped(outcome);
}

Transport::Io TlsTransport::admit() {
  blocked_on_output_ = false;
  switch (session_.admit()) {
    case TlsSession::Admission::kAdmitted:
      state_ = State::kEstablished;
      return Io::kProgress;
    case TlsSession::Admission::kRefused:
      return fail("the certificate does not name the address that shows it");
    case TlsSession::Admission::kNeedsNames:
      break;
  }
  state_ = State::kCheckingNames;
  names_answer_ = names_->ask(session_.remote_host(), session_.peer_dns_names(), [wake = wake_] {
    if (wake) wake();
  });
  return on_names_checked();
}

Transport::Io TlsTransport::on_names_checked() {
  switch (names_answer_->load()) {
    case NameCheck::Answer::kPending:
      return Io::kWouldBlock;
    case NameCheck::Answer::kYes:
      state_ = State::kEstablished;
      return Io::kProgress;
    case NameCheck::Answer::kTooManyWaiting:
      return fail(session_.fail(TlsReason::kTimedOut, "too many addresses wait for DNS"));
    case NameCheck::Answer::kNo:
      break;
  }
  std::string names;
  for (const std::string& each : session_.peer_dns_names()) {
    names += concat(names.empty() ? "" : " ", "\"", each, "\"");
  }
  return fail(session_.fail(TlsReason::kMismatched,
                            concat("tls: \"", session_.remote_host(),
                                   "\" does not match any of DNSNames [", names, "]")));
}

Transport::Io TlsTransport::stopped(int outcome) {
  const int error = SSL_get_error(session_.ssl(), outcome);
  switch (error) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      blocked_on_output_ = error == SSL_ERROR_WANT_WRITE;
      return Io::kWouldBlock;
    case SSL_ERROR_ZERO_RETURN:
      if (state_ == State::kEstablished) return Io::kClosed;
      break;
    default:
      break;
  }
  if (state_ == State::kHandshaking) return fail(session_.fail(error));
  // In TLS 1.3 a server refuses our certificate when for us the handshake is over.
  const bool refused =
      error == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
  if (refused) return fail(session_.fail(error));
  ERR_clear_error();
  return fail(error == SSL_ERROR_SSL ? "a broken TLS record" : "connection reset");
}

/// Closing with unread input would reset the connection, and the alert that says why be lost.
Transport::Result TlsTransport::discard(char* to, std::size_t capacity_bytes) const {
  const ssize_t n = ::recv(fd_, to, capacity_bytes, 0);
  if (try_again(n)) return {Io::kWouldBlock};
  return n > 0 ? Result{Io::kProgress, static_cast<std::size_t>(n)} : Result{Io::kClosed};
}

Transport::Result TlsTransport::read(char* to, std::size_t capacity_bytes) {
  if (state_ == State::kFailed) return discard(to, capacity_bytes);
  if (state_ != State::kEstablished || !still_allowed()) return {Io::kFailed};
  SSL* ssl = session_.ssl();
  std::size_t total = 0;
  while (total == 0 || capacity_bytes - total >= kRecordBytes) {
    // Reading ahead saves a system call a record, but only while all that it may bring fits: what
    // stays inside, the descriptor would not tell of.
    SSL_set_read_ahead(ssl, capacity_bytes - total >= 4 * kRecordBytes ? 1 : 0);
    ERR_clear_error();
    std::size_t n = 0;
    const int outcome = SSL_read_ex(ssl, to + total, capacity_bytes - total, &n);
    if (outcome == 1) {
      total += n;
      if (SSL_has_pending(ssl) == 0) break;
      continue;
    }
    const Io io = stopped(outcome);
    if (total == 0) return {io};
    if (io != Io::kWouldBlock) remember_end();
    break;
  }
  blocked_on_output_ = false;
  return {Io::kProgress, total};
}

/// Up to a record's worth of what `buffers` hold from `skip` bytes on: in place if one buffer has
/// enough, else copied to `scratch`.
BytesView next_record(const iovec* buffers, int count, std::size_t skip,
                      std::array<char, kRecordBytes>& scratch) {
  std::size_t gathered = 0;
  for (int i = 0; i < count && gathered < kRecordBytes; ++i) {
    if (skip >= buffers[i].iov_len) {
      skip -= buffers[i].iov_len;
      continue;
    }
    const char* bytes = static_cast<const char*>(buffers[i].iov_base) + skip;
    const std::size_t n = std::min(buffers[i].iov_len - skip, kRecordBytes - gathered);
    skip = 0;
    if (n == kRecordBytes) return {bytes, n};
    std::memcpy(scratch.data() + gathered, bytes, n);
    gathered += n;
  }
  return {scratch.data(), gathered};
}

Transport::Result TlsTransport::write(const iovec* buffers, int count) {
  if (state_ != State::kEstablished || !still_allowed()) return {Io::kFailed};
  std::array<char, kRecordBytes> scratch;
  std::size_t total = 0;
  while (true) {
    // A record that the socket did not take is offered again: the caller drops only what was
    // written, so it begins with the same bytes and has at least as many.
    const BytesView record = next_record(buffers, count, total, scratch);
    if (record.empty()) return {Io::kProgress, total};
    ERR_clear_error();
    std::size_t n = 0;
    const int outcome = SSL_write_ex(session_.ssl(), record.data(), record.size(), &n);
    if (outcome != 1) {
      const Io io = stopped(outcome);
      return total > 0 && io == Io::kWouldBlock ? Result{Io::kProgress, total} : Result{io};
    }
    total += n;
  }
}

// --- a connection of which the first byte decides ------------------------------------------------

class PlainOrTlsTransport final : public Transport {
 public:
  PlainOrTlsTransport(int fd, const TransportFactory& tls, std::string_view remote)
      : fd_(fd), tls_(tls), remote_(remote) {}
  ~PlainOrTlsTransport() override {
    if (inner_ == nullptr && fd_ >= 0) ::close(fd_);
  }
  PlainOrTlsTransport(const PlainOrTlsTransport&) = delete;
  PlainOrTlsTransport& operator=(const PlainOrTlsTransport&) = delete;

  int fd() const override { return fd_; }
  Io handshake() override {
    if (inner_ == nullptr) {
      if (const Io io = decide(); io != Io::kProgress) return io;
    }
    return inner_->handshake();
  }
  Result read(char* to, std::size_t capacity) override {
    return inner_ ? inner_->read(to, capacity) : Result{Io::kFailed};
  }
  void give_up_handshake(std::string_view why) override {
    if (inner_) inner_->give_up_handshake(why);
  }
  Result write(const iovec* buffers, int count) override { return inner_->write(buffers, count); }
  void finish_writing() override {
    if (inner_) inner_->finish_writing();
  }
  bool blocked_on_output() const override { return inner_ && inner_->blocked_on_output(); }
  bool waits_elsewhere() const override { return inner_ && inner_->waits_elsewhere(); }
  void set_waker(std::function<void()> wake) override { wake_ = std::move(wake); }
  bool secure() const override { return inner_ && inner_->secure(); }
  bool still_allowed() override { return !inner_ || inner_->still_allowed(); }
  bool stays_allowed() override { return !inner_ || inner_->stays_allowed(); }
  std::optional<std::string> peer_common_name() const override {
    return inner_ ? inner_->peer_common_name() : std::nullopt;
  }
  std::string failure() const override { return inner_ ? inner_->failure() : failure_; }
  std::string_view application_protocol() const override {
    return inner_ ? inner_->application_protocol() : std::string_view();
  }

 private:
  Io decide() {
    char first = 0;
    const ssize_t n = ::recv(fd_, &first, 1, MSG_PEEK);
    if (try_again(n)) return Io::kWouldBlock;
    if (n <= 0) {
      failure_ = "closed before the first byte";
      return Io::kFailed;
    }
    if (first != kHandshakeByte) {
      inner_ = make_socket_transport(fd_);
      return Io::kProgress;
    }
    absl::StatusOr<std::unique_ptr<Transport>> made = tls_.make(fd_, remote_);
    if (!made.ok()) {
      fd_ = -1;  // taken over by make()
      failure_ = std::string(made.status().message());
      return Io::kFailed;
    }
    inner_ = *std::move(made);
    inner_->set_waker(std::move(wake_));
    return Io::kWouldBlock;  // the byte is still there; whoever counts handshakes sees one now
  }

  int fd_;
  const TransportFactory& tls_;
  const std::string remote_;
  std::unique_ptr<Transport> inner_;  // owns the descriptor once it is there
  std::function<void()> wake_;
  std::string failure_;
};

// --- factories -----------------------------------------------------------------------------------

class TlsFactory final : public TransportFactory {
 public:
  TlsFactory(std::shared_ptr<TlsContext> tls, TlsRole role)
      : tls_(std::move(tls)), role_(role), names_(std::make_shared<NameCheck>()) {}

  absl::StatusOr<std::unique_ptr<Transport>> make(int fd, std::string_view remote) const override {
    return std::make_unique<TlsTransport>(fd, tls_, role_, remote, names_);
  }

 private:
  const std::shared_ptr<TlsContext> tls_;
  const TlsRole role_;
  const std::shared_ptr<NameCheck> names_;
};

class PlainOrTlsFactory final : public TransportFactory {
 public:
  explicit PlainOrTlsFactory(std::shared_ptr<TlsContext> tls)
      : tls_(std::move(tls), TlsRole::kServer) {}

  absl::StatusOr<std::unique_ptr<Transport>> make(int fd, std::string_view remote) const override {
    return std::make_unique<PlainOrTlsTransport>(fd, tls_, remote);
  }

 private:
  const TlsFactory tls_;
};

}  // namespace

std::shared_ptr<const TransportFactory> make_tls_server_factory(
    std::shared_ptr<crypto::TlsContext> tls) {
  return std::make_shared<TlsFactory>(std::move(tls), TlsRole::kServer);
}

std::shared_ptr<const TransportFactory> make_plain_or_tls_server_factory(
    std::shared_ptr<crypto::TlsContext> tls) {
  return std::make_shared<PlainOrTlsFactory>(std::move(tls));
}

std::shared_ptr<const TransportFactory> make_tls_client_factory(
    std::shared_ptr<crypto::TlsContext> tls) {
  return std::make_shared<TlsFactory>(std::move(tls), TlsRole::kClient);
}

}  // namespace holdfast::net
