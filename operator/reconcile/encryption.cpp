#include "operator/reconcile/encryption.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/encryption_mutants.h"

namespace holdfast::reconcile {
namespace {

using Keys = std::vector<KeyName>;

bool contains(const Keys& keys, const KeyName& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool contains_all(const Keys& keys, const Keys& all) {
  return std::all_of(all.begin(), all.end(),
                     [&](const KeyName& key) { return contains(keys, key); });
}

Waiting because(std::string reason, std::string message) {
  return {std::move(reason), std::move(message)};
}

/// The key in front: of the user's Secret, else of what members have.
KeyName key_to_use(const EncryptionObserved& seen) {
  if (!seen.wanted_keys.empty()) return seen.wanted_keys.front();
  if (!seen.given_keys.empty()) return seen.given_keys.front();
  return seen.known_keys.empty() ? KeyName() : seen.known_keys.front();
}

Keys joined(Keys keys, const Keys& more) {
  for (const KeyName& key : more) {
    if (!contains(keys, key)) keys.push_back(key);
  }
  return keys;
}

/// While another key is in front a member may take that up at any moment, whatever it said last:
/// who changes keys and changes them back is told so by each member once more.
bool is_known_to_use(const EncryptionObserved& seen, const SealedMember& member,
                     const KeyName& key) {
  if (member.uses.empty()) return planted(EncryptionMutant::kSilentMemberChanged);
  const bool in_front = !seen.given_keys.empty() && seen.given_keys.front() == key;
  return member.uses == key && (in_front || planted(EncryptionMutant::kChangedBackAtOnce));
}

/// Whether a volume may be sealed by a key that is not among those wanted now. A member that runs
/// would change over all the same; one that doesn't could never start again.
bool would_shut_out(const EncryptionObserved& seen) {
  if (!seen.begun || contains_all(seen.wanted_keys, seen.known_keys)) return false;
  if (planted(EncryptionMutant::kGivenWithoutTheOld)) return false;
  return !seen.members.empty();
}

/// What the wanted Secret lacks, or the step that mends it; nothing: it can be used.
bool plan_secret(const EncryptionObserved& seen, EncryptionPlan& plan) {
  const bool unreadable = !seen.secret_problem.empty();
  const bool exists =
      seen.secret_exists && !(unreadable && planted(EncryptionMutant::kUnreadableIsMissing));
  if (!exists && !seen.secret_is_named) {
    const bool stands = seen.given_exists && !seen.given_keys.empty();
    if (planted(EncryptionMutant::kGeneratedBesideGiven)) {
      plan.step = GenerateKeys{};
    } else if (stands) {
      plan.step = BringBackKeys{};
    } else if (seen.begun && !planted(EncryptionMutant::kGeneratedAfterLoss)) {
      plan.waiting = because(
          "KeysLost",
          absl::StrCat("Secrets ", seen.secret, " and ", seen.given_secret,
                       " are gone, and with them the keys of the members' volumes (",
                       absl::StrJoin(seen.known_keys, ", "), "): make ", seen.secret,
                       " again from a copy; until then members run on as they are, and none is "
                       "restarted or replaced"));
    } else {
      plan.step = GenerateKeys{};
    }
    return true;
  }
  if (!seen.secret_exists) {
    plan.waiting = because(
        "KeySecretMissing",
        absl::StrCat("there is no Secret ", seen.secret,
                     " (spec.encryptionAtRest.secretRef), or the operator may not read it; make it "
                     "with a key that `openssl rand -hex 32` prints. Members go on with the keys "
                     "that they have"));
    return true;
  }
  if (seen.secret_problem.empty()) return false;
  plan.waiting = because("KeySecretUnusable", seen.secret_problem);
  return true;
}

/// The wanted keys, and those from before for as long as a volume may need them.
Keys keys_to_give(const EncryptionObserved& seen, bool all_use_it) {
  const bool keeps = seen.keeps_old_data && !planted(EncryptionMutant::kAsideForgotten);
  const bool retires = all_use_it || planted(EncryptionMutant::kRetiredTooSoon);
  if (retires && seen.begun && !keeps) return seen.wanted_keys;
  if (planted(EncryptionMutant::kNewKeyLast)) return joined(seen.given_keys, seen.wanted_keys);
  return joined(seen.wanted_keys, seen.given_keys);
}

/// While a Secret is gone what was known of it stays.
Keys keys_to_remember(const EncryptionObserved& seen, const EncryptionPlan& plan) {
  const auto* give = plan.step ? std::get_if<GiveKeys>(&*plan.step) : nullptr;
  if (give == nullptr || planted(EncryptionMutant::kRememberedAfterwards)) return seen.given_keys;
  return joined(give->keys, seen.given_keys);
}

Waiting wait_for_members(const EncryptionObserved& seen, const EncryptionPlan& plan) {
  std::vector<std::string> names;
  bool plain = false;
  for (const SealedMember& member : seen.members) {
    if (member.uses == plan.key) continue;
    names.push_back(name_of(member.ordinal));
    plain = plain || member.uses.empty();
  }
  if (plain) {
    return because(kSealing, absl::StrCat("not known to write with key ", plan.key,
                                          " yet, which each does from its restart on: ",
                                          absl::StrJoin(names, ", ")));
  }
  return because(kKeyChanging,
                 absl::StrCat("do not use key ", plan.key,
                              " yet, and the one before is kept until they do, some minutes at "
                              "most: ",
                              absl::StrJoin(names, ", ")));
}

void plan_keys(const EncryptionObserved& seen, EncryptionPlan& plan) {
  if (!seen.given_exists && would_shut_out(seen)) {
    plan.waiting =
        because("KeysLost", absl::StrCat("Secret ", seen.given_secret,
                                         ", which members mount, is gone, and Secret ", seen.secret,
                                         " does not have all keys that volumes may be sealed by (",
                                         absl::StrJoin(seen.known_keys, ", "),
                                         "): add those before to it, below the first"));
    return;
  }
  Keys keys = keys_to_give(seen, plan.behind.empty());
  if (keys.size() > kMostKeys) {
    plan.waiting = because(
        "TooManyKeys", absl::StrCat("members would be given ", keys.size(), " keys, and may have ",
                                    kMostKeys, ": leave in Secret ", seen.secret,
                                    " the one to be used, and wait until all members use it"));
  } else if (!seen.given_exists || keys != seen.given_keys) {
    plan.step = GiveKeys{std::move(keys)};
  } else if (!plan.behind.empty()) {
    plan.waiting = wait_for_members(seen, plan);
  }
}

}  // namespace

EncryptionPlan plan_encryption(const EncryptionObserved& seen) {
  EncryptionPlan plan;
  if (!seen.wanted && (!seen.begun || planted(EncryptionMutant::kTurnedOff))) return plan;
  plan.remember = seen.given_keys;
  plan.key = key_to_use(seen);
  for (const SealedMember& member : seen.members) {
    if (!is_known_to_use(seen, member, plan.key)) plan.behind.push_back(member.ordinal);
  }
  if (seen.deleting || seen.paused) return plan;
  if (!plan_secret(seen, plan)) plan_keys(seen, plan);
  plan.remember = keys_to_remember(seen, plan);
  if (!seen.wanted && !plan.step && !plan.waiting) {
    plan.waiting = because(
        "CannotBeTurnedOff",
        "spec.encryptionAtRest was removed, and members can't write in the clear what they have "
        "sealed: they go on as before. Set it again; for a cluster without it, take a "
        "HoldfastBackup and begin another with bootstrap.restore");
  }
  return plan;
}

namespace {

struct Name {
  std::string operator()(const GenerateKeys& /*step*/) const { return "GenerateKeys"; }
  std::string operator()(const BringBackKeys& /*step*/) const { return "BringBackKeys"; }
  std::string operator()(const GiveKeys& step) const {
    return absl::StrCat("GiveKeys ", absl::StrJoin(step.keys, " "));
  }
};

}  // namespace

std::string to_string(const EncryptionStep& step) {
  return std::visit(Name{}, step);
}

}  // namespace holdfast::reconcile
