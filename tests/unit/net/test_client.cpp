#include "tests/unit/net/test_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "datastore/base/bytes.h"

namespace holdfast::net {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{10};

nghttp2_nv field(const std::string& name, const std::string& value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

H2Client& of(void* self) {
  return *static_cast<H2Client*>(self);
}

}  // namespace

std::string framed(std::string_view message, bool compressed) {
  std::string out(5, '\0');
  out[0] = compressed ? 1 : 0;
  store_be32(out.data() + 1, static_cast<std::uint32_t>(message.size()));
  out.append(message);
  return out;
}

RawClient::RawClient(int port, SSL_CTX* tls)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
      << std::strerror(errno);
  if (tls == nullptr) return;
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own sockets raise it
  const timeval patience{std::chrono::seconds(kPatience).count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ssl_.reset(SSL_new(tls));
  SSL_set_fd(ssl_.get(), fd_);
  if (SSL_connect(ssl_.get()) != 1) tls_error_ = crypto::take_openssl_error();
}

std::string RawClient::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

void RawClient::say_goodbye() {
  SSL_shutdown(ssl_.get());
  ::shutdown(fd_, SHUT_WR);
}

RawClient::~RawClient() {
  ::close(fd_);
}

bool RawClient::send(std::string_view bytes) {
  if (ssl_ != nullptr) {
    std::size_t written = 0;
    return tls_error_.empty() &&
           SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1;
  }
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string RawClient::receive(std::chrono::milliseconds wait) {
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(wait.count())) <= 0) return {};
  return read_some();
}

std::string RawClient::read_some() {
  std::string buffer(65'536, '\0');
  if (ssl_ != nullptr) {
    std::size_t n = 0;
    if (!tls_error_.empty()) return {};
    const int outcome = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &n);
    if (outcome != 1) {
      n = 0;
      const bool orderly = SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_ZERO_RETURN;
      if (!orderly) tls_error_ = crypto::take_openssl_error();
    }
    buffer.resize(n);
    return buffer;
  }
  const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
  buffer.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return buffer;
}

std::string RawClient::receive_until(std::string_view text) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    const std::string more = receive();
    if (more.empty()) break;
    all += more;
  }
  return all;
}

std::string RawClient::receive_until_closed() {
  std::string all;
  while (true) {
    const std::string more = receive();
    if (more.empty()) return all;
    all += more;
  }
}

void RawClient::finish_sending() {
  ::shutdown(fd_, SHUT_WR);
}

std::vector<std::string> H2Client::Reply::messages() const {
  std::vector<std::string> all;
  std::string_view rest = body;
  while (rest.size() >= 5) {
    const std::size_t size = load_be32(rest.data() + 1);
    all.emplace_back(rest.substr(5, size));
    rest.remove_prefix(std::min(rest.size(), 5 + size));
  }
  return all;
}

nghttp2_session_callbacks* H2Client::callbacks() {
  nghttp2_session_callbacks* all = nullptr;
  nghttp2_session_callbacks_new(&all);
  nghttp2_session_callbacks_set_on_header_callback(
      all, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
              std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
              std::uint8_t, void* self) {
        of(self)
            .reply(frame->hd.stream_id)
            .headers[std::string(reinterpret_cast<const char*>(name), name_size)] =
            std::string(reinterpret_cast<const char*>(value), value_size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      all, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        H2Client& client = of(self);
        switch (frame->hd.type) {
          case NGHTTP2_HEADERS:
            ++client.reply(frame->hd.stream_id).header_frames;
            break;
          case NGHTTP2_PING:
            ++((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ? client.pings_acknowledged
                                                         : client.pings_received);
            break;
          case NGHTTP2_RST_STREAM:
            client.reply(frame->hd.stream_id).reset_by_server = true;
            break;
          case NGHTTP2_SETTINGS:
            for (std::size_t i = 0; i < frame->settings.niv; ++i) {
              client.settings[frame->settings.iv[i].settings_id] = frame->settings.iv[i].value;
            }
            break;
          case NGHTTP2_GOAWAY:
            client.goaways.emplace_back(frame->goaway.last_stream_id, frame->goaway.error_code);
            client.goaway_text.assign(reinterpret_cast<const char*>(frame->goaway.opaque_data),
                                      frame->goaway.opaque_data_len);
            break;
          default:
            break;
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      all, [](nghttp2_session* session, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
              std::size_t size, void* self) {
        of(self).reply(stream).body.append(reinterpret_cast<const char*>(data), size);
        if (of(self).consume_automatically) nghttp2_session_consume(session, stream, size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      all, [](nghttp2_session*, std::int32_t stream, std::uint32_t code, void* self) {
        of(self).reply(stream).closed = true;
        of(self).reply(stream).error_code = code;
        return 0;
      });
  return all;
}

H2Client::H2Client(int port, std::int32_t stream_window, SSL_CTX* tls) : socket_(port, tls) {
  nghttp2_session_callbacks* all = callbacks();
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_session_client_new2(&session_, all, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(all);
  const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                         static_cast<std::uint32_t>(stream_window)};
  nghttp2_submit_settings(session_, 0, &window, 1);
  constexpr std::int32_t kConnectionWindow = 1 << 30;
  nghttp2_session_set_local_window_size(session_, 0, 0, kConnectionWindow);
}

H2Client::~H2Client() {
  nghttp2_session_del(session_);
}

ssize_t H2Client::on_data_wanted(nghttp2_session*, std::int32_t stream, std::uint8_t* to,
                                 std::size_t limit, std::uint32_t* flags, nghttp2_data_source*,
                                 void* self) {
  Upload& upload = of(self).uploads_[stream];
  if (upload.data.empty() && !upload.end) {
    upload.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t n = std::min(limit, upload.data.size());
  std::memcpy(to, upload.data.data(), n);
  upload.data.erase(0, n);
  if (upload.data.empty() && upload.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(n);
}

std::int32_t H2Client::open(const Headers& headers, std::string body, bool end) {
  std::vector<nghttp2_nv> fields;
  for (const auto& [name, value] : headers) fields.push_back(field(name, value));
  nghttp2_data_provider provider{};
  provider.read_callback = &on_data_wanted;
  const bool has_body = !body.empty() || !end;
  const std::int32_t stream = nghttp2_submit_request(
      session_, nullptr, fields.data(), fields.size(), has_body ? &provider : nullptr, nullptr);
  EXPECT_GT(stream, 0) << nghttp2_strerror(stream);
  uploads_[stream] = {std::move(body), end, false};
  replies_[stream] = {};
  return stream;
}

void H2Client::send(std::int32_t stream, std::string_view data, bool end) {
  Upload& upload = uploads_[stream];
  upload.data.append(data);
  upload.end = end;
  if (std::exchange(upload.deferred, false)) nghttp2_session_resume_data(session_, stream);
}

void H2Client::reset(std::int32_t stream, std::uint32_t code) {
  nghttp2_submit_rst_stream(session_, 0, stream, code);
}

namespace {

H2Client::Headers grpc_headers(const std::string& path, H2Client::Headers extra) {
  H2Client::Headers headers = {{":method", "POST"},
                               {":scheme", "http"},
                               {":authority", "localhost"},
                               {":path", path},
                               {"content-type", "application/grpc"},
                               {"te", "trailers"}};
  for (auto& header : extra) {
    const auto same = std::find_if(headers.begin(), headers.end(),
                                   [&](const auto& each) { return each.first == header.first; });
    if (same != headers.end()) {
      same->second = std::move(header.second);
    } else {
      headers.push_back(std::move(header));
    }
  }
  return headers;
}

}  // namespace

std::int32_t H2Client::call(const std::string& path, std::string_view message, Headers extra) {
  return open(grpc_headers(path, std::move(extra)), framed(message));
}

std::int32_t H2Client::open_call(const std::string& path, Headers extra) {
  return open(grpc_headers(path, std::move(extra)), {}, false);
}

H2Client::Reply H2Client::unary(const std::string& path, std::string_view message, Headers extra) {
  const std::int32_t stream = call(path, message, std::move(extra));
  EXPECT_TRUE(run_until_closed(stream));
  return reply(stream);
}

void H2Client::flush() {
  while (true) {
    const std::uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n <= 0) return;
    if (!socket_.send({reinterpret_cast<const char*>(data), static_cast<std::size_t>(n)})) return;
  }
}

bool H2Client::run_until(const std::function<bool()>& done) {
  const Clock::time_point deadline = Clock::now() + kPatience;
  flush();
  while (!done()) {
    if (connection_closed || Clock::now() > deadline) return false;
    constexpr std::chrono::milliseconds kLook{20};
    pollfd ready{socket_.fd(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(kLook.count())) > 0) {
      const std::string bytes = socket_.receive();
      connection_closed = bytes.empty();
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()),
                               bytes.size());
    }
    flush();
  }
  return true;
}

bool H2Client::run_until_closed(std::int32_t stream) {
  return run_until([&] { return replies_[stream].closed; });
}

}  // namespace holdfast::net
