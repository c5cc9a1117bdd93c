#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "operator/member/connection.h"

namespace holdfast::member {

/// A call with a stream of answers, each waited for so long at most. One thread.
template <class Response>
class StreamCall {
 public:
  using Reader = std::unique_ptr<grpc::ClientAsyncReader<Response>>;

  /// `begin(context, queue)` starts the call.
  template <class Begin>
  StreamCall(const std::string& token, std::chrono::milliseconds stall, const Begin& begin)
      : stall_(stall) {
    if (!token.empty()) context_.AddMetadata(kTokenKey, token);
    reader_ = begin(&context_, &queue_);
    begun_ = wait();
  }
  ~StreamCall() {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) continue;
  }
  StreamCall(const StreamCall&) = delete;
  StreamCall& operator=(const StreamCall&) = delete;

  /// False at the end of the stream, whose outcome finish() tells. `response` outlives the call.
  bool next(Response* response) {
    if (!begun_) return false;
    reader_->Read(response, nullptr);
    return wait();
  }

  grpc::Status finish() {
    if (stalled_) {
      return {grpc::StatusCode::DEADLINE_EXCEEDED, "nothing of the stream came for too long"};
    }
    grpc::Status status;
    reader_->Finish(&status, nullptr);
    wait();
    return status;
  }

 private:
  bool wait() {
    void* tag = nullptr;
    bool ok = false;
    const auto event = queue_.AsyncNext(&tag, &ok, after(stall_));
    stalled_ = stalled_ || event == grpc::CompletionQueue::TIMEOUT;
    return event == grpc::CompletionQueue::GOT_EVENT && ok;
  }

  const std::chrono::milliseconds stall_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  Reader reader_;
  bool begun_ = false;
  bool stalled_ = false;
};

}  // namespace holdfast::member
