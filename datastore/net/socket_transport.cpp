#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "datastore/net/transport.h"

namespace holdfast::net {
namespace {

class SocketTransport final : public Transport {
 public:
  explicit SocketTransport(int fd) : fd_(fd) {}
  ~SocketTransport() override { ::close(fd_); }
  SocketTransport(const SocketTransport&) = delete;
  SocketTransport& operator=(const SocketTransport&) = delete;

  int fd() const override { return fd_; }

  Result read(char* to, std::size_t capacity_bytes) override {
    const ssize_t n = ::recv(fd_, to, capacity_bytes, 0);
    if (n == 0) return {Io::kClosed};
    return result_of(n);
  }

  Result write(const iovec* buffers, int count) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(buffers);  // sendmsg doesn't write through it
    message.msg_iovlen = static_cast<std::size_t>(count);
    return result_of(::sendmsg(fd_, &message, MSG_NOSIGNAL));
  }

  void finish_writing() override { ::shutdown(fd_, SHUT_WR); }
  std::string failure() const override { return error_ == 0 ? "" : std::strerror(error_); }

 private:
  Result result_of(ssize_t n) {
    if (n >= 0) return {Io::kProgress, static_cast<std::size_t>(n)};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {Io::kWouldBlock};
    error_ = errno;
    return {Io::kFailed};
  }

  int fd_;
  int error_ = 0;
};

}  // namespace

std::unique_ptr<Transport> make_socket_transport(int fd) {
  return std::make_unique<SocketTransport>(fd);
}

}  // namespace holdfast::net
