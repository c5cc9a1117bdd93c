#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/proto/reflection_v1.pb.h"
#include "datastore/proto/reflection_v1alpha.pb.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

/// Both versions of the protocol are the same messages under two package names.
struct V1 {
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;
};
struct V1Alpha {
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
};

template <class Version>
class Reflection final : public net::GrpcHandler {
 public:
  Reflection(const net::GrpcServices& services, net::CallRef call)
      : services_(services), call_(std::move(call)) {}

  void on_message(BytesView bytes) override {
    typename Version::Request request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return call_->finish(malformed_message(absl::InvalidArgumentError("reflection request")));
    }
    typename Version::Response response;
    response.set_valid_host(request.host());
    *response.mutable_original_request() = request;
    answer(request, response);
    call_->send(net::Message(response.SerializeAsString()));
  }

  void on_half_close() override { call_->finish(absl::OkStatus()); }

 private:
  void answer(const typename Version::Request& request, typename Version::Response& response) {
    const DescriptorPool& pool = *DescriptorPool::generated_pool();
    using Request = typename Version::Request;
    switch (request.message_request_case()) {
      case Request::kListServices:
        for (const std::string& name : services_.service_names()) {
          response.mutable_list_services_response()->add_service()->set_name(name);
        }
        return;
      case Request::kFileByFilename:
        return add_file(pool.FindFileByName(request.file_by_filename()), request.file_by_filename(),
                        response);
      case Request::kFileContainingSymbol:
        return add_file(pool.FindFileContainingSymbol(request.file_containing_symbol()),
                        request.file_containing_symbol(), response);
      case Request::kFileContainingExtension:
        return not_found(request.file_containing_extension().containing_type(), response);
      case Request::kAllExtensionNumbersOfType:
        return add_extensions(pool, request.all_extension_numbers_of_type(), response);
      case Request::MESSAGE_REQUEST_NOT_SET:
        break;
    }
    response.mutable_error_response()->set_error_code(
        static_cast<int>(absl::StatusCode::kInvalidArgument));
    response.mutable_error_response()->set_error_message("reflection: the request asks nothing");
  }

  /// The file and all it imports, except what this stream has had.
  void add_file(const FileDescriptor* file, const std::string& asked,
                typename Version::Response& response) {
    if (file == nullptr) return not_found(asked, response);
    sent_.erase(file->name());
    auto& files = *response.mutable_file_descriptor_response();
    std::vector<const FileDescriptor*> pending = {file};
    while (!pending.empty()) {
      const FileDescriptor* next = pending.back();
      pending.pop_back();
      if (!sent_.insert(next->name()).second) continue;
      google::protobuf::FileDescriptorProto proto;
      next->CopyTo(&proto);
      files.add_file_descriptor_proto(proto.SerializeAsString());
      for (int i = 0; i < next->dependency_count(); ++i) pending.push_back(next->dependency(i));
    }
  }

  void add_extensions(const DescriptorPool& pool, const std::string& type,
                      typename Version::Response& response) {
    if (pool.FindMessageTypeByName(type) == nullptr) return not_found(type, response);
    response.mutable_all_extension_numbers_response()->set_base_type_name(type);
  }

  void not_found(const std::string& what, typename Version::Response& response) {
    response.mutable_error_response()->set_error_code(
        static_cast<int>(absl::StatusCode::kNotFound));
    response.mutable_error_response()->set_error_message(
        absl::StrCat("reflection: nothing is known of \"", what, "\""));
  }

  const net::GrpcServices& services_;
  const net::CallRef call_;
  std::set<std::string> sent_;
};

template <class Version>
void add_reflection(net::GrpcServices& services, const char* package) {
  services.stream(absl::StrCat("/", package, ".ServerReflection/ServerReflectionInfo"),
                  net::MethodKind::kBidiStreaming, [&services](net::CallRef call) {
                    return std::make_unique<Reflection<Version>>(services, std::move(call));
                  });
}

}  // namespace

void register_reflection(net::GrpcServices& services) {
  add_reflection<V1>(services, "grpc.reflection.v1");
  add_reflection<V1Alpha>(services, "grpc.reflection.v1alpha");
}

}  // namespace holdfast::rpc
