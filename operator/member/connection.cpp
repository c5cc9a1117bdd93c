#include "operator/member/connection.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace holdfast::member {

namespace {

using std::chrono::milliseconds;

constexpr int kMaxAnswerBytes = 4 * 1024 * 1024;
constexpr int kReconnectMilliseconds = 200;

std::string target_of(const Endpoint& endpoint) {
  const std::string& address = endpoint.address;
  if (absl::StrContains(address, ':')) {
    return absl::StrCat("ipv6:[", address, "]:", endpoint.port);
  }
  const bool numeric = address.find_first_not_of("0123456789.") == std::string::npos;
  return absl::StrCat(numeric ? "ipv4:" : "dns:///", address, ":", endpoint.port);
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const Endpoint& endpoint) {
  if (!endpoint.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = endpoint.tls->ca_bundle_pem;
  options.pem_cert_chain = endpoint.tls->certificate_pem;
  options.pem_private_key = endpoint.tls->private_key_pem;
  return grpc::SslCredentials(options);
}

std::shared_ptr<grpc::Channel> channel_to(const Endpoint& endpoint) {
  grpc::ChannelArguments arguments;
  if (endpoint.tls && !endpoint.server_name.empty()) {
    arguments.SetSslTargetNameOverride(endpoint.server_name);
  }
  // A proxy of the environment is for the world outside, and a connection made with other
  // certificates must not be reused.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  return grpc::CreateCustomChannel(target_of(endpoint), credentials_of(endpoint), arguments);
}

/// The password is wrong, or there is no such user, or one without a password.
bool is_refusal(const absl::Status& status) {
  return says(status, "etcdserver: authentication failed, invalid user ID or password") ||
         says(status, "auth: authentication failed, password was given for no password user");
}

absl::StatusOr<std::string> authenticate(const Line& line, const Endpoint& endpoint,
                                         milliseconds timeout, const Credentials& credentials) {
  grpc::ClientContext context;
  prepare(context, timeout, "");
  pb::AuthenticateRequest request;
  request.set_name(credentials.user);
  request.set_password(credentials.password);
  pb::AuthenticateResponse response;
  const absl::Status status =
      status_from(line.auth->Authenticate(&context, request, &response), endpoint);
  if (!status.ok()) return status;
  return response.token();
}

}  // namespace

std::chrono::system_clock::time_point after(milliseconds timeout) {
  return std::chrono::system_clock::now() + timeout;
}

void prepare(grpc::ClientContext& context, milliseconds timeout, const std::string& token) {
  context.set_deadline(after(timeout));
  if (!token.empty()) context.AddMetadata(kTokenKey, token);
}

absl::Status status_from(const grpc::Status& status, const Endpoint& endpoint) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (absl::StartsWith(status.error_message(), "etcdserver:") ||
      absl::StartsWith(status.error_message(), "auth:")) {
    return absl::Status(code, status.error_message());
  }
  return absl::Status(code, absl::StrCat(describe(endpoint), ": ", status.error_message()));
}

std::string describe(const Endpoint& endpoint) {
  return absl::StrCat("member ", endpoint.name, " at ", endpoint.address, " port ", endpoint.port);
}

bool says(const absl::Status& status, std::string_view sentence) {
  return status.message() == absl::string_view(sentence.data(), sentence.size());
}

bool is_members_own(const absl::Status& status) {
  return absl::StartsWith(status.message(), "etcdserver:") ||
         absl::StartsWith(status.message(), "auth:");
}

bool asks_for_token(const absl::Status& status) {
  return says(status, "etcdserver: invalid auth token") ||
         says(status, "etcdserver: user name is empty") ||
         says(status, "etcdserver: revision of auth store is old");
}

bool is_for_users_only(const absl::Status& status) {
  return says(status, "etcdserver: user name is empty") ||
         says(status, "etcdserver: permission denied");
}

bool is_of_the_connection(const absl::Status& status) {
  return !is_members_own(status) &&
         (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
}

Line::Line(const Endpoint& endpoint)
    : channel(channel_to(endpoint)),
      kv(pb::KV::NewStub(channel)),
      cluster(pb::Cluster::NewStub(channel)),
      maintenance(pb::Maintenance::NewStub(channel)),
      auth(pb::Auth::NewStub(channel)) {
}

std::shared_ptr<const Line> Client::Connection::line() const {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!current) current = std::make_shared<const Line>(endpoint);
  return current;
}

void Client::Connection::hang_up() const {
  std::shared_ptr<const Line> ended;  // outside the lock: it may take a while
  const std::lock_guard<std::mutex> lock(mutex);
  ended.swap(current);
}

void Client::Connection::hang_up_after(const absl::Status& status,
                                       const std::shared_ptr<const Line>& used) const {
  if (!is_of_the_connection(status)) return;
  const std::lock_guard<std::mutex> lock(mutex);
  if (current == used) current.reset();
}

absl::StatusOr<std::string> Client::Connection::token(const Line& used) const {
  if (!endpoint.session) return std::string();
  Session& session = *endpoint.session;
  const absl::StatusOr<Session::Pass> pass = session.enter(Session::Clock::now());
  if (!pass.ok()) return pass.status();
  if (pass->token) return *pass->token;
  absl::Status refusal;
  for (const Credentials& each : pass->attempts) {
    const auto answer = authenticate(used, endpoint, timeouts.read, each);
    const auto now = Session::Clock::now();
    if (answer.ok()) {
      session.accepted(each, *answer, now);
      return *answer;
    }
    if (says(answer.status(), "etcdserver: authentication is not enabled")) {
      session.auth_is_off(now);
      return std::string();
    }
    refusal = answer.status();
    if (is_refusal(refusal)) continue;
    // This member can't say: it is a learner, has no quorum, or is not there.
    return pass->spare.empty() ? answer : pass->spare;
  }
  session.refused(refusal, Session::Clock::now());
  return refusal;
}

void Client::Connection::reconsider(const absl::Status& status, const std::string& token) const {
  if (endpoint.session && asks_for_token(status)) endpoint.session->drop(token);
}

}  // namespace holdfast::member
