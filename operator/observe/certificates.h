#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "operator/api/names.h"
#include "operator/member/answers.h"
#include "operator/member/endpoint.h"
#include "operator/observe/leaves.h"
#include "operator/observe/snapshot.h"
#include "operator/reconcile/certificates.h"
#include "operator/reconcile/observed.h"
#include "operator/reconcile/plan.h"

/// Reads what stands of a cluster's certificates: Secrets, the trust ConfigMap, Pods and members'
/// metrics pages in, the certificate planner's observation out. Pure. What can't be read counts as
/// absent and is made anew; what a user gave and can't be used is told.
/// The Secrets' layout: reconcile/CERTIFICATES.md.
namespace holdfast::observe {

/// Keys of Secrets.
namespace secret_key {
inline constexpr std::string_view kCertificate = "tls.crt";
inline constexpr std::string_view kPrivateKey = "tls.key";
inline constexpr std::string_view kNextCertificate = "next.crt";
inline constexpr std::string_view kNextPrivateKey = "next.key";
inline constexpr std::string_view kAuthorities = "ca.crt";
}  // namespace secret_key

/// On the applications' Secret: Unix seconds; see reconcile::ApplicationSecret.
inline constexpr std::string_view kTrustsSince = "holdfast.dev/trusts-since";
inline constexpr std::string_view kCertificateSince = "holdfast.dev/certificate-since";

/// Everything that one look at certificates rests on; refers to what outlives it.
struct CertificateSources {
  const Snapshot& snapshot;
  const reconcile::Observed& observed;
  const reconcile::Plan& plan;
  const std::map<int, member::Probe>& probes;
  /// Secrets that spec.tls names (issuer Secret), by name; those that don't exist are absent.
  const std::map<std::string, kube::Object>& users;
  absl::Time now;
  KnownLeaves* leaves = nullptr;  ///< null: each is read
};

reconcile::CertificatesObserved assemble_certificates(const CertificateSources& sources);

/// The PEM of every CA that is known on a side, by fingerprint: of the bundle, the CA Secret, the
/// applications' Secret and the user's. What DistributeBundle's fingerprints stand for.
std::map<reconcile::Fingerprint, std::string> known_authorities(
    const Snapshot& snapshot, api::Side side, const std::map<std::string, kube::Object>& users);

/// The bundle as distributed; empty if there is none.
std::string bundle_of(const Snapshot& snapshot, api::Side side);

/// What the operator shows to members and trusts of them, as it stands; nothing before it was made.
std::optional<member::TlsMaterial> operator_material(const Snapshot& snapshot);

/// What a member's Pod was made to accept on a side.
api::TlsMode pod_mode(const kube::Json& pod, api::Side side);

/// The names that a member's certificate must carry, canonical: its own, its Services', the
/// wildcard that a reverse look-up of a Pod's address is matched with, loopback, and the user's.
std::vector<std::string> member_certificate_names(const Snapshot& snapshot, api::Side side,
                                                  int ordinal);

/// The Secret's value for a key, decoded; empty if it has none. Never throws.
std::string secret_value(const kube::Json& secret, std::string_view key);

}  // namespace holdfast::observe
