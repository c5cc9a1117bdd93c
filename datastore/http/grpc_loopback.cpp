#include "datastore/http/grpc_loopback.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

namespace holdfast::http {
namespace {

// http://0.0.0.0:2379 -> 127.0.0.1:2379
std::string target_of(std::string_view url) {
  if (url.starts_with("unix:")) {
    return std::string(url);
  }
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  const std::size_t colon = url.rfind(':');
  const std::string_view host = url.substr(0, colon);
  const std::string port(url.substr(std::min(colon, url.size())));
  if (host.empty() || host == "0.0.0.0") {
    return "127.0.0.1" + port;
  }
  return host == "[::]" ? "[::1]" + port : std::string(url);
}

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
  explicit GrpcLoopback(std::string target) : target_(std::move(target)) {}

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
    Call* const raw = call.release();  // end() takes it back
    grpc::GenericStub stub(admit(raw));
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

  std::shared_ptr<grpc::Channel> admit(Call* call) {
    const std::lock_guard lock(mutex_);
    if (channel_ == nullptr) {
      grpc::ChannelArguments arguments;
      arguments.SetMaxReceiveMessageSize(-1);  // our own answers have no limit but memory
      arguments.SetMaxSendMessageSize(-1);
      arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
      channel_ = grpc::CreateCustomChannel(target_, grpc::InsecureChannelCredentials(), arguments);
    }
    cancellable_.insert(call);
    ++calls_;
    return channel_;
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

  const std::string target_;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::shared_ptr<grpc::Channel> channel_;
  std::set<Call*> cancellable_;
  std::size_t calls_ = 0;
};

}  // namespace

std::unique_ptr<GrpcCaller> make_grpc_loopback(std::string_view listen_url) {
  return std::make_unique<GrpcLoopback>(target_of(listen_url));
}

}  // namespace holdfast::http
