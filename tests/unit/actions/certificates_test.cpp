#include "operator/actions/certificates.h"

#include "operator/actions/issued.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/api/names.h"
#include "operator/api/operation.h"
#include "operator/kube/api_error.h"
#include "operator/observe/certificates.h"
#include "operator/pki/certificate.h"
#include "operator/pki/issue.h"
#include "operator/pki/trust.h"
#include "operator/specs/flags.h"

namespace holdfast::actions {
namespace {

using api::Side;
using kube::Json;
using kube::Object;
using testing::HasSubstr;

/// Secrets and ConfigMaps, with resourceVersions as preconditions.
class StoreApi final : public kube::Client {
 public:
  absl::StatusOr<Json> call(const kube::Request& request) override {
    if (absl::StrContains(request.path, "leases")) return lease(request);
    if (request.method == "POST") return create(request);
    const auto found = objects.find(request.path);
    const bool applies = request.content_type.find("apply") != std::string::npos;
    if (refuses_certificates && absl::StrContains(request.path, "certificates")) {
      return kube::to_status({.code = 422, .reason = "Invalid", .message = "too short"}, "apply");
    }
    if (found == objects.end()) {
      if (applies) return keep(request.path, *kube::parse_json(request.body));
      return kube::to_status({.code = 404, .reason = "NotFound"}, request.path);
    }
    if (request.method == "GET") return *found->second;
    if (request.method == "DELETE") {
      objects.erase(found);
      return Json(nullptr);
    }
    return patch(request, found->second);
  }
  absl::Status stream(const kube::Request&, const std::function<bool(std::string_view)>&) override {
    return absl::UnimplementedError("no watches here");
  }

  std::map<std::string, Object> objects;  // by path
  int conflicts = 0;
  bool refuses_certificates = false;

 private:
  static absl::StatusOr<Json> lease(const kube::Request& request) {
    if (request.method == "GET") {
      return kube::to_status({.code = 404, .reason = "NotFound"}, "get lease");
    }
    return kube::parse_json(request.body);
  }

  absl::StatusOr<Json> create(const kube::Request& request) {
    auto body = kube::parse_json(request.body);
    const std::string path = absl::StrCat(request.path, "/", std::string(kube::name_of(*body)));
    if (objects.contains(path)) {
      return kube::to_status({.code = 409, .reason = "AlreadyExists"}, path);
    }
    return keep(path, *std::move(body));
  }

  absl::StatusOr<Json> patch(const kube::Request& request, const Object& before) {
    const auto change = kube::parse_json(request.body);
    const std::string_view expected = kube::resource_version_of(*change);
    if (!expected.empty() && expected != kube::resource_version_of(*before)) {
      ++conflicts;
      return kube::to_status({.code = 409, .reason = "Conflict"}, request.path);
    }
    Json after = *before;
    after.merge_patch(*change);
    return keep(request.path, std::move(after));
  }

  Json keep(const std::string& path, Json object) {
    object["metadata"]["resourceVersion"] = absl::StrCat(++version_);
    object["metadata"]["uid"] = path;
    objects[path] = std::make_shared<const Json>(object);
    return object;
  }

  int version_ = 0;
};

/// A cluster "db" of three members that load what stands, when told.
class CertificatesTest : public testing::Test {
 protected:
  CertificatesTest() : log_(telemetry::Logger::none()) {
    auto& cluster = pass_.snapshot.cluster;
    cluster.metadata.name = "db";
    cluster.metadata.ns = "apps";
    cluster.metadata.uid = "cluster-uid";
    cluster.spec.replicas = 3;
    pass_.now = absl::FromUnixSeconds(1'795'000'000);
    kube::LeaderElector::Callbacks callbacks;
    callbacks.on_started = [this](auto leadership) { term_ = std::move(leadership); };
    callbacks.on_stopped = [] {};
    elector_ = std::make_unique<kube::LeaderElector>(
        api_,
        kube::LeaderElectorOptions{.lease = {"apps", "op"},
                                   .identity = "me",
                                   .lease_duration = std::chrono::hours(1),
                                   .renew_deadline = std::chrono::minutes(59)},
        callbacks, *log_, 1);
    elector_->step();
    for (int ordinal = 0; ordinal < 3; ++ordinal) {
      reconcile::Member member;
      member.ordinal = ordinal;
      member.registration = reconcile::Registration{MemberId(ordinal + 1), false, true};
      pass_.observed.members.push_back(member);
    }
    pass_.observed.list_confirmed = true;
    pass_.observed.wishes.replicas = 3;
  }

  const api::HoldfastCluster& cluster() const { return pass_.cluster(); }

  /// What a cache would show.
  void see() {
    pass_.snapshot.standing.clear();
    for (const auto& [path, object] : api_.objects) {
      const std::string kind = absl::StrContains(path, "/secrets/")        ? "Secret"
                               : absl::StrContains(path, "/certificates/") ? "Certificate"
                                                                           : "ConfigMap";
      pass_.snapshot.standing[{kind, std::string(kube::name_of(*object))}] = object;
    }
  }

  void plan() {
    pass_.certificates = observe::assemble_certificates(
        {pass_.snapshot, pass_.observed, pass_.plan, pass_.probes, pass_.user_secrets, pass_.now});
    pass_.certificate_plan = reconcile::plan_certificates(pass_.certificates);
  }

  /// One pass; false if it had nothing to write.
  bool pass() {
    see();
    plan();
    write_tls_status(pass_, pass_.snapshot.cluster.status);
    return carry_out();
  }

  bool carry_out() {
    if (!pass_.certificate_plan.step) return false;
    Writer write(api_, term_);
    steps_.push_back(reconcile::to_string(*pass_.certificate_plan.step));
    const absl::Status status =
        CertificateWriter(api_, write, pass_).carry_out(*pass_.certificate_plan.step);
    EXPECT_TRUE(status.ok()) << steps_.back() << ": " << status;
    return true;
  }

  /// Passes until there is nothing to write.
  void work() {
    for (int i = 0; i < 100; ++i) {
      if (!pass()) return;
    }
    FAIL() << "never at rest; last " << steps_.back();
  }

  std::string value(const std::string& secret, std::string_view key) {
    const auto found = api_.objects.find(absl::StrCat("/api/v1/namespaces/apps/secrets/", secret));
    return found == api_.objects.end() ? "" : observe::secret_value(*found->second, key);
  }

  std::string bundle(Side side) {
    see();
    return observe::bundle_of(pass_.snapshot, side);
  }

  /// Members' Pods run with TLS and show what they have mounted by now.
  void load() {
    see();
    pass_.snapshot.pods.clear();
    for (int ordinal = 0; ordinal < 3; ++ordinal) {
      const std::string name = api::member_name("db", ordinal);
      pass_.snapshot.pods.push_back(std::make_shared<const Json>(
          Json{{"metadata", {{"name", name}}},
               {"spec",
                {{"containers",
                  {{{"args",
                     {"--cert-file=x", "--listen-client-urls=https://[::]:2379",
                      "--peer-cert-file=x"}}}}}}}}));
      member::MetricsPage page;
      page.trusted_bundle_sha256["client"] = pki::bundle_digest(bundle(Side::kClient));
      page.trusted_bundle_sha256["peer"] = pki::bundle_digest(bundle(Side::kPeer));
      page.certificate_serials["cert-file"] = {serial(api::member_secret(name, Side::kClient))};
      page.certificate_serials["peer-cert-file"] = {serial(api::member_secret(name, Side::kPeer))};
      pass_.probes[ordinal].page = page;
    }
  }

  std::string serial(const std::string& secret) {
    const auto leaf = pki::read_leaf(value(secret, "tls.crt"), secret);
    return leaf.ok() ? leaf->serial : "";
  }

  void bootstrap() {
    work();
    load();
    work();
  }

  void request_new_authorities() {
    api::HoldfastOperation operation;
    operation.metadata.name = "rotate";
    operation.metadata.ns = "apps";
    operation.spec.cluster_ref.name = "db";
    operation.spec.action = api::RotateCertificates{api::RotationScope::kAuthority};
    Json object = api::write(operation);
    object["metadata"]["creationTimestamp"] =
        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", pass_.now, absl::UTCTimeZone());
    pass_.snapshot.operations = {std::make_shared<const Json>(object)};
  }

  void wait(absl::Duration time) { pass_.now += time; }

  /// As the executor does before the planner's step.
  Asked ask() {
    see();
    plan();
    Writer write(api_, term_);
    return ask_cert_manager(write, pass_);
  }

  /// What cert-manager does with every Certificate that there is.
  void fill_issued(const pki::Identity& ca) {
    const auto objects = api_.objects;
    for (const auto& [path, object] : objects) {
      if (!absl::StrContains(path, "/certificates/")) continue;
      const Json& spec = object->at("spec");
      pki::LeafRequest request{.common_name = spec.at("commonName"),
                               .duration = std::chrono::hours(24 * 90)};
      for (const Json& usage : spec.at("usages")) {
        request.for_servers = request.for_servers || usage == "server auth";
      }
      for (const char* field : {"dnsNames", "ipAddresses"}) {
        for (const Json& name : spec.value(field, Json::array())) request.names.push_back(name);
      }
      const auto leaf = pki::issue_leaf(ca, request, pki_now());
      const std::string secret = spec.at("secretName");
      Json filled = *api_.objects.at(absl::StrCat("/api/v1/namespaces/apps/secrets/", secret));
      filled["data"] = data_of(ca, *leaf);
      api_.objects[absl::StrCat("/api/v1/namespaces/apps/secrets/", secret)] =
          std::make_shared<const Json>(filled);
    }
  }

  static Json data_of(const pki::Identity& ca, const pki::Identity& leaf) {
    return {{"ca.crt", absl::Base64Escape(ca.certificate_pem)},
            {"tls.crt", absl::Base64Escape(leaf.certificate_pem)},
            {"tls.key", absl::Base64Escape(leaf.key_pem)}};
  }

  void use_cert_manager() {
    for (api::TlsSide* side :
         {&pass_.snapshot.cluster.spec.tls.client, &pass_.snapshot.cluster.spec.tls.peer}) {
      side->issuer = api::Issuer::kCertManager;
      side->issuer_ref = api::IssuerReference{"own"};
    }
    pass_.snapshot.cert_manager = observe::CertManager::kServed;
  }

  /// Passes and loads until every phase is over.
  void come_to_rest() {
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(ask().status.ok());
      wait(absl::Seconds(60));
      work();
      load();
    }
    EXPECT_TRUE(pass_.certificate_plan.client.settled);
    EXPECT_TRUE(pass_.certificate_plan.peer.settled);
  }

  int count(const std::string& part) {
    int found = 0;
    for (const auto& [path, object] : api_.objects) found += absl::StrContains(path, part) ? 1 : 0;
    return found;
  }

  void give_secret(const std::string& name, const pki::Identity& ca, const pki::Identity& leaf) {
    const Json data = data_of(ca, leaf);
    api_.objects[absl::StrCat("/api/v1/namespaces/apps/secrets/", name)] =
        std::make_shared<const Json>(Json{{"metadata", {{"name", name}}}, {"data", data}});
    pass_.user_secrets[name] =
        std::make_shared<const Json>(Json{{"metadata", {{"name", name}}}, {"data", data}});
  }

  pki::Time pki_now() const {
    return pki::Time(std::chrono::seconds(absl::ToUnixSeconds(pass_.now)));
  }

  StoreApi api_;
  std::unique_ptr<telemetry::Logger> log_;
  std::unique_ptr<kube::LeaderElector> elector_;
  std::shared_ptr<const kube::Leadership> term_;
  Pass pass_;
  std::vector<std::string> steps_;
};

TEST_F(CertificatesTest, AFirstStartMakesEverythingThatThreeMembersNeed) {
  work();
  EXPECT_EQ(pass_.certificate_plan.startable, (std::set<int>{0, 1, 2}));
  for (int ordinal = 0; ordinal < 3; ++ordinal) {
    const std::string name = api::member_name("db", ordinal);
    const std::string served = value(api::member_secret(name, Side::kClient), "tls.crt");
    const std::string dialled = value(api::member_secret(name, Side::kPeer), "tls.crt");
    EXPECT_TRUE(pki::verify(served, bundle(Side::kClient), pki::Purpose::kServer, pki_now()).ok());
    for (const pki::Purpose purpose : {pki::Purpose::kServer, pki::Purpose::kClient}) {
      EXPECT_TRUE(pki::verify(dialled, bundle(Side::kPeer), purpose, pki_now()).ok());
    }
    EXPECT_FALSE(
        pki::verify(dialled, bundle(Side::kClient), pki::Purpose::kServer, pki_now()).ok());
  }
  for (const char* client : {"db-operator", "db-client"}) {
    EXPECT_TRUE(pki::verify(value(client, "tls.crt"), bundle(Side::kClient), pki::Purpose::kClient,
                            pki_now())
                    .ok());
  }
  EXPECT_EQ(value("db-client", "ca.crt"), bundle(Side::kClient));
  load();
  EXPECT_FALSE(pass());
  EXPECT_TRUE(pass_.certificate_plan.client.settled);
  EXPECT_TRUE(pass_.certificate_plan.peer.settled);
}

TEST_F(CertificatesTest, AMembersLeafNamesItselfItsServicesAndTheUsersNames) {
  pass_.snapshot.cluster.spec.tls.client.extra_sans = {"db.example.com", "10.0.0.9", "not a name"};
  work();
  const auto leaf = pki::read_leaf(value("db-1-server-tls", "tls.crt"), "it");
  ASSERT_TRUE(leaf.ok());
  const std::vector<std::string> names = leaf->names();
  EXPECT_THAT(names, testing::IsSupersetOf({"db-1.db-peers.apps.svc", "*.db-peers.apps.svc",
                                            "db.apps.svc", "localhost", "127.0.0.1", "::1",
                                            "db.example.com", "10.0.0.9"}));
}

TEST_F(CertificatesTest, ARotationChangesEveryCaAndStopsForNobodyWhoLoads) {
  bootstrap();
  const std::string before = bundle(Side::kPeer);
  request_new_authorities();
  // Long enough for applications, twice.
  for (int i = 0; i < 12; ++i) {
    wait(absl::Seconds(60));
    work();
    load();
  }
  EXPECT_FALSE(pass());
  ASSERT_EQ(pass_.certificate_plan.finished.size(), 1U);
  EXPECT_TRUE(pass_.certificate_plan.finished[0].succeeded);
  const std::string after = bundle(Side::kPeer);
  const auto cas = pki::read_certificates(after, "bundle");
  ASSERT_TRUE(cas.ok());
  EXPECT_EQ(cas->size(), 1U);
  EXPECT_NE(after, before);
  EXPECT_FALSE(
      pki::verify(value("db-0-peer-tls", "tls.crt"), before, pki::Purpose::kServer, pki_now())
          .ok());
  EXPECT_TRUE(
      pki::verify(value("db-0-peer-tls", "tls.crt"), after, pki::Purpose::kServer, pki_now()).ok());
  EXPECT_EQ(value("db-ca-peer", "next.key"), "");
  EXPECT_EQ(value("db-client", "ca.crt"), bundle(Side::kClient));
}

TEST_F(CertificatesTest, AMemberThatLoadsNothingHoldsARotationAndIsNamed) {
  bootstrap();
  const std::string peer_leaf = value("db-0-peer-tls", "tls.crt");
  request_new_authorities();
  wait(absl::Seconds(5));
  for (int i = 0; i < 5; ++i) {
    const member::MetricsPage stuck = *pass_.probes[1].page;
    work();
    load();
    pass_.probes[1].page = stuck;
    wait(absl::Minutes(5));
  }
  EXPECT_FALSE(pass());
  EXPECT_EQ(value("db-0-peer-tls", "tls.crt"), peer_leaf);
  ASSERT_TRUE(pass_.certificate_plan.peer.waiting.has_value());
  EXPECT_THAT(pass_.certificate_plan.peer.waiting->message, HasSubstr("member 1"));
  EXPECT_EQ(pass_.cluster().status.tls->peer.phase, api::TlsPhase::kTrusting);
}

TEST_F(CertificatesTest, AStaleViewWritesNothingOver) {
  bootstrap();
  wait(absl::Hours(24 * 62));  // all leaves are due
  see();
  plan();
  ASSERT_TRUE(carry_out());
  const std::string name = steps_.back();
  const auto renewed = api_.objects;
  // The same pass once more, its caches as they were.
  ASSERT_TRUE(carry_out());
  EXPECT_EQ(steps_.back(), name);
  EXPECT_EQ(api_.objects, renewed);
  EXPECT_EQ(api_.conflicts, 1);
}

TEST_F(CertificatesTest, ALeafIsNotIssuedFromACaThatLeftItsSecretMeanwhile) {
  bootstrap();
  wait(absl::Hours(24 * 62));
  see();
  plan();
  api_.objects.erase("/api/v1/namespaces/apps/secrets/db-ca-peer");
  api_.objects.erase("/api/v1/namespaces/apps/secrets/db-ca-client");
  const auto before = api_.objects;
  carry_out();
  EXPECT_EQ(api_.objects, before);
}

TEST_F(CertificatesTest, AUsersSecretIsCopiedOnceItsCaIsTrusted) {
  bootstrap();
  auto& peer = pass_.snapshot.cluster.spec.tls.peer;
  peer.issuer = api::Issuer::kSecret;
  peer.secret_ref.name = "mine";
  EXPECT_FALSE(pass());
  EXPECT_THAT(pass_.certificate_plan.peer.waiting->message, HasSubstr("there is no Secret mine"));

  const auto ca = pki::create_ca({"own CA", "us"}, pki_now());
  pki::LeafRequest request{.common_name = "members",
                           .names = {"elsewhere.example"},
                           .for_servers = true,
                           .duration = std::chrono::hours(24 * 90)};
  give_secret("mine", *ca, *pki::issue_leaf(*ca, request, pki_now()));
  work();
  EXPECT_THAT(pass_.certificate_plan.peer.waiting->message,
              HasSubstr("does not name db-0.db-peers.apps.svc"));

  request.names = {"*.db-peers.apps.svc"};
  give_secret("mine", *ca, *pki::issue_leaf(*ca, request, pki_now()));
  for (int i = 0; i < 10; ++i) {
    work();
    load();
  }
  EXPECT_FALSE(pass());
  EXPECT_TRUE(pass_.certificate_plan.peer.settled);
  EXPECT_EQ(bundle(Side::kPeer), *pki::make_bundle({ca->certificate_pem}, "it"));
  EXPECT_EQ(value("db-2-peer-tls", "tls.crt"),
            observe::secret_value(*pass_.user_secrets["mine"], "tls.crt"));
}

TEST_F(CertificatesTest, CertManagerIsAskedForEveryHolderAndGivesAllThatMembersNeed) {
  use_cert_manager();
  work();
  EXPECT_TRUE(ask().status.ok());
  EXPECT_EQ(count("/certificates/"), 8);  // three members on both sides, the operator, applications
  const Json& spec = api_.objects
                         .at("/apis/cert-manager.io/v1/namespaces/apps/certificates/"
                             "db-1-peer-tls-issued")
                         ->at("spec");
  EXPECT_EQ(spec.at("issuerRef").at("name"), "own");
  EXPECT_EQ(spec.at("privateKey").at("rotationPolicy"), "Always");
  EXPECT_THAT(spec.at("dnsNames").dump(), HasSubstr("db-1.db-peers.apps.svc"));
  EXPECT_THAT(spec.at("ipAddresses").dump(), HasSubstr("127.0.0.1"));
  // Asking again changes nothing.
  const auto before = api_.objects;
  EXPECT_TRUE(ask().status.ok());
  EXPECT_EQ(api_.objects, before);

  fill_issued(*pki::create_ca({"cert-manager's", "us"}, pki_now()));
  work();
  EXPECT_EQ(pass_.certificate_plan.startable, (std::set<int>{0, 1, 2}));
  EXPECT_EQ(value("db-1-peer-tls", "tls.crt"), value("db-1-peer-tls-issued", "tls.crt"));
  EXPECT_EQ(count("secrets/db-ca-"), 0);
}

TEST_F(CertificatesTest, AnIssuersNewCaIsTrustedBeforeALeafOfItIsShown) {
  use_cert_manager();
  work();
  ask();
  fill_issued(*pki::create_ca({"first", "us"}, pki_now()));
  work();
  load();
  come_to_rest();
  const std::string shown = value("db-0-peer-tls", "tls.crt");

  const auto second = pki::create_ca({"second", "us"}, pki_now());
  fill_issued(*second);
  work();
  EXPECT_EQ(value("db-0-peer-tls", "tls.crt"), shown);  // nobody has loaded the new CA
  EXPECT_EQ(pki::read_certificates(bundle(Side::kPeer), "bundle")->size(), 2U);
  come_to_rest();
  EXPECT_EQ(value("db-0-peer-tls", "tls.crt"), value("db-0-peer-tls-issued", "tls.crt"));
  EXPECT_EQ(bundle(Side::kPeer), *pki::make_bundle({second->certificate_pem}, "it"));
}

TEST_F(CertificatesTest, WhatWasAskedOfCertManagerIsTakenBackWithItsIssuer) {
  use_cert_manager();
  work();
  ask();
  fill_issued(*pki::create_ca({"first", "us"}, pki_now()));
  work();
  load();
  come_to_rest();
  for (api::TlsSide* side :
       {&pass_.snapshot.cluster.spec.tls.client, &pass_.snapshot.cluster.spec.tls.peer}) {
    side->issuer = api::Issuer::kBuiltin;
  }
  come_to_rest();
  EXPECT_EQ(count("-issued"), 0);
  EXPECT_EQ(bundle(Side::kPeer), *pki::make_bundle({value("db-ca-peer", "tls.crt")}, "it"));
}

TEST_F(CertificatesTest, AMembersLeavesGoOnceItHasLeft) {
  bootstrap();
  pass_.observed.members.pop_back();
  pass_.observed.wishes.replicas = 2;
  pass_.snapshot.pods.pop_back();
  see();
  plan();
  Writer write(api_, term_);
  pass_.certificates.calm = false;
  EXPECT_TRUE(delete_leaves_of_the_gone(write, pass_).ok());
  EXPECT_NE(value("db-2-peer-tls", "tls.crt"), "") << "who is there is not known now";
  pass_.certificates.calm = true;
  EXPECT_TRUE(delete_leaves_of_the_gone(write, pass_).ok());
  EXPECT_EQ(count("secrets/db-2-"), 0);
  EXPECT_EQ(count("secrets/db-1-"), 2);
}

TEST_F(CertificatesTest, TheClustersDomainIsInEveryFullName) {
  pass_.snapshot.cluster_domain = "k8s.example";
  work();
  const auto leaf = pki::read_leaf(value("db-1-server-tls", "tls.crt"), "it");
  ASSERT_TRUE(leaf.ok());
  EXPECT_THAT(leaf->names(), testing::IsSupersetOf({"db-1.db-peers.apps.svc.k8s.example",
                                                    "*.db-peers.apps.svc.k8s.example"}));
}

TEST_F(CertificatesTest, WhatKeepsCertManagerFromIssuingIsSaid) {
  use_cert_manager();
  work();
  ask();
  const auto problem = [&] {
    pass();
    return pass_.certificate_plan.peer.waiting->message;
  };
  EXPECT_THAT(problem(), HasSubstr("see that Issuer own exists and is ready"));
  pass_.snapshot.cert_manager = observe::CertManager::kForbidden;
  EXPECT_THAT(problem(), HasSubstr("upgrade its chart"));
  pass_.snapshot.cert_manager = observe::CertManager::kAbsent;
  EXPECT_THAT(problem(), HasSubstr("cert-manager is not installed here"));
  pass_.snapshot.cert_manager = observe::CertManager::kServed;
  std::erase_if(api_.objects,
                [](const auto& each) { return absl::StrContains(each.first, "/certificates/"); });
  api_.refuses_certificates = true;
  const Asked asked = ask();
  EXPECT_FALSE(asked.status.ok());
  EXPECT_THAT(asked.refusals, testing::Contains(HasSubstr("too short")));
}

TEST_F(CertificatesTest, WhatAPodMountsChangesItsMark) {
  bootstrap();
  const std::string mark = certificates_mark(pass_, 0);
  EXPECT_NE(mark, "");
  EXPECT_NE(mark, certificates_mark(pass_, 1));
  request_new_authorities();
  wait(absl::Seconds(5));
  work();
  EXPECT_NE(certificates_mark(pass_, 0), mark);
}

TEST_F(CertificatesTest, WhatSecretsHoldOtherwiseIsMadeAnew) {
  bootstrap();
  auto& broken = api_.objects["/api/v1/namespaces/apps/secrets/db-1-peer-tls"];
  for (const Json& data : {Json{{"tls.crt", "AAAA"}}, Json{{"tls.crt", 7}}, Json("text"),
                           Json(nullptr), Json{{"tls.crt", "!"}, {"tls.key", "!"}}}) {
    Json changed = *broken;
    changed["data"] = data;
    broken = std::make_shared<const Json>(changed);
    work();
    load();
    EXPECT_TRUE(
        pki::check_key(value("db-1-peer-tls", "tls.crt"), value("db-1-peer-tls", "tls.key"), "it")
            .ok());
  }
}

}  // namespace
}  // namespace holdfast::actions
