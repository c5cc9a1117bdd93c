#include "operator/member/client.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/member/connection.h"
#include "operator/member/page.h"
#include "operator/member/stream_call.h"

namespace holdfast::member {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A key that nobody writes: reads of it prove a quorum and cost nothing.
constexpr char kProbeKey[] = "\0holdfast.dev/probe";

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
  Pending(milliseconds timeout, const std::string& token, const Start& start) {
    prepare(context_, timeout, token);
    start(&context_, &response_, [done = done_](grpc::Status status) {
      done->set_value({std::move(status), steady_clock::now()});
    });
  }
  ~Pending() {
    if (answer_.valid()) answer_.wait();
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

  absl::Status wait(const Endpoint& endpoint) {
    Answer answer = answer_.get();
    took_ = std::chrono::duration_cast<std::chrono::microseconds>(answer.at - began_);
    return status_from(answer.status, endpoint);
  }
  const Response& response() const { return response_; }
  /// Once waited for.
  std::chrono::microseconds took() const { return took_; }

 private:
  struct Answer {
    grpc::Status status;
    steady_clock::time_point at;
  };

  const steady_clock::time_point began_ = steady_clock::now();
  std::chrono::microseconds took_{0};
  grpc::ClientContext context_;
  Response response_;
  /// The callback's too: it may still be inside set_value when the waiter is gone.
  std::shared_ptr<std::promise<Answer>> done_ = std::make_shared<std::promise<Answer>>();
  std::future<Answer> answer_ = done_->get_future();
};

}  // namespace

Client::Client(Endpoint endpoint, Timeouts timeouts)
    : connection_(std::make_unique<Connection>(std::move(endpoint), timeouts)) {
}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

void Client::rest() const {
  connection_->hang_up();
}

const Endpoint& Client::endpoint() const {
  return connection_->endpoint;
}

namespace {

/// Everything asked side by side, with one token.
Probe ask(const Client::Connection& to, const ProbeOptions& options, const std::string& token) {
  const std::shared_ptr<const Line> line = to.line();
  const milliseconds timeout = to.timeouts.read;
  Probe probe;
  probe.name = to.endpoint.name;
  const pb::StatusRequest status_request;
  const pb::RangeRequest linearizable = probe_read(false);
  const pb::RangeRequest serializable = probe_read(true);
  const pb::AlarmRequest alarms_wanted = alarms_request();
  const pb::MemberListRequest own_list = list_request(false);
  const pb::MemberListRequest confirmed_list = list_request(true);

  Pending<pb::StatusResponse> status(timeout, token, [&](auto* context, auto* response, auto done) {
    line->maintenance->async()->Status(context, &status_request, response, std::move(done));
  });
  const auto range = [&](const pb::RangeRequest& request) {
    return [&line, &request](auto* context, auto* response, auto done) {
      line->kv->async()->Range(context, &request, response, std::move(done));
    };
  };
  Pending<pb::RangeResponse> quorum_read(timeout, token, range(linearizable));
  Pending<pb::RangeResponse> local_read(timeout, token, range(serializable));
  Pending<pb::AlarmResponse> alarms(timeout, token, [&](auto* context, auto* response, auto done) {
    line->maintenance->async()->Alarm(context, &alarms_wanted, response, std::move(done));
  });
  const auto list = [&](const pb::MemberListRequest& request) {
    return [&line, &request](auto* context, auto* response, auto done) {
      line->cluster->async()->MemberList(context, &request, response, std::move(done));
    };
  };
  Pending<pb::MemberListResponse> own(timeout, token, list(own_list));
  std::optional<Pending<pb::MemberListResponse>> confirmed;
  if (options.confirmed_member_list) confirmed.emplace(timeout, token, list(confirmed_list));

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
  if (probe.linearizable_read.ok()) probe.linearizable_read_took = quorum_read.took();
  probe.auth_enabled = !token.empty() || is_for_users_only(probe.linearizable_read);
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
  to.reconsider(probe.linearizable_read, token);
  return probe;
}

/// With a token if one is to be had. Else as nobody, or as whom our certificate names: that is
/// enough for a status and for lists.
Probe enter_and_ask(const Client::Connection& to, const ProbeOptions& options) {
  const std::shared_ptr<const Line> line = to.line();
  const absl::StatusOr<std::string> token = to.token(*line);
  if (token.ok()) return ask(to, options, *token);
  to.hang_up_after(token.status(), line);
  Probe probe;
  if (absl::IsUnavailable(token.status())) {
    probe.name = to.endpoint.name;
  } else {
    probe = ask(to, options, "");
  }
  probe.signed_in = token.status();
  return probe;
}

}  // namespace

Probe Client::probe(const ProbeOptions& options) const {
  Probe probe = enter_and_ask(*connection_, options);
  const bool again = connection_->endpoint.session && probe.signed_in.ok() &&
                     asks_for_token(probe.linearizable_read);
  if (again) probe = enter_and_ask(*connection_, options);
  probe.shut_out =
      probe.refuses_us() || (probe.signed_in.ok() && is_for_users_only(probe.linearizable_read));
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

absl::StatusOr<KeyPage> Client::read_keys(const std::string& from, std::int64_t limit) const {
  pb::RangeRequest request;
  request.set_key(from.empty() ? std::string(1, '\0') : from);
  request.set_range_end(std::string(1, '\0'));  // to the end
  request.set_limit(limit);
  request.set_serializable(true);
  pb::RangeResponse response;
  const absl::Status status = connection_->read(
      connection_->timeouts.maintenance,
      [&](const Line& line, auto* context) { return line.kv->Range(context, request, &response); });
  if (!status.ok()) return status;
  KeyPage page;
  for (const auto& pair : response.kvs()) {
    page.keys += 1;
    page.bytes += static_cast<std::int64_t>(pair.key().size() + pair.value().size());
  }
  if (response.more()) page.next = response.kvs().rbegin()->key() + '\0';
  return page;
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

absl::Status Client::snapshot(const std::function<absl::Status(const SnapshotPiece&)>& take) const {
  const std::shared_ptr<const Line> line = connection_->line();
  const absl::StatusOr<std::string> token = connection_->token(*line);
  if (!token.ok()) {
    connection_->hang_up_after(token.status(), line);
    return token.status();
  }
  pb::SnapshotResponse response;  // outlives the call, which may still be reading into it
  StreamCall<pb::SnapshotResponse> call(
      *token, connection_->timeouts.stall, [&](auto* context, auto* queue) {
        return line->maintenance->AsyncSnapshot(context, pb::SnapshotRequest(), queue, nullptr);
      });
  while (call.next(&response)) {
    SnapshotPiece piece;
    if (response.has_header()) piece.header = header_from(response.header());
    piece.remaining_bytes = response.remaining_bytes();
    piece.bytes = response.blob();
    if (absl::Status status = take(piece); !status.ok()) return status;
  }
  absl::Status status = status_from(call.finish(), connection_->endpoint);
  connection_->reconsider(status, *token);
  connection_->hang_up_after(status, line);
  return status;
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

absl::Status Client::compact(std::int64_t revision, bool until_free) const {
  pb::CompactionRequest request;
  request.set_revision(revision);
  request.set_physical(until_free);
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
