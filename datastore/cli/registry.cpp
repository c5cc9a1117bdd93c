#include "datastore/cli/registry.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>
#include <fstream>
#include <future>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "datastore/proto/rpc.pb.h"

namespace holdfast::cli {

namespace {

namespace pb = etcdserverpb;

constexpr char kRange[] = "/etcdserverpb.KV/Range";
constexpr char kPut[] = "/etcdserverpb.KV/Put";
constexpr char kAuthenticate[] = "/etcdserverpb.Auth/Authenticate";

absl::StatusOr<std::string> read_pem(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path);
  if (!file) {
    return absl::InvalidArgumentError(
        absl::StrCat("can't read ", path, ", which a --discovery-… flag names"));
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// As etcd's client decides: TLS wherever a setting or the endpoint asks for it.
bool speaks_tls(const config::DiscoveryOptions& options, const std::string& endpoint) {
  return absl::StartsWith(endpoint, "https://") || absl::StartsWith(endpoint, "unixs:") ||
         !options.insecure_transport || options.insecure_skip_tls_verify || !options.cert.empty() ||
         !options.key.empty() || !options.cacert.empty();
}

/// What gRPC dials for an endpoint as etcd's client takes them.
std::string dial_target(const std::string& endpoint) {
  absl::string_view target = endpoint;
  if (absl::ConsumePrefix(&target, "http://") || absl::ConsumePrefix(&target, "https://")) {
    return std::string(target);
  }
  if (absl::ConsumePrefix(&target, "unix://") || absl::ConsumePrefix(&target, "unixs://") ||
      absl::ConsumePrefix(&target, "unixs:")) {
    return absl::StrCat("unix:", target);
  }
  return endpoint;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> tls_credentials(
    const config::DiscoveryOptions& options) {
  const absl::StatusOr<std::string> ca = read_pem(options.cacert);
  const absl::StatusOr<std::string> cert = read_pem(options.cert);
  const absl::StatusOr<std::string> key = read_pem(options.key);
  for (const auto* file : {&ca, &cert, &key}) {
    if (!file->ok()) return file->status();
  }
  if (!options.insecure_skip_tls_verify) return grpc::SslCredentials({*ca, *key, *cert});
  grpc::experimental::TlsChannelCredentialsOptions tls;
  tls.set_verify_server_certs(false);
  tls.set_check_call_host(false);
  tls.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  if (!cert->empty()) {
    tls.set_certificate_provider(
        std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
            std::vector<grpc::experimental::IdentityKeyCertPair>{{*key, *cert}}));
    tls.watch_identity_key_cert_pairs();
  }
  return grpc::experimental::TlsCredentials(tls);
}

grpc::ChannelArguments channel_arguments(const config::DiscoveryOptions& options) {
  const auto milliseconds = [](std::chrono::nanoseconds time) {
    return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  };
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, milliseconds(options.dial_timeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(options.keepalive_timeout));
  return arguments;
}

/// The first key that does not begin with `prefix`, which ends with no byte 0xff.
std::string after_prefix(std::string prefix) {
  ++prefix.back();
  return prefix;
}

class GrpcRegistry final : public Registry {
 public:
  GrpcRegistry(const config::DiscoveryOptions& options,
               std::vector<std::shared_ptr<grpc::Channel>> channels)
      : channels_(std::move(channels)),
        request_timeout_(options.request_timeout),
        user_(options.user),
        password_(options.password) {
    if (password_.empty()) {
      const std::vector<std::string> parts = absl::StrSplit(user_, absl::MaxSplits(':', 1));
      user_ = parts.front();
      if (parts.size() > 1) password_ = parts[1];
    }
  }

  absl::StatusOr<std::vector<Entry>> read(const std::string& key) override {
    pb::RangeRequest request;
    request.set_key(key);
    return range(request);
  }
  absl::StatusOr<std::vector<Entry>> read_prefix(const std::string& prefix) override {
    pb::RangeRequest request;
    request.set_key(prefix);
    request.set_range_end(after_prefix(prefix));
    return range(request);
  }
  absl::Status put(const std::string& key, const std::string& value) override {
    pb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    return authenticated_call<pb::PutResponse>(kPut, request).status();
  }

 private:
  absl::StatusOr<std::vector<Entry>> range(const pb::RangeRequest& request) {
    const absl::StatusOr<pb::RangeResponse> response =
        authenticated_call<pb::RangeResponse>(kRange, request);
    if (!response.ok()) return response.status();
    std::vector<Entry> entries;
    for (const auto& kv : response->kvs()) {
      entries.push_back({kv.key(), kv.value(), kv.create_revision()});
    }
    return entries;
  }

  template <class Response, class Request>
  absl::StatusOr<Response> authenticated_call(const char* method, const Request& request) {
    if (!user_.empty() && token_.empty()) {
      pb::AuthenticateRequest login;
      login.set_name(user_);
      login.set_password(password_);
      const absl::StatusOr<pb::AuthenticateResponse> response =
          call<pb::AuthenticateResponse>(kAuthenticate, login);
      if (!response.ok()) return response.status();
      token_ = response->token();
    }
    absl::StatusOr<Response> response = call<Response>(method, request);
    // Tokens expire: the next call asks for another.
    if (absl::IsUnauthenticated(response.status())) token_.clear();
    return response;
  }

  /// From the endpoint that answered last, around, until one answers.
  template <class Response, class Request>
  absl::StatusOr<Response> call(const char* method, const Request& request) {
    absl::Status last;
    for (std::size_t tried = 0; tried < channels_.size(); ++tried) {
      absl::StatusOr<Response> response = call_one<Response>(channels_[current_], method, request);
      if (response.ok()) return response;
      last = response.status();
      if (!absl::IsUnavailable(last) && !absl::IsDeadlineExceeded(last)) break;
      current_ = (current_ + 1) % channels_.size();
    }
    return last;
  }

  template <class Response, class Request>
  absl::StatusOr<Response> call_one(const std::shared_ptr<grpc::Channel>& channel,
                                    const char* method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + request_timeout_);
    if (!token_.empty()) context.AddMetadata("token", token_);
    Response response;
    std::promise<grpc::Status> done;
    grpc::TemplatedGenericStub<Request, Response> stub(channel);
    stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    return response;
  }

  const std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::size_t current_ = 0;
  const std::chrono::nanoseconds request_timeout_;
  std::string user_;
  std::string password_;
  std::string token_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Registry>> connect_registry(
    const config::DiscoveryOptions& options) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const std::string& endpoint : options.endpoints) {
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    if (speaks_tls(options, endpoint)) {
      absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> tls = tls_credentials(options);
      if (!tls.ok()) return tls.status();
      credentials = *std::move(tls);
    }
    channels.push_back(
        grpc::CreateCustomChannel(dial_target(endpoint), credentials, channel_arguments(options)));
  }
  return std::make_unique<GrpcRegistry>(options, std::move(channels));
}

}  // namespace holdfast::cli
