#include "datastore/http/grpc_loopback.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace holdfast::http {
namespace {

/// Another descriptor of a socket that gRPC owns, to see whether it has ended.
class HangUpWatch {
 public:
  explicit HangUpWatch(int fd) : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {}
  ~HangUpWatch() {
    if (fd_ >= 0) ::close(fd_);
  }
  HangUpWatch(const HangUpWatch&) = delete;
  HangUpWatch& operator=(const HangUpWatch&) = delete;

  bool hung_up() const {
    pollfd look{fd_, POLLRDHUP, 0};
    return ::poll(&look, 1, 0) > 0;
  }

 private:
  int fd_;
};

grpc::ByteBuffer to_buffer(const Bytes& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

Bytes to_bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  Bytes bytes;
  if (buffer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return bytes;
}

// Of a status that is not OK.
absl::Status to_status(const grpc::Status& status) {
  const std::string& text = status.error_message();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), text);
}

/// gRPC's channel must not be destroyed on one of gRPC's own threads, and each call's context holds
/// it: so a call lets go of its context first and only then counts as ended, and the destructor
/// waits until all have.
class GrpcLoopback final : public GrpcCaller {
 public:
  explicit GrpcLoopback(std::function<absl::StatusOr<int>()> connect)
      : connect_(std::move(connect)) {}

  ~GrpcLoopback() override {
    std::unique_lock lock(mutex_);
    for (Call* call : cancellable_) {
      call->context.TryCancel();
    }
    all_ended_.wait(lock, [this] { return calls_ == 0; });
  }

  void call(const std::string& path, Bytes request,
            std::vector<std::pair<std::string, std::string>> metadata, Done done) override {
    auto call = std::make_unique<Call>();
    call->request = to_buffer(request);
    call->done = std::move(done);
    for (const auto& [name, value] : metadata) {
      call->context.AddMetadata(name, value);
    }
    absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = admit(call.get());
    if (!channel.ok()) return call->done(channel.status());
    Call* const raw = call.release();  // end() takes it back
    grpc::GenericStub stub(*channel);
    stub.UnaryCall(&raw->context, path, grpc::StubOptions(), &raw->request, &raw->response,
                   [this, raw](grpc::Status status) { end(std::unique_ptr<Call>(raw), status); });
  }

 private:
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
    Done done;
  };

  absl::StatusOr<std::shared_ptr<grpc::Channel>> admit(Call* call) {
    const std::lock_guard lock(mutex_);
    if (channel_ == nullptr || watch_->hung_up()) {
      if (absl::Status status = open_channel(); !status.ok()) return status;
    }
    cancellable_.insert(call);
    ++calls_;
    return channel_;
  }

  absl::Status open_channel() {
    const absl::StatusOr<int> fd = connect_();
    if (!fd.ok()) return fd.status();
    watch_.emplace(*fd);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);  // our own answers have no limit but memory
    arguments.SetMaxSendMessageSize(-1);
    channel_ = grpc::CreateCustomInsecureChannelFromFd("localhost", *fd, arguments);
    return absl::OkStatus();
  }

  void end(std::unique_ptr<Call> call, const grpc::Status& status) {
    Done done = std::move(call->done);
    absl::StatusOr<Bytes> answer = Bytes();
    if (status.ok()) {
      answer = to_bytes(call->response);
    } else {
      answer = to_status(status);
    }
    {
      const std::lock_guard lock(mutex_);
      cancellable_.erase(call.get());
    }
    call.reset();
    {
      const std::lock_guard lock(mutex_);
      --calls_;
      all_ended_.notify_all();
    }
    done(std::move(answer));
  }

  const std::function<absl::StatusOr<int>()> connect_;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::shared_ptr<grpc::Channel> channel_;
  std::optional<HangUpWatch> watch_;  // of channel_'s socket
  std::set<Call*> cancellable_;
  std::size_t calls_ = 0;
};

}  // namespace

std::unique_ptr<GrpcCaller> make_grpc_loopback(std::function<absl::StatusOr<int>()> connect) {
  return std::make_unique<GrpcLoopback>(std::move(connect));
}

}  // namespace holdfast::http
