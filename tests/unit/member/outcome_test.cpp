#include "operator/member/outcome.h"

#include <limits>

#include "datastore/base/errors.h"
#include "gtest/gtest.h"
#include "operator/member/page.h"

namespace holdfast::member {
namespace {

TEST(Outcome, OfAChangeIsReadFromTheMembersWords) {
  const struct {
    absl::Status status;
    Outcome outcome;
  } cases[] = {
      {absl::OkStatus(), Outcome::kDone},
      {errors::member_not_found(), Outcome::kRejected},
      {errors::peer_url_exist(), Outcome::kRejected},
      {errors::too_many_learners(), Outcome::kRejected},
      {errors::learner_not_ready(), Outcome::kRetry},
      {errors::member_not_enough_started(), Outcome::kRetry},
      {errors::unhealthy(), Outcome::kRetry},
      {errors::no_leader(), Outcome::kRetry},
      {errors::not_leader(), Outcome::kRetry},
      {errors::too_many_requests(), Outcome::kRetry},
      {errors::timeout(), Outcome::kUnknown},
      {errors::timeout_due_to_leader_fail(), Outcome::kUnknown},
      {errors::timeout_due_to_connection_lost(), Outcome::kUnknown},
      {errors::stopped(), Outcome::kUnknown},
      {errors::leader_changed(), Outcome::kUnknown},
      {absl::DeadlineExceededError("Deadline Exceeded"), Outcome::kUnknown},
      {absl::UnavailableError("Socket closed"), Outcome::kUnknown},
      {absl::InternalError("Received RST_STREAM"), Outcome::kUnknown},
      {absl::UnauthenticatedError("no token"), Outcome::kRejected},
  };
  for (const auto& each : cases) {
    const absl::Status seen = after_sending_a_change(each.status);
    EXPECT_EQ(outcome_of(seen), each.outcome) << each.status;
    EXPECT_EQ(seen.message(), each.status.message());
    EXPECT_EQ(seen.code(), each.status.code());
  }
}

TEST(Outcome, OfAReadIsNeverUnknown) {
  EXPECT_EQ(outcome_of(errors::timeout()), Outcome::kRetry);
  EXPECT_EQ(outcome_of(absl::DeadlineExceededError("Deadline Exceeded")), Outcome::kRetry);
  EXPECT_EQ(outcome_of(errors::not_supported_for_learner()), Outcome::kRejected);
}

TEST(Outcome, AMarkSurvivesCopies) {
  const absl::Status marked = with_outcome(absl::UnavailableError("x"), Outcome::kUnknown);
  const absl::Status copy = marked;
  EXPECT_EQ(outcome_of(copy), Outcome::kUnknown);
}

TEST(MetricsPage, PicksOutReleaseBundlesAndTheEarliestEnd) {
  const MetricsPage page = parse_metrics_page(
      "# HELP holdfast_build_info 1\n"
      "holdfast_build_info{release=\"0.2.0\"} 1\n"
      "holdfast_tls_trusted_bundle_info{endpoint=\"client\",sha256=\"aa\"} 1\n"
      "holdfast_tls_trusted_bundle_info{endpoint=\"peer\",sha256=\"bb\"} 1\n"
      "holdfast_tls_certificate_not_after_seconds{certificate=\"cert-file\"} 1.8e+09\n"
      "holdfast_tls_certificate_not_after_seconds{certificate=\"peer-cert-file\"} 1.7e+09\n");
  EXPECT_EQ(page.release, "0.2.0");
  EXPECT_EQ(page.wrapping_key, "") << "it is not encrypted";
  EXPECT_EQ(page.trusted_bundle_sha256.at("client"), "aa");
  EXPECT_EQ(page.trusted_bundle_sha256.at("peer"), "bb");
  EXPECT_EQ(page.certificate_not_after_seconds, 1'700'000'000);
}

TEST(MetricsPage, TellsTheKeyThatSealsTheVolume) {
  const MetricsPage page = parse_metrics_page(
      "holdfast_encryption_key_info{wrapping_key=\"0123456789abcdef\",data_key=\"00\"} 1\n");
  EXPECT_EQ(page.wrapping_key, "0123456789abcdef");
}

TEST(MetricsPage, PicksOutWhatPeopleLookAt) {
  const MetricsPage page = parse_metrics_page(
      "etcd_server_leader_changes_seen_total 4\n"
      "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 3\n"
      "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 4\n"
      "etcd_disk_backend_commit_duration_seconds_bucket{le=\"0.002\"} 5\n");
  EXPECT_EQ(page.leader_changes, 4U);
  EXPECT_EQ(page.wal_fsync.size(), 2U);
  EXPECT_EQ(page.wal_fsync.rbegin()->second, 4);
  EXPECT_EQ(page.backend_commit.size(), 1U);
}

TEST(Quantile, IsOfWhatCameBetweenTwoReadings) {
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  const Buckets before = {{0.1, 100}, {1.0, 100}, {kEndless, 100}};
  const Buckets now = {{0.1, 100}, {1.0, 200}, {kEndless, 200}};
  EXPECT_DOUBLE_EQ(*quantile(0.5, now, before), 0.55);
  EXPECT_DOUBLE_EQ(*quantile(0.5, now, {}), 0.1);
  EXPECT_EQ(quantile(0.5, now, now), std::nullopt);
  EXPECT_EQ(quantile(0.5, {}, {}), std::nullopt);
}

TEST(Quantile, OfAProcessThatBeganAnewIsOfWhatItSaw) {
  const Buckets before = {{0.1, 0}, {1.0, 500}};
  const Buckets now = {{0.1, 10}, {1.0, 10}};
  EXPECT_DOUBLE_EQ(*quantile(0.5, now, before), 0.05);
}

TEST(Quantile, PastTheLastBoundIsThatBound) {
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  EXPECT_DOUBLE_EQ(*quantile(0.99, {{0.1, 1}, {kEndless, 100}}, {}), 0.1);
}

TEST(MetricsPage, BrokenOrForeignLinesArePassedOver) {
  const MetricsPage page = parse_metrics_page(
      "holdfast_build_info{release=\"\n"
      "holdfast_tls_trusted_bundle_info{endpoint=\"client\"} 1\n"
      "holdfast_tls_certificate_not_after_seconds{} soon\n"
      "etcd_server_version{server_version=\"3.7.1\"} 1\n\n");
  EXPECT_EQ(page.release, "");
  EXPECT_TRUE(page.trusted_bundle_sha256.empty());
  EXPECT_FALSE(page.certificate_not_after_seconds.has_value());
}

}  // namespace
}  // namespace holdfast::member
