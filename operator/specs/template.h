#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"

/// What a member's Pod is made of, resolved: the spec with the operator's defaults filled in. Two
/// clusters' worth of equal templates run alike, and only a changed one restarts a member.
namespace holdfast::specs {

/// What the operator itself brings.
struct Defaults {
  /// Image of members without its tag: "ghcr.io/example/holdfast".
  std::string image_repository;
  /// Release of members of a cluster that names none: "0.1.0".
  std::string version;
};

/// How one side of the members speaks at this time (status.tls; spec says where to go).
struct TlsModes {
  api::TlsMode client = api::TlsMode::kOn;
  api::TlsMode peer = api::TlsMode::kOn;
};

struct MemberTemplate {
  std::string image;
  /// Release that the members should report; the image's tag unless the user names an image.
  std::string version;
  std::int64_t quota_bytes = 0;
  api::Options options;
  TlsModes tls;
  /// The Secret with the keys of --encryption-key-file; empty: volumes are not encrypted.
  std::string keys_secret;
  nlohmann::json resources;
  nlohmann::json affinity;
  std::optional<nlohmann::json> topology_spread_constraints;
  api::StringMap node_selector;
  nlohmann::json tolerations;
  std::string priority_class_name;
};

/// `volume_bytes`: the smallest volume among the members', or storage.size while there is none or
/// it is smaller; the quota follows it, so that it never outgrows a volume that couldn't be grown.
MemberTemplate resolve_template(const api::HoldfastCluster& cluster, const Defaults& defaults,
                                TlsModes tls, std::int64_t volume_bytes);

/// Half of what is left of a volume after its reserve (an eighth, at most 512 MiB, for the log): a
/// member that falls far behind receives its leader's whole state while it still has its own. In
/// whole MiB, at least one.
std::int64_t quota_for_volume(std::int64_t volume_bytes);

/// Digest of all in `member` that a running Pod can't change: "1-89abcdef01234567". It is taken
/// from these inputs, never from a rendered Pod, and a setting at its default leaves no trace in
/// it: an operator that renders otherwise, or knows further settings, restarts nobody (rule 14).
/// The leading number changes only with what the digest is taken over.
std::string template_hash(const MemberTemplate& member);

}  // namespace holdfast::specs
