#include "operator/member/client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/proto/rpc.grpc.pb.h"
#include "operator/member/page.h"

namespace holdfast::member {

namespace {

namespace pb = etcdserverpb;
using std::chrono::milliseconds;

/// A key that nobody writes: reads of it prove a quorum and cost nothing.
constexpr char kProbeKey[] = "\0holdfast.dev/probe";

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

std::string describe(const Endpoint& endpoint) {
  return absl::StrCat("member ", endpoint.name, " at ", endpoint.address, " port ", endpoint.port);
}

/// The member's own words stay as they are; those of the connection say whose it is.
absl::Status status_from(const grpc::Status& status, const Endpoint& endpoint) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (absl::StartsWith(status.error_message(), "etcdserver:")) {
    return absl::Status(code, status.error_message());
  }
  return absl::Status(code, absl::StrCat(describe(endpoint), ": ", status.error_message()));
}

std::chrono::system_clock::time_point after(milliseconds timeout) {
  return std::chrono::system_clock::now() + timeout;
}

Header header_from(const pb::ResponseHeader& header) {
  return {header.cluster_id(), header.member_id(), header.revision(), header.raft_term()};
}

MemberStatus status_answer(const pb::StatusResponse& response) {
  MemberStatus status;
  status.header = header_from(response.header());
  status.header.term = response.raftterm();
  status.version = response.version();
  status.storage_version = response.storageversion();
  status.leader_id = response.leader();
  status.raft_index = response.raftindex();
  status.raft_applied_index = response.raftappliedindex();
  status.is_learner = response.islearner();
  status.db_size_bytes = response.dbsize();
  status.db_size_in_use_bytes = response.dbsizeinuse();
  status.db_quota_bytes = response.dbsizequota();
  status.downgrade_enabled = response.downgradeinfo().enabled();
  status.downgrade_target = response.downgradeinfo().targetversion();
  status.errors.assign(response.errors().begin(), response.errors().end());
  return status;
}

std::vector<Alarm> alarms_answer(const pb::AlarmResponse& response) {
  std::vector<Alarm> alarms;
  for (const pb::AlarmMember& each : response.alarms()) {
    if (each.alarm() == pb::NOSPACE) alarms.push_back({each.memberid(), AlarmType::kNoSpace});
    if (each.alarm() == pb::CORRUPT) alarms.push_back({each.memberid(), AlarmType::kCorrupt});
  }
  return alarms;
}

ListedMember listed(const pb::Member& member) {
  return {member.id(),
          member.name(),
          {member.peerurls().begin(), member.peerurls().end()},
          {member.clienturls().begin(), member.clienturls().end()},
          member.islearner()};
}

absl::StatusOr<MemberList> list_answer(const pb::MemberListResponse& response, bool linearizable) {
  if (response.members_size() > kMaxListedMembers) {
    return absl::OutOfRangeError(
        absl::StrCat("a member lists ", response.members_size(), " members"));
  }
  MemberList list;
  list.cluster_id = response.header().cluster_id();
  list.answered_by = response.header().member_id();
  list.linearizable = linearizable;
  for (const pb::Member& each : response.members()) list.members.push_back(listed(each));
  return list;
}

pb::RangeRequest probe_read(bool serializable) {
  pb::RangeRequest request;
  request.set_key(kProbeKey, sizeof(kProbeKey) - 1);
  request.set_limit(1);
  request.set_count_only(true);
  request.set_serializable(serializable);
  return request;
}

pb::MemberListRequest list_request(bool linearizable) {
  pb::MemberListRequest request;
  request.set_linearizable(linearizable);
  return request;
}

pb::AlarmRequest alarms_request() {
  pb::AlarmRequest request;
  request.set_action(pb::AlarmRequest::GET);
  return request;
}

/// One call of several that run side by side. Destruction waits for the answer, which the deadline
/// bounds.
template <class Response>
class Pending {
 public:
  using Done = std::function<void(grpc::Status)>;

  /// start(context, response, done) begins the call.
  template <class Start>
  Pending(milliseconds timeout, const Start& start) {
    context_.set_deadline(after(timeout));
    start(&context_, &response_,
          [done = done_](grpc::Status status) { done->set_value(std::move(status)); });
  }
  ~Pending() {
    if (answer_.valid()) answer_.wait();
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

  absl::Status wait(const Endpoint& endpoint) { return status_from(answer_.get(), endpoint); }
  const Response& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  Response response_;
  /// The callback's too: it may still be inside set_value when the waiter is gone.
  std::shared_ptr<std::promise<grpc::Status>> done_ =
      std::make_shared<std::promise<grpc::Status>>();
  std::future<grpc::Status> answer_ = done_->get_future();
};

/// A channel and the stubs on it.
struct Line {
  explicit Line(const Endpoint& endpoint)
      : channel(channel_to(endpoint)),
        kv(pb::KV::NewStub(channel)),
        cluster(pb::Cluster::NewStub(channel)),
        maintenance(pb::Maintenance::NewStub(channel)) {}

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<pb::KV::Stub> kv;
  const std::unique_ptr<pb::Cluster::Stub> cluster;
  const std::unique_ptr<pb::Maintenance::Stub> maintenance;
};

bool is_of_the_connection(const absl::Status& status) {
  return !absl::StartsWith(status.message(), "etcdserver:") &&
         (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
}

}  // namespace

/// gRPC mends a broken channel only while some call waits on it, and here none does between two
/// looks. So a line that failed is hung up, and the next call makes another at once.
struct Client::Connection {
  Connection(Endpoint where, Timeouts times) : endpoint(std::move(where)), timeouts(times) {}

  std::shared_ptr<const Line> line() const {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!current) current = std::make_shared<const Line>(endpoint);
    return current;
  }

  void hang_up_after(const absl::Status& status, const std::shared_ptr<const Line>& used) const {
    if (!is_of_the_connection(status)) return;
    const std::lock_guard<std::mutex> lock(mutex);
    if (current == used) current.reset();
  }

  /// One call of a read: call(line, context).
  template <class Call>
  absl::Status read(milliseconds timeout, const Call& call) const {
    const std::shared_ptr<const Line> used = line();
    return call_over(used, timeout, call);
  }

  /// One call of a change. Only once the connection stands, so that "cannot be reached" and "maybe
  /// done" are told apart.
  template <class Call>
  absl::Status change(milliseconds timeout, const Call& call) const {
    const std::shared_ptr<const Line> used = line();
    if (!used->channel->WaitForConnected(after(timeouts.read))) {
      const absl::Status unreachable = absl::UnavailableError(
          absl::StrCat(describe(endpoint), " cannot be reached; nothing was sent"));
      hang_up_after(unreachable, used);
      return unreachable;
    }
    return after_sending_a_change(call_over(used, timeout, call));
  }

  const Endpoint endpoint;
  const Timeouts timeouts;

 private:
  template <class Call>
  absl::Status call_over(const std::shared_ptr<const Line>& used, milliseconds timeout,
                         const Call& call) const {
    grpc::ClientContext context;
    context.set_deadline(after(timeout));
    absl::Status status = status_from(call(*used, &context), endpoint);
    hang_up_after(status, used);
    return status;
  }

  mutable std::mutex mutex;
  mutable std::shared_ptr<const Line> current;
};

Client::Client(Endpoint endpoint, Timeouts timeouts)
    : connection_(std::make_unique<Connection>(std::move(endpoint), timeouts)) {
}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

const Endpoint& Client::endpoint() const {
  return connection_->endpoint;
}

Probe Client::probe(const ProbeOptions& options) const {
  const Connection& to = *connection_;
  const std::shared_ptr<const Line> line = to.line();
  const milliseconds timeout = to.timeouts.read;
  const pb::StatusRequest status_request;
  const pb::RangeRequest linearizable = probe_read(false);
  const pb::RangeRequest serializable = probe_read(true);
  const pb::AlarmRequest alarms_wanted = alarms_request();
  const pb::MemberListRequest own_list = list_request(false);
  const pb::MemberListRequest confirmed_list = list_request(true);

  Pending<pb::StatusResponse> status(timeout, [&](auto* context, auto* response, auto done) {
    line->maintenance->async()->Status(context, &status_request, response, std::move(done));
  });
  const auto range = [&](const pb::RangeRequest& request) {
    return [&line, &request](auto* context, auto* response, auto done) {
      line->kv->async()->Range(context, &request, response, std::move(done));
    };
  };
  Pending<pb::RangeResponse> quorum_read(timeout, range(linearizable));
  Pending<pb::RangeResponse> local_read(timeout, range(serializable));
  Pending<pb::AlarmResponse> alarms(timeout, [&](auto* context, auto* response, auto done) {
    line->maintenance->async()->Alarm(context, &alarms_wanted, response, std::move(done));
  });
  const auto list = [&](const pb::MemberListRequest& request) {
    return [&line, &request](auto* context, auto* response, auto done) {
      line->cluster->async()->MemberList(context, &request, response, std::move(done));
    };
  };
  Pending<pb::MemberListResponse> own(timeout, list(own_list));
  std::optional<Pending<pb::MemberListResponse>> confirmed;
  if (options.confirmed_member_list) confirmed.emplace(timeout, list(confirmed_list));

  Probe probe;
  probe.name = to.endpoint.name;
  if (options.metrics_page && to.endpoint.metrics_port != 0) {
    probe.page = fetch_metrics_page(to.endpoint, timeout);
  }
  if (const absl::Status got = status.wait(to.endpoint); got.ok()) {
    probe.status = status_answer(status.response());
  } else {
    probe.status = got;
    to.hang_up_after(got, line);
  }
  probe.linearizable_read = quorum_read.wait(to.endpoint);
  probe.serializable_read = local_read.wait(to.endpoint);
  if (const absl::Status got = alarms.wait(to.endpoint); got.ok()) {
    probe.alarms = alarms_answer(alarms.response());
  } else {
    probe.alarms = got;
  }
  const auto listing = [&](Pending<pb::MemberListResponse>& call,
                           bool is_confirmed) -> absl::StatusOr<MemberList> {
    if (const absl::Status got = call.wait(to.endpoint); !got.ok()) return got;
    return list_answer(call.response(), is_confirmed);
  };
  probe.member_list = listing(own, false);
  if (confirmed) probe.confirmed_member_list = listing(*confirmed, true);
  return probe;
}

absl::StatusOr<MemberStatus> Client::status() const {
  pb::StatusResponse response;
  const absl::Status status =
      connection_->read(connection_->timeouts.read, [&](const Line& line, auto* context) {
        return line.maintenance->Status(context, pb::StatusRequest(), &response);
      });
  if (!status.ok()) return status;
  return status_answer(response);
}

absl::StatusOr<MemberList> Client::member_list(bool linearizable) const {
  pb::MemberListResponse response;
  const absl::Status status =
      connection_->read(connection_->timeouts.read, [&](const Line& line, auto* context) {
        return line.cluster->MemberList(context, list_request(linearizable), &response);
      });
  if (!status.ok()) return status;
  return list_answer(response, linearizable);
}

absl::StatusOr<std::vector<Alarm>> Client::alarms() const {
  pb::AlarmResponse response;
  const absl::Status status =
      connection_->read(connection_->timeouts.read, [&](const Line& line, auto* context) {
        return line.maintenance->Alarm(context, alarms_request(), &response);
      });
  if (!status.ok()) return status;
  return alarms_answer(response);
}

absl::StatusOr<KeyValue> Client::get(const std::string& key, bool serializable) const {
  pb::RangeRequest request;
  request.set_key(key);
  request.set_serializable(serializable);
  pb::RangeResponse response;
  const absl::Status status = connection_->read(
      connection_->timeouts.read,
      [&](const Line& line, auto* context) { return line.kv->Range(context, request, &response); });
  if (!status.ok()) return status;
  if (response.kvs().empty()) return absl::NotFoundError(absl::StrCat("there is no key ", key));
  return KeyValue{response.kvs(0).value(), response.kvs(0).mod_revision()};
}

absl::StatusOr<KvHash> Client::hash_kv(std::int64_t revision) const {
  pb::HashKVRequest request;
  request.set_revision(revision);
  pb::HashKVResponse response;
  const absl::Status status =
      connection_->read(connection_->timeouts.maintenance, [&](const Line& line, auto* context) {
        return line.maintenance->HashKV(context, request, &response);
      });
  if (!status.ok()) return status;
  return KvHash{header_from(response.header()), response.hash(), response.compact_revision(),
                response.hash_revision()};
}

absl::StatusOr<ListedMember> Client::add_learner(const std::vector<std::string>& peer_urls) const {
  pb::MemberAddRequest request;
  request.set_islearner(true);
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  pb::MemberAddResponse response;
  const absl::Status status =
      connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
        return line.cluster->MemberAdd(context, request, &response);
      });
  if (!status.ok()) return status;
  return listed(response.member());
}

absl::Status Client::promote(std::uint64_t member_id) const {
  pb::MemberPromoteRequest request;
  request.set_id(member_id);
  pb::MemberPromoteResponse response;
  return connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
    return line.cluster->MemberPromote(context, request, &response);
  });
}

absl::Status Client::remove(std::uint64_t member_id) const {
  pb::MemberRemoveRequest request;
  request.set_id(member_id);
  pb::MemberRemoveResponse response;
  return connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
    return line.cluster->MemberRemove(context, request, &response);
  });
}

absl::Status Client::update(std::uint64_t member_id,
                            const std::vector<std::string>& peer_urls) const {
  pb::MemberUpdateRequest request;
  request.set_id(member_id);
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  pb::MemberUpdateResponse response;
  return connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
    return line.cluster->MemberUpdate(context, request, &response);
  });
}

absl::Status Client::disarm_alarm(const Alarm& alarm) const {
  pb::AlarmRequest request;
  request.set_action(pb::AlarmRequest::DEACTIVATE);
  request.set_memberid(alarm.member_id);
  request.set_alarm(alarm.type == AlarmType::kNoSpace ? pb::NOSPACE : pb::CORRUPT);
  pb::AlarmResponse response;
  return connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
    return line.maintenance->Alarm(context, request, &response);
  });
}

absl::Status Client::put(const std::string& key, const std::string& value) const {
  pb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  pb::PutResponse response;
  return connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
    return line.kv->Put(context, request, &response);
  });
}

absl::Status Client::compact(std::int64_t revision) const {
  pb::CompactionRequest request;
  request.set_revision(revision);
  pb::CompactionResponse response;
  return connection_->change(connection_->timeouts.maintenance,
                             [&](const Line& line, auto* context) {
                               return line.kv->Compact(context, request, &response);
                             });
}

absl::StatusOr<std::string> Client::downgrade(DowngradeAction action,
                                              const std::string& version) const {
  pb::DowngradeRequest request;
  switch (action) {
    case DowngradeAction::kValidate:
      request.set_action(pb::DowngradeRequest::VALIDATE);
      break;
    case DowngradeAction::kEnable:
      request.set_action(pb::DowngradeRequest::ENABLE);
      break;
    case DowngradeAction::kCancel:
      request.set_action(pb::DowngradeRequest::CANCEL);
      break;
  }
  request.set_version(version);
  pb::DowngradeResponse response;
  const absl::Status status =
      connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
        return line.maintenance->Downgrade(context, request, &response);
      });
  if (!status.ok()) return status;
  return response.version();
}

absl::Status Client::move_leader(std::uint64_t member_id) const {
  pb::MoveLeaderRequest request;
  request.set_targetid(member_id);
  pb::MoveLeaderResponse response;
  return connection_->change(connection_->timeouts.change, [&](const Line& line, auto* context) {
    return line.maintenance->MoveLeader(context, request, &response);
  });
}

absl::Status Client::defragment() const {
  pb::DefragmentResponse response;
  return connection_->change(
      connection_->timeouts.maintenance, [&](const Line& line, auto* context) {
        return line.maintenance->Defragment(context, pb::DefragmentRequest(), &response);
      });
}

}  // namespace holdfast::member
