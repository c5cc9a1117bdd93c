#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/reconcile/certificates.h"

namespace holdfast::reconcile {

/// What the deciders ask about one side. Refers to the observation, which outlives it.
class CertificateFacts {
 public:
  CertificateFacts(const CertificateSide& side, api::Side which, Seconds now, bool calm)
      : side_(side), which_(which), now_(now), calm_(calm) {}

  const CertificateSide& side() const { return side_; }
  api::Side which() const { return which_; }
  Seconds now() const { return now_; }
  bool calm() const { return calm_; }

  bool builtin() const { return side_.wishes.issuer == api::Issuer::kBuiltin; }
  /// Certificates are wanted, or some member may still speak TLS.
  bool active() const;

  /// The CAs that every leaf should come from in the end; any of them will do. Empty while none is
  /// known.
  std::set<Fingerprint> target() const;
  /// The CAs that the bundle holds once nothing is under way.
  std::set<Fingerprint> kept() const;
  std::set<Fingerprint> bundled() const;

  /// Everyone with a leaf on this side, members first.
  const std::vector<std::pair<Holder, const Party*>>& holders() const { return holders_; }

  /// It must say what it has loaded before anything may rest on it: it has a Pod that speaks TLS,
  /// or is registered and may have one again at any time.
  bool must_report(const CertifiedMember& member) const;
  /// Who is not known to trust the whole bundle; empty proves that everyone does.
  std::vector<std::string> lacking() const;
  /// Who runs and shows another leaf than the one that stands for it.
  std::vector<std::string> unshown() const;

  /// Everyone who checks a leaf of this CA trusts it: proved now, or proved before a leaf of it
  /// was first given out, since when it has not left the bundle.
  bool established(const Fingerprint& authority) const;
  bool any_established(const std::set<Fingerprint>& authorities) const;
  /// No leaf that stands is valid any more: there is no connection left to break.
  bool all_expired() const;

 private:
  std::vector<std::string> lacking(bool silent_too) const;
  bool applications_lack() const;

  const CertificateSide& side_;
  api::Side which_;
  Seconds now_;
  bool calm_;
  std::vector<std::pair<Holder, const Party*>> holders_ = list_holders(side_);

  static std::vector<std::pair<Holder, const Party*>> list_holders(const CertificateSide& side);
};

bool meet(const std::set<Fingerprint>& left, const std::set<Fingerprint>& right);
bool contains(const std::set<Fingerprint>& whole, const std::set<Fingerprint>& part);

/// What a decider found: a step, or why it waits, or nothing.
struct CertificateDecision {
  std::optional<CertificateStep> step;
  std::optional<Waiting> waiting;

  bool decided() const { return step.has_value() || waiting.has_value(); }
};

// Each decides one matter of one side, and only if those before it had nothing to do:

/// The CA Secret: the first CA, the one to follow it, its promotion.
CertificateDecision decide_authority(const CertificateFacts& facts,
                                     const std::vector<RotationRequest>& requests);
/// What the bundle gains, and what applications are told.
CertificateDecision decide_trust(const CertificateFacts& facts);
/// Leaves: missing, to be renewed, of another CA than wanted.
CertificateDecision decide_leaves(const CertificateFacts& facts,
                                  const std::vector<RotationRequest>& requests);
/// What the bundle loses.
CertificateDecision decide_drop(const CertificateFacts& facts);
/// Plain, both or TLS alone.
CertificateDecision decide_mode(const CertificateFacts& facts);

/// The newest request of that scope for this side; 0 if none. A request for new CAs is none for
/// leaves: those follow.
Seconds newest_request(const std::vector<RotationRequest>& requests, api::Side which,
                       bool authority);
/// When `leaf` is to be renewed: earlier for some ordinals than for others, so that leaves made
/// together are not renewed together.
Seconds renewal_due(const CertificateWishes& wishes, const Leaf& leaf, const Holder& holder);
/// When the CA that signs is to be followed by another.
Seconds authority_due(const CertificateWishes& wishes, const Authority& authority);

std::string name_of(api::Side side);
std::string join(const std::vector<std::string>& names);

}  // namespace holdfast::reconcile
