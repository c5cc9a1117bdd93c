#include "datastore/rpc/door.h"

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"

namespace holdfast::rpc {
namespace {

constexpr std::string_view kClientVersionHeader = "client-api-version";
constexpr std::string_view kLeaderHeader = "hasleader";
constexpr std::string_view kLeaderDemanded = "true";

absl::Status malformed(const char* prefix, const absl::Status& why) {
  // A limit of ours keeps its own text and code; only bytes that are not protobuf are rephrased.
  if (why == errors::too_many_ops()) return why;
  return absl::InternalError(absl::StrCat(prefix, why.message()));
}

}  // namespace

bool is_valid_utf8(BytesView text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int extra = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
    if (*p < 0xc2 || *p > 0xf4 || end - p <= extra) return false;
    // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
    const unsigned char low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return false;
    for (int i = 2; i <= extra; ++i) {
      if ((p[i] & 0xc0) != 0x80) return false;
    }
    p += extra + 1;
  }
  return true;
}

absl::Status admit(LoopState& state, const net::GrpcCall& call, bool streaming, Learners learners) {
  if (learners == Learners::kRefuse && state.is_learner()) {
    return errors::not_supported_for_learner();
  }
  const auto version = call.metadata(kClientVersionHeader);
  if (version.has_value() && !is_valid_utf8(*version)) {
    return errors::invalid_client_api_version();
  }
  state.observer().client_request(streaming, version.has_value() ? *version : "unknown");
  if (demands_leader(call) && !state.has_leader()) return errors::no_leader();
  return absl::OkStatus();
}

bool demands_leader(const net::GrpcCall& call) {
  return call.metadata(kLeaderHeader) == kLeaderDemanded;
}

absl::Status malformed_request(const absl::Status& why) {
  return malformed("grpc: error unmarshalling request: ", why);
}

absl::Status malformed_message(const absl::Status& why) {
  return malformed("grpc: failed to unmarshal the received message: ", why);
}

}  // namespace holdfast::rpc
