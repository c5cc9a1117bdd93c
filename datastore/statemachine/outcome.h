#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "datastore/auth/records.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/statemachine/command.h"

/// What applying one command answers. Keys and values are wire-encoded mvccpb.KeyValue, spliced
/// into responses without being parsed.
namespace holdfast::statemachine {

struct RangeOutcome {
  std::vector<Bytes> kvs;
  bool more = false;
  std::int64_t count = 0;
};

struct PutOutcome {
  std::optional<Bytes> prev_kv;
};

struct DeleteRangeOutcome {
  std::int64_t deleted = 0;
  std::vector<Bytes> prev_kvs;
};

struct TxnOutcome;
using OpOutcome =
    std::variant<RangeOutcome, PutOutcome, DeleteRangeOutcome, std::unique_ptr<TxnOutcome>>;

struct TxnOutcome {
  bool succeeded = false;
  std::vector<OpOutcome> responses;
};

struct CompactionOutcome {};

struct LeaseGrantOutcome {
  LeaseId id;
  std::int64_t ttl_seconds = 0;
};

struct AlarmOutcome {
  struct Alarm {
    MemberId member;
    AlarmType type = AlarmType::kNone;
  };
  std::vector<Alarm> alarms;
};

struct AuthStatusOutcome {
  bool enabled = false;
  std::uint64_t revision = 0;
};

/// Whoever applies this keeps the token, if it is a simple one, for the user.
struct AuthenticateOutcome {
  Bytes user;
  /// Random letters, a dot, an index of the log; empty where tokens are signed.
  Bytes simple_token;
  /// That the token vouches for.
  std::uint64_t auth_revision = 0;
};

/// Names of users, of roles, or of one user's roles.
struct NamesOutcome {
  std::vector<Bytes> names;
};

struct RoleGetOutcome {
  std::vector<auth::Permission> permissions;
};

using OutcomeBody =
    std::variant<std::monostate, RangeOutcome, PutOutcome, DeleteRangeOutcome, TxnOutcome,
                 CompactionOutcome, LeaseGrantOutcome, AlarmOutcome, AuthStatusOutcome,
                 AuthenticateOutcome, NamesOutcome, RoleGetOutcome>;

struct Outcome {
  /// etcd's error, or OK. An error changes nothing but what etcd-facts 3.5 says.
  absl::Status status;
  /// The store's revision after the command: the response header's.
  Revision revision;
  OutcomeBody body;
  /// The command took effect, but stored pairs are missing from the answer: they were more than
  /// apply() was to answer with.
  bool answer_cut = false;
};

}  // namespace holdfast::statemachine
