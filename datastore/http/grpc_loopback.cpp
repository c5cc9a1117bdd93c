#include "datastore/http/grpc_loopback.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <iterator>
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

/// What can be ended early, whenever.
class Cancellable {
 public:
  virtual ~Cancellable() = default;
  virtual void cancel() = 0;
};

/// gRPC's channel must not be destroyed on one of gRPC's own threads, and each call's context holds
/// it: so a call lets go of its context first and only then counts as ended, and the destructor
/// waits until all have.
class GrpcLoopback final : public GrpcCaller {
 public:
  explicit GrpcLoopback(std::function<absl::StatusOr<int>()> connect)
      : connect_(std::move(connect)) {}

  ~GrpcLoopback() override {
    std::unique_lock lock(mutex_);
    for (Cancellable* call : cancellable_) call->cancel();
    all_ended_.wait(lock, [this] { return calls_ == 0; });
  }

  std::shared_ptr<GrpcCallHandle> call(const std::string& path, Bytes request,
                                       GrpcMetadata metadata, Done done) override {
    auto call = std::make_shared<Call>();
    call->request = to_buffer(request);
    call->done = std::move(done);
    for (const auto& [name, value] : metadata) call->context->AddMetadata(name, value);
    // The member reserves more memory for what is to become JSON.
    call->context->AddMetadata("holdfast-gateway", "1");
    absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = admit(call.get());
    if (!channel.ok()) {
      call->done(channel.status());
      return nullptr;
    }
    grpc::GenericStub stub(*channel);
    stub.UnaryCall(&*call->context, path, grpc::StubOptions(), &call->request, &call->response,
                   [this, call](const grpc::Status& status) { end(*call, status); });
    return call;
  }

  std::shared_ptr<GrpcStreamCall> stream(const std::string& path, std::vector<Bytes> requests,
                                         GrpcMetadata metadata,
                                         std::shared_ptr<GrpcStreamReader> reader) override {
    return begin(path,
                 std::make_shared<Stream>(*this, std::move(requests), /*half_closes=*/true,
                                          std::move(reader)),
                 metadata);
  }

  std::shared_ptr<GrpcStreamCall> open(const std::string& path, GrpcMetadata metadata,
                                       std::shared_ptr<GrpcStreamReader> reader) override {
    return begin(path,
                 std::make_shared<Stream>(*this, std::vector<Bytes>(), /*half_closes=*/false,
                                          std::move(reader)),
                 metadata);
  }

 private:
  class Stream;

  std::shared_ptr<GrpcStreamCall> begin(const std::string& path, std::shared_ptr<Stream> stream,
                                        const GrpcMetadata& metadata) {
    absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = admit(stream.get());
    if (!channel.ok()) {
      stream->refuse(channel.status());
      return nullptr;
    }
    stream->begin(*channel, path, metadata);
    return stream;
  }

  /// Lives until gRPC is done with it and whoever may cancel it has let go.
  class Call final : public GrpcCallHandle, public Cancellable {
   public:
    void cancel() override {
      const std::lock_guard lock(mutex);
      if (context) context->TryCancel();
    }
    std::mutex mutex;
    std::optional<grpc::ClientContext> context{std::in_place};  // guarded by mutex
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
    Done done;
  };

  /// Lives until gRPC is done with it and whoever asks for messages has let go.
  class Stream final : public GrpcStreamCall,
                       public Cancellable,
                       public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                       public std::enable_shared_from_this<Stream> {
   public:
    Stream(GrpcLoopback& loopback, std::vector<Bytes> requests, bool half_closes,
           std::shared_ptr<GrpcStreamReader> reader)
        : loopback_(loopback),
          requests_(std::make_move_iterator(requests.begin()),
                    std::make_move_iterator(requests.end())),
          half_closes_(half_closes),
          reader_(std::move(reader)) {}

    void begin(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
               const GrpcMetadata& metadata) {
      self_ = shared_from_this();
      for (const auto& [name, value] : metadata) context_->AddMetadata(name, value);
      grpc::GenericStub(channel).PrepareBidiStreamingCall(&*context_, path, grpc::StubOptions(),
                                                          this);
      AddHold();  // reads and writes are asked for from outside; gone with the read that fails
      {
        const std::lock_guard lock(mutex_);
        write_next();
      }
      StartCall();
    }
    void refuse(const absl::Status& why) { reader_->on_end(why); }

    void next() override {
      if (!reading_.exchange(true)) StartRead(&answer_);
    }
    void cancel() override {
      {
        const std::lock_guard lock(mutex_);
        if (!context_) return;
        context_->TryCancel();
      }
      next();  // which fails, if none is under way
    }

    void send(Bytes request) override {
      const std::lock_guard lock(mutex_);
      if (no_more_) return;
      requests_.push_back(std::move(request));
      if (!writing_) write_next();
    }

    void OnWriteDone(bool ok) override {
      if (!ok) return;
      reader_->on_sent();
      const std::lock_guard lock(mutex_);
      write_next();
    }
    void OnReadDone(bool ok) override {
      if (!ok) {
        {
          // What is still to be written goes nowhere, and nothing may be begun without the hold.
          const std::lock_guard lock(mutex_);
          no_more_ = true;
        }
        return RemoveHold();
      }
      Bytes message = to_bytes(answer_);
      reading_ = false;
      reader_->on_message(std::move(message));
    }
    void OnDone(const grpc::Status& status) override {
      const std::shared_ptr<Stream> self = std::move(self_);
      const std::shared_ptr<GrpcStreamReader> reader = std::move(reader_);
      const absl::Status outcome = status.ok() ? absl::OkStatus() : to_status(status);
      loopback_.forget(this);
      {
        const std::lock_guard lock(mutex_);
        context_.reset();
      }
      loopback_.count_ended();
      reader->on_end(outcome);
    }

   private:
    /// mutex_ held.
    void write_next() {
      writing_ = !requests_.empty();
      if (writing_) {
        request_ = to_buffer(requests_.front());
        requests_.pop_front();
        StartWrite(&request_);
      } else if (half_closes_) {
        StartWritesDone();
      }
    }

    GrpcLoopback& loopback_;
    std::deque<Bytes> requests_;  // guarded by mutex_, as the next three
    bool writing_ = false;
    bool no_more_ = false;
    const bool half_closes_;
    std::shared_ptr<GrpcStreamReader> reader_;
    std::shared_ptr<Stream> self_;
    grpc::ByteBuffer request_;
    grpc::ByteBuffer answer_;
    std::atomic<bool> reading_{false};
    std::mutex mutex_;
    std::optional<grpc::ClientContext> context_{std::in_place};  // guarded by mutex_
  };

  absl::StatusOr<std::shared_ptr<grpc::Channel>> admit(Cancellable* call) {
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

  void end(Call& call, const grpc::Status& status) {
    Done done = std::move(call.done);
    absl::StatusOr<Bytes> answer = Bytes();
    if (status.ok()) {
      answer = to_bytes(call.response);
    } else {
      answer = to_status(status);
    }
    forget(&call);
    {
      const std::lock_guard lock(call.mutex);
      call.context.reset();
    }
    count_ended();
    done(std::move(answer));
  }

  void forget(Cancellable* call) {
    const std::lock_guard lock(mutex_);
    cancellable_.erase(call);
  }
  void count_ended() {
    const std::lock_guard lock(mutex_);
    --calls_;
    all_ended_.notify_all();
  }

  const std::function<absl::StatusOr<int>()> connect_;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::shared_ptr<grpc::Channel> channel_;
  std::optional<HangUpWatch> watch_;  // of channel_'s socket
  std::set<Cancellable*> cancellable_;
  std::size_t calls_ = 0;
};

}  // namespace

std::unique_ptr<GrpcCaller> make_grpc_loopback(std::function<absl::StatusOr<int>()> connect) {
  return std::make_unique<GrpcLoopback>(std::move(connect));
}

}  // namespace holdfast::http
