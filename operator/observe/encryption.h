#pragma once

#include <map>
#include <string>
#include <vector>

#include "datastore/crypto/key256.h"
#include "operator/member/answers.h"
#include "operator/observe/snapshot.h"
#include "operator/reconcile/encryption.h"

/// The keys of members' volumes as they stand in Secrets, and what members say of them: Secrets and
/// answers in, the planner's observation out. Pure.
namespace holdfast::observe {

/// Whether members of the cluster get keys.
enum class KeysStanding {
  kNone,     ///< they don't: not asked for, or not made yet
  kThere,    ///< they do
  kMissing,  ///< they should, and the Secret that they mount is gone or says nothing
};
KeysStanding keys_standing(const Snapshot& snapshot);

/// Keys as they stand. Never logged, and never given to the planner.
struct EncryptionKeys {
  std::string secret;  ///< where the wanted ones are, or will be
  bool secret_exists = false;
  std::string secret_problem;
  std::vector<crypto::Key256> wanted;
  /// In the Secret that members mount, whoever's it is.
  std::vector<crypto::Key256> given;
  /// It is there, can be read and was made for this very cluster.
  bool given_exists = false;
};

/// `users`: the Secrets that spec names, by name.
EncryptionKeys read_encryption_keys(const Snapshot& snapshot,
                                    const std::map<std::string, kube::Object>& users);

/// The Secret of spec.encryptionAtRest that no watch of ours shows; empty: none is needed.
std::string key_secret_to_look_up(const Snapshot& snapshot);

/// Whether the Pod was made with keys.
bool is_sealed(const kube::Json& pod);

reconcile::KeyName name_of(const crypto::Key256& key);

reconcile::EncryptionObserved assemble_encryption(const Snapshot& snapshot,
                                                  const reconcile::Wishes& wishes,
                                                  const reconcile::Memory& memory,
                                                  const EncryptionKeys& keys,
                                                  const std::map<int, member::Probe>& probes);

}  // namespace holdfast::observe
