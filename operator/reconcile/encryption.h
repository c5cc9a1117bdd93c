#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "operator/reconcile/observed.h"
#include "operator/reconcile/plan.h"

/// The planner of encryption at rest: which keys there are and which members use in, at most one
/// step out. Pure, and level-based. ENCRYPTION.md tells the whole of it.
///
///   wanted    the Secret that the user names, or that was generated: the first key is to be used
///   given     the operator's own Secret, which members mount: the wanted keys, then those from
///             before until every member has said that it uses the first
///
/// so that whatever a volume is sealed by is given to its member, whatever becomes of the user's
/// Secret meanwhile. A key is never seen here, only its name: the ID that members show.
namespace holdfast::reconcile {

/// The first 8 bytes of a key's ID in hex.
using KeyName = std::string;

/// More are not given to members: far below what a key file may hold.
inline constexpr std::size_t kMostKeys = 16;

/// Reasons of waiting that pass by themselves.
inline constexpr const char* kSealing = "Sealing";
inline constexpr const char* kKeyChanging = "KeyChanging";

/// A member that stays, or whose volume is kept aside.
struct SealedMember {
  Ordinal ordinal = 0;
  /// The key that it was last known to use; empty: none that is known.
  KeyName uses;

  friend bool operator==(const SealedMember&, const SealedMember&) = default;
};

struct EncryptionObserved {
  bool wanted = false;
  bool deleting = false;
  bool paused = false;
  /// Members were to be sealed once, and may be: what their volumes hold has no way back.
  bool begun = false;
  /// The Secret with the wanted keys: as the user named it, else as it is generated.
  std::string secret;
  bool secret_is_named = false;
  bool secret_exists = false;
  /// Why it can't be used; empty: it can.
  std::string secret_problem;
  /// In its order; empty unless it can be used.
  std::vector<KeyName> wanted_keys;
  /// The operator's own Secret, and whether it stands and was made for this cluster.
  std::string given_secret;
  bool given_exists = false;
  /// Those in it, also if it is left of an earlier cluster.
  std::vector<KeyName> given_keys;
  /// Those that volumes may be sealed by, as status has them (EncryptionPlan::remember).
  std::vector<KeyName> known_keys;
  std::vector<SealedMember> members;
  /// Beside members' data stands what a restore put aside, sealed by a key of its day.
  bool keeps_old_data = false;

  friend bool operator==(const EncryptionObserved&, const EncryptionObserved&) = default;
};

/// Makes the Secret that the user has not named, with a key that nobody has seen.
struct GenerateKeys {
  friend bool operator==(const GenerateKeys&, const GenerateKeys&) = default;
};
/// Makes it again with the keys that members are given: it was deleted, or is not named any more.
struct BringBackKeys {
  friend bool operator==(const BringBackKeys&, const BringBackKeys&) = default;
};
/// Gives members these keys, in this order.
struct GiveKeys {
  std::vector<KeyName> keys;

  friend bool operator==(const GiveKeys&, const GiveKeys&) = default;
};

using EncryptionStep = std::variant<GenerateKeys, BringBackKeys, GiveKeys>;

struct EncryptionPlan {
  std::optional<EncryptionStep> step;
  /// What is waited for; none: all is as declared, or `step` makes it so.
  std::optional<Waiting> waiting;
  /// The key that members are to use; empty: it is not known.
  KeyName key;
  /// Those that are not known to use it.
  std::vector<Ordinal> behind;
  /// For status, before `step` is taken: every key that a volume may be sealed by from then on.
  /// Empty: what it knows stays.
  std::vector<KeyName> remember;
};

/// Its name, for logs and tests.
std::string to_string(const EncryptionStep& step);

EncryptionPlan plan_encryption(const EncryptionObserved& seen);

}  // namespace holdfast::reconcile
