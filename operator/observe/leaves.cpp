#include "operator/observe/leaves.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/kube/resource.h"
#include "operator/observe/certificates.h"
#include "operator/pki/certificate.h"
#include "operator/pki/issue.h"

namespace holdfast::observe {

namespace {

using api::Side;
using kube::Json;
using reconcile::Fingerprint;
using reconcile::Holder;
using reconcile::Seconds;

Seconds seconds(pki::Time time) {
  return time.time_since_epoch().count();
}

/// The CAs that vouch for `chain`, each asked at a time at which both were valid.
std::set<Fingerprint> anchors_of(const std::string& chain, const pki::Certificate& leaf,
                                 pki::Purpose purpose, const Authorities& known) {
  std::set<Fingerprint> anchors;
  for (const auto& [fingerprint, pem] : known) {
    const auto authority = pki::read_leaf(pem, "CA");
    if (!authority.ok()) continue;
    const pki::Time at = std::max(leaf.not_before, authority->not_before) + std::chrono::seconds(1);
    if (pki::verify(chain, pem, purpose, at).ok()) anchors.insert(fingerprint);
  }
  return anchors;
}

/// What `kept` holds under `key`, if nothing that it depends on has changed since; else what `read`
/// returns, kept from now on. Read outside the lock: it takes a while.
template <class Map, class Read>
auto once(std::mutex& mutex, Map& kept, const std::string& key, const std::string& depends_on,
          const Read& read) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = kept.find(key);
    if (found != kept.end() && found->second.depends_on == depends_on) return found->second.value;
  }
  auto value = read();
  const std::lock_guard<std::mutex> lock(mutex);
  if (kept.size() >= KnownLeaves::kMaxKept) kept.clear();
  kept.insert_or_assign(key, typename Map::mapped_type{depends_on, value});
  return value;
}

}  // namespace

void add_authorities(const std::string& pem, Authorities& known) {
  const auto read = pki::read_certificates(pem, "CAs");
  if (!read.ok()) return;
  for (const pki::Certificate& each : *read) known[each.fingerprint] = each.pem;
}

LeafUse use_of(Side side, const Holder& holder) {
  if (holder.kind != Holder::Kind::kMember) return {};
  return {pki::Purpose::kServer, side == Side::kPeer};
}

absl::StatusOr<reconcile::Leaf> read_leaf(const Json& secret, const LeafUse& use,
                                          const Authorities& known) {
  const std::string source = absl::StrCat("Secret ", std::string(kube::name_of(secret)));
  const std::string chain = secret_value(secret, secret_key::kCertificate);
  const auto read = pki::read_leaf(chain, source + ", key tls.crt");
  if (!read.ok()) return read.status();
  const absl::Status key =
      pki::check_key(chain, secret_value(secret, secret_key::kPrivateKey), source);
  if (!key.ok()) return key;
  const bool for_servers = use.purpose == pki::Purpose::kServer;
  if ((for_servers && !read->for_servers) || ((!for_servers || use.both) && !read->for_clients)) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": the certificate's key usages lack ",
        for_servers && !read->for_servers ? "serverAuth" : "clientAuth", ": issue it with that"));
  }
  reconcile::Leaf leaf;
  leaf.serial = read->serial;
  leaf.anchors = anchors_of(chain, *read, use.purpose, known);
  leaf.names = read->names();
  leaf.issued_at = seconds(read->not_before + pki::kClockSkew);
  leaf.not_after = seconds(read->not_after);
  return leaf;
}

std::optional<reconcile::Authority> read_authority(const std::string& certificate,
                                                   const std::string& key) {
  const auto read = pki::read_leaf(certificate, "CA");
  if (!read.ok() || !read->is_ca || !pki::check_key(certificate, key, "CA").ok()) {
    return std::nullopt;
  }
  return reconcile::Authority{read->fingerprint, seconds(read->not_before + pki::kClockSkew),
                              seconds(read->not_after)};
}

absl::StatusOr<reconcile::Leaf> KnownLeaves::leaf(const Json& secret, const LeafUse& use,
                                                  const Authorities& known) {
  const std::string uid(kube::uid_of(secret));
  std::string depends_on(kube::resource_version_of(secret));
  if (uid.empty() || depends_on.empty()) return read_leaf(secret, use, known);
  for (const auto& [fingerprint, pem] : known) absl::StrAppend(&depends_on, " ", fingerprint);
  const std::string key =
      absl::StrCat(uid, " ", static_cast<int>(use.purpose), use.both ? " both" : "");
  return once(mutex_, leaves_, key, depends_on, [&] { return read_leaf(secret, use, known); });
}

std::optional<reconcile::Authority> KnownLeaves::authority(const Json& secret,
                                                           std::string_view certificate_key,
                                                           std::string_view private_key) {
  const auto read = [&] {
    return read_authority(secret_value(secret, certificate_key), secret_value(secret, private_key));
  };
  const std::string uid(kube::uid_of(secret));
  const std::string version(kube::resource_version_of(secret));
  if (uid.empty() || version.empty()) return read();
  const std::string key = absl::StrCat(uid, " ", std::string(certificate_key));
  return once(mutex_, authorities_, key, version, read);
}

}  // namespace holdfast::observe
