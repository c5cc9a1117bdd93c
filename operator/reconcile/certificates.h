#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "operator/api/cluster_spec.h"
#include "operator/api/cluster_status.h"
#include "operator/api/names.h"
#include "operator/reconcile/observed.h"
#include "operator/reconcile/plan.h"

/// The certificate planner: what stands of one cluster's keys, certificates and trust in, at most
/// one write out. Pure, and level-based: the phase of a rotation is nowhere remembered but follows
/// from what stands, so a pass may die after any write.
///
/// Two sides (clients', peers') that know nothing of each other. On each, in this order:
///
///   a CA ─▶ its certificate in the bundle ─▶ everyone loaded the bundle ─▶ leaves from it, one
///   member at a time ─▶ everyone shows its new leaf ─▶ what no leaf needs leaves the bundle
///
/// A first start, a rotation, a change of issuer and a lost Secret are the same walk from another
/// beginning. What makes it safe is one rule: a leaf comes only from a CA that is *established*,
/// that is, whom everyone who has to check the leaf trusts, proved by the digest each reports; and
/// a CA leaves the bundle only when no leaf that stands or is shown needs it (rule 11).
namespace holdfast::reconcile {

/// Reason of waiting: the issuer has nothing for someone who needs it, or nothing usable.
inline constexpr const char* kIssuerNotReady = "IssuerNotReady";

/// SHA-256 of a certificate, in hexadecimal.
using Fingerprint = std::string;

/// How long applications are given to take up a changed Secret: they report nothing. The kubelet
/// brings a changed Secret into a Pod within about a minute and a half.
inline constexpr Seconds kApplicationGraceSeconds = 120;

// -- what stands --------------------------------------------------------------------------------

/// A CA whose key we hold.
struct Authority {
  Fingerprint fingerprint;
  Seconds issued_at = 0;
  Seconds not_after = 0;

  friend bool operator==(const Authority&, const Authority&) = default;
};

/// A leaf as a Secret holds it.
struct Leaf {
  std::string serial;
  /// The known CAs that vouch for it, whatever the time: of the bundle, of the CA Secret, of what
  /// the issuer offers and of the applications' Secret.
  std::set<Fingerprint> anchors;
  /// Canonical (pki::canonical_names).
  std::vector<std::string> names;
  Seconds issued_at = 0;
  Seconds not_after = 0;
  /// Its key belongs to it and its usages are the ones needed.
  bool usable = true;

  friend bool operator==(const Leaf&, const Leaf&) = default;
};

/// What an issuer that is not ours holds ready for someone.
struct Offer {
  /// Absent: nothing yet, or nothing that can be used, which `problem` tells.
  std::optional<Leaf> leaf;
  std::string problem;

  friend bool operator==(const Offer&, const Offer&) = default;
};

/// The CAs that a side trusts, as distributed to members.
struct Bundle {
  std::set<Fingerprint> authorities;
  /// SHA-256 of its bytes: what who has loaded it reports.
  std::string digest;
  /// Its text is the canonical one of `authorities` (pki::make_bundle).
  bool canonical = true;

  friend bool operator==(const Bundle&, const Bundle&) = default;
};

/// What a process that runs has loaded: a member says it on its metrics port, the operator knows.
struct Loaded {
  std::string bundle_digest;
  /// Of the certificate files in use, chains included.
  std::set<std::string> serials;

  friend bool operator==(const Loaded&, const Loaded&) = default;
};

/// Someone who shows a leaf and checks those of others.
struct Party {
  /// What its certificate must name.
  std::vector<std::string> names;
  std::optional<Leaf> leaf;
  /// Issuers other than the built-in.
  Offer offer;
  /// Absent: it did not answer in this pass, or speaks no TLS on this side.
  std::optional<Loaded> loaded;

  friend bool operator==(const Party&, const Party&) = default;
};

/// A member's part in one side. There is one for each ordinal that has a Pod or a registration, and
/// for the next that may be created.
struct CertifiedMember {
  Ordinal ordinal = 0;
  Party party;
  /// By the list that a quorum confirmed in this pass, or else by the last one that was. A member
  /// is registered before its Pod is made: this is seen even where a cache does not show the Pod
  /// yet.
  bool registered = false;
  /// What its Pod was made to accept; absent: it has no Pod.
  std::optional<api::TlsMode> pod_mode;
  /// Peers only: the URL that others dial it by is https.
  bool secure_url = false;

  friend bool operator==(const CertifiedMember&, const CertifiedMember&) = default;
};

/// What applications mount: their leaf and whom to trust. Client side only.
struct ApplicationSecret {
  Party party;
  bool exists = false;
  /// The CAs in its ca.crt.
  std::set<Fingerprint> trusts;
  /// When ca.crt last gained a CA, and when the leaf last changed; 0 if not since it was made.
  Seconds trusts_since = 0;
  Seconds leaf_since = 0;

  friend bool operator==(const ApplicationSecret&, const ApplicationSecret&) = default;
};

struct CertificateWishes {
  bool enabled = true;
  api::Issuer issuer = api::Issuer::kBuiltin;
  Seconds duration_seconds = 0;
  /// Shorter than the duration.
  Seconds renew_before_seconds = 0;

  friend bool operator==(const CertificateWishes&, const CertificateWishes&) = default;
};

/// One side of one cluster, as seen in one pass.
struct CertificateSide {
  CertificateWishes wishes;
  /// What members are told to accept, latched in status; absent: nothing was decided yet.
  std::optional<api::TlsMode> mode;
  /// The CA Secret: the CA that signs, and the one that is to follow it.
  std::optional<Authority> current;
  std::optional<Authority> next;
  /// The CAs that come with what an issuer other than the built-in offers.
  std::set<Fingerprint> offered_authorities;
  std::optional<Bundle> bundle;
  /// Ascending.
  std::vector<CertifiedMember> members;
  /// Client side only: the operator as a client, and the applications.
  std::optional<Party> self;
  std::optional<ApplicationSecret> application;

  friend bool operator==(const CertificateSide&, const CertificateSide&) = default;
};

/// A HoldfastOperation RotateCertificates.
struct RotationRequest {
  std::string name;
  /// New CAs as well, not only new leaves.
  bool authority = false;
  bool client = true;
  bool peer = true;
  Seconds created_at = 0;

  friend bool operator==(const RotationRequest&, const RotationRequest&) = default;
};

struct CertificatesObserved {
  Seconds now = 0;
  CertificateSide client;
  CertificateSide peer;
  /// A quorum answers and nothing else is under way: what nobody waits for urgently may begin.
  bool calm = false;
  std::vector<RotationRequest> requests;
};

// -- what to do ---------------------------------------------------------------------------------

/// Who a leaf is for.
struct Holder {
  enum class Kind : std::uint8_t { kMember, kOperator, kApplication };
  Kind kind = Kind::kMember;
  Ordinal ordinal = 0;

  friend bool operator==(const Holder&, const Holder&) = default;
};

/// Makes a CA and its key and puts it into the CA Secret, as the one that signs if there is none,
/// else as the one to follow. Precondition: the Secret as it was seen.
struct CreateAuthority {
  api::Side side = api::Side::kClient;
  bool as_next = false;
  friend bool operator==(const CreateAuthority&, const CreateAuthority&) = default;
};
/// The CA that follows becomes the one that signs; the former's key ends. Precondition: as above.
struct PromoteAuthority {
  api::Side side = api::Side::kClient;
  Fingerprint next;
  friend bool operator==(const PromoteAuthority&, const PromoteAuthority&) = default;
};
/// Deletes the CA Secret, keys and all: another issuer has taken over, and no leaf of ours is left.
struct DeleteAuthority {
  api::Side side = api::Side::kClient;
  friend bool operator==(const DeleteAuthority&, const DeleteAuthority&) = default;
};
/// Distributes exactly these CAs, in canonical form. Precondition: the bundle as it was seen.
struct DistributeBundle {
  api::Side side = api::Side::kClient;
  std::set<Fingerprint> authorities;
  friend bool operator==(const DistributeBundle&, const DistributeBundle&) = default;
};
/// Signs a leaf with a CA of the CA Secret, read anew: it fails if that CA is there no more.
/// Precondition: the leaf's Secret as it was seen.
struct IssueLeaf {
  api::Side side = api::Side::kClient;
  Holder holder;
  Fingerprint authority;
  friend bool operator==(const IssueLeaf&, const IssueLeaf&) = default;
};
/// Copies the leaf that the issuer offers into the holder's Secret. Precondition: as above.
struct InstallLeaf {
  api::Side side = api::Side::kClient;
  Holder holder;
  std::string serial;
  friend bool operator==(const InstallLeaf&, const InstallLeaf&) = default;
};
/// Writes the bundle into the applications' Secret, as ca.crt.
struct TellApplications {
  std::set<Fingerprint> authorities;
  friend bool operator==(const TellApplications&, const TellApplications&) = default;
};
/// Latches in status what members accept from now on; their Pods follow as for any other change.
struct SetTlsMode {
  api::Side side = api::Side::kClient;
  api::TlsMode mode = api::TlsMode::kOff;
  friend bool operator==(const SetTlsMode&, const SetTlsMode&) = default;
};
/// Changes the scheme of the URL that the other members dial this one by (a member update).
struct SetPeerScheme {
  Ordinal ordinal = 0;
  bool secure = false;
  friend bool operator==(const SetPeerScheme&, const SetPeerScheme&) = default;
};

using CertificateStep =
    std::variant<CreateAuthority, PromoteAuthority, DeleteAuthority, DistributeBundle, IssueLeaf,
                 InstallLeaf, TellApplications, SetTlsMode, SetPeerScheme>;

/// Where one side stands; what status and the condition TLSReady say.
struct CertificateProgress {
  api::TlsPhase phase = api::TlsPhase::kStable;
  /// Nothing is wanted or under way. Otherwise `waiting` or the plan's step says what.
  bool settled = false;
  std::optional<Waiting> waiting;
};

struct CertificatePlan {
  std::optional<CertificateStep> step;
  CertificateProgress client;
  CertificateProgress peer;
  /// Members whose certificates all stand: only their Pods may be created.
  std::set<Ordinal> startable;
  /// Requests that have come to their end.
  std::vector<Finished> finished;
  /// Look again after this even if nothing is seen to change.
  Seconds look_again_seconds = 30;
};

/// One line that names a step: for transcripts, logs and events.
std::string to_string(const CertificateStep& step);
std::string to_string(const Holder& holder);

/// How a side begins whose mode status does not know: as the Pods that stand were made, or else as
/// is wished.
api::TlsMode initial_mode(const CertificateSide& side);

/// The next write for what was seen. Pure: equal observations, equal plans.
/// Source: rule 11 of the operator; README.md.
CertificatePlan plan_certificates(const CertificatesObserved& observed);

}  // namespace holdfast::reconcile
