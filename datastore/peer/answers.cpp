#include "datastore/peer/answers.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "datastore/base/errors.h"
#include "datastore/codec/member_json.h"
#include "datastore/codec/wire.h"

namespace holdfast::peer {
namespace {

using codec::bytes_tag;
using codec::varint_tag;
using codec::WireReader;
using codec::WireWriter;
using nlohmann::json;

constexpr int kOk = 200;
constexpr int kBadRequest = 400;
constexpr int kNotFound = 404;
constexpr int kRequestTimeout = 408;
constexpr int kPreconditionFailed = 412;
constexpr int kInternalError = 500;

// What etcd's members say to each other, word for word.
constexpr char kMemberNotFound[] = "membership: ID not found";
constexpr char kNotLearner[] = "membership: can only promote a learner member";
constexpr char kLearnerNotReady[] =
    "etcdserver: can only promote a learner member which is in sync with leader";
constexpr char kLeaseNotFound[] = "lease not found";
constexpr char kNotPrimary[] = "not a primary lessor";
constexpr char kApplyTimeout[] = "waiting for node to catch up its applied index has timed out";
constexpr char kCompacted[] = "mvcc: required revision has been compacted";
constexpr char kFutureRevision[] = "mvcc: required revision is a future revision";

/// Of a foreign text, what is worth repeating.
constexpr std::size_t kMaxQuotedBytes = 256;

std::string_view text_of(const net::Http1Response& answer) {
  const absl::string_view text = absl::StripAsciiWhitespace(answer.body);
  return {text.data(), text.size()};
}

absl::Status unexpected(const net::Http1Response& answer) {
  return absl::UnavailableError(
      absl::StrCat("the peer answered ", answer.status, ": ",
                   absl::string_view(answer.body).substr(0, kMaxQuotedBytes)));
}

absl::Status unreadable(const char* what) {
  return absl::UnavailableError(absl::StrCat("the peer answered what is no ", what));
}

json parse(BytesView text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::int64_t number_at(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::string text_at(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string quoted(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string_view message_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

// --- /raft/probing ----------------------------------------------------------------------------

Bytes encode_probe(std::int64_t unix_milliseconds) {
  return absl::StrCat("{\"OK\":true,\"Now\":\"",
                      absl::FormatTime(absl::RFC3339_full, absl::FromUnixMillis(unix_milliseconds),
                                       absl::UTCTimeZone()),
                      "\"}\n");
}

absl::StatusOr<std::int64_t> decode_probe(const net::Http1Response& answer) {
  if (answer.status != kOk) return unexpected(answer);
  const json object = parse(answer.body);
  absl::Time time;
  std::string error;
  if (!object.is_object() ||
      !absl::ParseTime(absl::RFC3339_full, text_at(object, "Now"), &time, &error)) {
    return unreadable("time");
  }
  return absl::ToUnixMillis(time);
}

// --- /members ---------------------------------------------------------------------------------

Bytes encode_members(const std::vector<node::MemberInfo>& members) {
  Bytes out = "[";
  for (const node::MemberInfo& member : members) {
    if (out.size() > 1) out += ',';
    out += codec::encode_member_json({.id = member.id,
                                      .peer_urls = member.peer_urls,
                                      .is_learner = member.is_learner,
                                      .name = member.name,
                                      .client_urls = member.client_urls});
  }
  return out + "]\n";
}

absl::StatusOr<std::vector<node::MemberInfo>> decode_promotion(const net::Http1Response& answer) {
  if (answer.status == kNotFound) return errors::member_not_found();
  if (answer.status == kPreconditionFailed) {
    if (text_of(answer) == kLearnerNotReady) return errors::learner_not_ready();
    if (text_of(answer) == kNotLearner) return errors::member_not_learner();
  }
  if (answer.status != kOk) return unexpected(answer);
  const json list = parse(answer.body);
  if (!list.is_array()) return unreadable("list of members");
  std::vector<node::MemberInfo> members;
  for (const json& element : list) {
    absl::StatusOr<codec::Member> member = codec::decode_member_json(element.dump());
    if (!member.ok()) return unreadable("list of members");
    members.push_back({.id = member->id,
                       .name = std::move(member->name),
                       .peer_urls = std::move(member->peer_urls),
                       .client_urls = std::move(member->client_urls),
                       .is_learner = member->is_learner});
  }
  return members;
}

Refusal encode_promotion_error(const absl::Status& why) {
  if (why == errors::member_not_found()) return {kNotFound, kMemberNotFound};
  if (why == errors::member_not_learner()) return {kPreconditionFailed, kNotLearner};
  if (why == errors::learner_not_ready()) return {kPreconditionFailed, kLearnerNotReady};
  return {kInternalError, std::string(message_of(why))};
}

// --- /version ---------------------------------------------------------------------------------

Bytes encode_version(const node::PeerVersion& version) {
  return absl::StrCat("{\"etcdserver\":", quoted(version.server),
                      ",\"etcdcluster\":", quoted(version.cluster),
                      ",\"storage\":", quoted(version.storage), "}");
}

absl::StatusOr<node::PeerVersion> decode_version(const net::Http1Response& answer) {
  if (answer.status != kOk) return unexpected(answer);
  const json object = parse(answer.body);
  if (!object.is_object()) return unreadable("version");
  node::PeerVersion version{.server = text_at(object, "etcdserver"),
                            .cluster = text_at(object, "etcdcluster"),
                            .storage = text_at(object, "storage")};
  if (version.server.empty()) return unreadable("version");
  return version;
}

// --- /members/hashkv --------------------------------------------------------------------------

Bytes encode_hash_request(Revision revision) {
  if (!revision) return "{}";
  return absl::StrCat("{\"revision\":", revision.value, "}");
}

absl::StatusOr<Revision> decode_hash_request(BytesView body) {
  const json object = parse(body);
  if (!object.is_object()) return absl::InvalidArgumentError("error unmarshalling request");
  return Revision(number_at(object, "revision"));
}

Bytes encode_hash(const node::HashResult& result) {
  Bytes out = "{\"header\":{";
  if (result.revision) absl::StrAppend(&out, "\"revision\":", result.revision.value);
  out += '}';
  if (result.hash != 0) absl::StrAppend(&out, ",\"hash\":", result.hash);
  if (result.compact_revision) {
    absl::StrAppend(&out, ",\"compact_revision\":", result.compact_revision.value);
  }
  if (result.hash_revision) {
    absl::StrAppend(&out, ",\"hash_revision\":", result.hash_revision.value);
  }
  return out + "}";
}

absl::StatusOr<node::HashResult> decode_hash(const net::Http1Response& answer) {
  if (answer.status == kBadRequest) {
    if (absl::StrContains(answer.body, kCompacted)) return errors::compacted();
    if (absl::StrContains(answer.body, kFutureRevision)) return errors::future_revision();
  }
  if (answer.status != kOk) return unexpected(answer);
  const json object = parse(answer.body);
  if (!object.is_object()) return unreadable("hash");
  node::HashResult result;
  if (const auto header = object.find("header"); header != object.end() && header->is_object()) {
    result.revision = Revision(number_at(*header, "revision"));
  }
  result.hash = static_cast<std::uint32_t>(number_at(object, "hash"));
  result.compact_revision = Revision(number_at(object, "compact_revision"));
  result.hash_revision = Revision(number_at(object, "hash_revision"));
  return result;
}

// --- /leases ----------------------------------------------------------------------------------

Bytes encode_keep_alive_request(LeaseId lease) {
  Bytes out;
  WireWriter(&out).int64(1, lease.value);
  return out;
}

absl::StatusOr<LeaseId> decode_keep_alive_request(BytesView body) {
  LeaseId lease;
  WireReader reader(body);
  while (reader.next()) {
    if (reader.tag() == varint_tag(1)) {
      lease = LeaseId(reader.int64());
    } else {
      reader.skip();
    }
  }
  if (absl::Status status = reader.status("LeaseKeepAliveRequest"); !status.ok()) return status;
  return lease;
}

Bytes encode_keep_alive(LeaseId lease, std::int64_t ttl_seconds) {
  Bytes out;
  WireWriter writer(&out);
  writer.int64(2, lease.value);
  writer.int64(3, ttl_seconds);
  return out;
}

namespace {

/// The error of an answer that is not 200, for leases.
absl::Status lease_error(const net::Http1Response& answer) {
  if (answer.status == kNotFound && text_of(answer) == kLeaseNotFound) {
    return errors::lease_not_found();
  }
  if (answer.status == kRequestTimeout) return errors::timeout_wait_applied_index();
  if (answer.status == kBadRequest && text_of(answer) == kNotPrimary) return errors::not_leader();
  return unexpected(answer);
}

void read_lease_times(BytesView body, node::LeaseTimes* times, WireReader* outer) {
  WireReader reader(body);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(2):
        times->id = LeaseId(reader.int64());
        break;
      case varint_tag(3):
        times->ttl_seconds = reader.int64();
        break;
      case varint_tag(4):
        times->granted_ttl_seconds = reader.int64();
        break;
      case bytes_tag(5):
        times->keys.emplace_back(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  if (reader.failed()) outer->fail("bad LeaseTimeToLiveResponse");
}

}  // namespace

absl::StatusOr<std::int64_t> decode_keep_alive(const net::Http1Response& answer) {
  if (answer.status != kOk) return lease_error(answer);
  std::int64_t ttl_seconds = 0;
  WireReader reader(answer.body);
  while (reader.next()) {
    if (reader.tag() == varint_tag(3)) {
      ttl_seconds = reader.int64();
    } else {
      reader.skip();
    }
  }
  if (reader.failed()) return unreadable("LeaseKeepAliveResponse");
  return ttl_seconds;
}

Bytes encode_lease_query(const LeaseQuery& query) {
  Bytes inner;
  WireWriter inner_writer(&inner);
  inner_writer.int64(1, query.lease.value);
  inner_writer.boolean(2, query.keys);
  Bytes out;
  WireWriter(&out).bytes_always(1, inner);
  return out;
}

absl::StatusOr<LeaseQuery> decode_lease_query(BytesView body) {
  LeaseQuery query;
  WireReader outer(body);
  while (outer.next()) {
    if (outer.tag() != bytes_tag(1)) {
      outer.skip();
      continue;
    }
    WireReader reader(outer.bytes());
    while (reader.next()) {
      switch (reader.tag()) {
        case varint_tag(1):
          query.lease = LeaseId(reader.int64());
          break;
        case varint_tag(2):
          query.keys = reader.boolean();
          break;
        default:
          reader.skip();
      }
    }
    if (reader.failed()) outer.fail("bad LeaseTimeToLiveRequest");
  }
  if (absl::Status status = outer.status("LeaseInternalRequest"); !status.ok()) return status;
  return query;
}

Bytes encode_lease_times(const node::LeaseTimes& times) {
  Bytes inner;
  WireWriter writer(&inner);
  writer.bytes_always(1, {});  // the header: etcd's readers count on it
  writer.int64(2, times.id.value);
  writer.int64(3, times.ttl_seconds);
  writer.int64(4, times.granted_ttl_seconds);
  for (const Bytes& key : times.keys) writer.bytes_always(5, key);
  Bytes out;
  WireWriter(&out).bytes_always(1, inner);
  return out;
}

absl::StatusOr<node::LeaseTimes> decode_lease_times(const net::Http1Response& answer) {
  if (answer.status != kOk) return lease_error(answer);
  node::LeaseTimes times;
  WireReader reader(answer.body);
  while (reader.next()) {
    if (reader.tag() == bytes_tag(1)) {
      read_lease_times(reader.bytes(), &times, &reader);
    } else {
      reader.skip();
    }
  }
  if (reader.failed()) return unreadable("LeaseTimeToLiveResponse");
  return times;
}

Refusal encode_lease_error(const absl::Status& why) {
  if (why == errors::lease_not_found()) return {kNotFound, kLeaseNotFound};
  if (why == errors::timeout_wait_applied_index()) return {kRequestTimeout, kApplyTimeout};
  if (why == errors::not_leader()) return {kBadRequest, kNotPrimary};
  return {absl::IsUnavailable(why) ? kInternalError : kBadRequest, std::string(message_of(why))};
}

}  // namespace holdfast::peer
