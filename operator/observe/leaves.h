#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "operator/api/names.h"
#include "operator/kube/json.h"
#include "operator/pki/trust.h"
#include "operator/reconcile/certificates.h"

/// Certificates as they stand in Secrets, read for the certificate planner.
namespace holdfast::observe {

/// What a holder's leaf is for.
struct LeafUse {
  pki::Purpose purpose = pki::Purpose::kClient;
  bool both = false;  // shown as server and as client
};
LeafUse use_of(api::Side side, const reconcile::Holder& holder);

/// CAs in PEM, by fingerprint.
using Authorities = std::map<reconcile::Fingerprint, std::string>;

/// Adds the CAs of a PEM text; nothing of one that does not parse.
void add_authorities(const std::string& pem, Authorities& known);

/// The leaf of a Secret, with those of `known` that vouch for it.
/// Errors: what is wrong with it, for whoever gave it.
absl::StatusOr<reconcile::Leaf> read_leaf(const kube::Json& secret, const LeafUse& use,
                                          const Authorities& known);

/// A CA whose key we hold; nothing if it can't sign.
std::optional<reconcile::Authority> read_authority(const std::string& certificate,
                                                   const std::string& key);

/// Leaves and CAs as read last. Reading one takes OpenSSL a millisecond, most of it for the
/// private key, and a pass reads a dozen that are what they were. Keeps no key. Any thread.
class KnownLeaves {
 public:
  /// Beyond this all are forgotten.
  static constexpr std::size_t kMaxKept = 8192;

  /// As read_leaf(); by the Secret's version and the names of `known`.
  absl::StatusOr<reconcile::Leaf> leaf(const kube::Json& secret, const LeafUse& use,
                                       const Authorities& known);
  /// As read_authority(), of these two keys of the Secret; by its version.
  std::optional<reconcile::Authority> authority(const kube::Json& secret,
                                                std::string_view certificate_key,
                                                std::string_view private_key);

 private:
  std::mutex mutex_;  // guards all below
  template <class T>
  struct Kept {
    std::string depends_on;
    T value;
  };
  std::map<std::string, Kept<absl::StatusOr<reconcile::Leaf>>> leaves_;
  std::map<std::string, Kept<std::optional<reconcile::Authority>>> authorities_;
};

}  // namespace holdfast::observe
