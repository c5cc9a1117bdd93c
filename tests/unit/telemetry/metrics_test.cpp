#include "datastore/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace holdfast::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Cells, AreExactWithMoreThreadsThanShards) {
  MetricRegistry registry;
  Counter& counter = registry.counter("c", "");
  Histogram& histogram = registry.histogram("h", "", {1, 2});
  std::vector<std::thread> threads;
  constexpr int kThreads = 2 * static_cast<int>(Cells::kShards);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        counter.add();
        histogram.observe(1.5);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(counter.value(), kThreads * 1000u);
  EXPECT_EQ(histogram.count(), kThreads * 1000u);
  EXPECT_EQ(histogram.sum(), kThreads * 1500.0);
  EXPECT_EQ(histogram.bucket_count(0), 0u);
  EXPECT_EQ(histogram.bucket_count(1), kThreads * 1000u);
}

TEST(Histogram, BoundsIncludeTheirValueAndPrintCumulatively) {
  MetricRegistry registry;
  Histogram& histogram = registry.histogram("h", "help", {1, 2});
  for (double value : {0.5, 1.0, 1.5, 9.0}) {
    histogram.observe(value);
  }
  EXPECT_THAT(registry.text(), HasSubstr("# TYPE h histogram\n"
                                         "h_count 4\nh_sum 12\n"
                                         "h_bucket{le=\"1\"} 2\n"
                                         "h_bucket{le=\"2\"} 3\n"
                                         "h_bucket{le=\"+Inf\"} 4\n"));
}

TEST(TlsMetrics, ShowWhatIsInUseAndWhatFailed) {
  MetricRegistry registry;
  TlsMetrics tls(registry);
  EXPECT_EQ(registry.text(), "");
  tls.set_in_use("peer", {{"peer-cert-file", "CN=m1", "0A", 1'800'000'000}}, "ab12");
  tls.count_failure("peer", "accepted", "expired", "CN=late");
  tls.count_reload("peer", "refused");
  const std::string text = registry.text();
  EXPECT_THAT(text, HasSubstr("holdfast_tls_certificate_not_after_seconds{certificate=\"peer-cert-"
                              "file\",subject=\"CN=m1\",serial=\"0A\"} 1800000000\n"));
  EXPECT_THAT(text,
              HasSubstr("holdfast_tls_trusted_bundle_info{endpoint=\"peer\",sha256=\"ab12\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("holdfast_tls_failures_total{endpoint=\"peer\",direction=\"accepted\","
                        "reason=\"expired\",certificate=\"CN=late\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("holdfast_tls_reloads_total{endpoint=\"peer\",outcome=\"refused\"} 1"));
}

TEST(TlsMetrics, StrangersCannotMakeSeriesWithoutEnd) {
  MetricRegistry registry;
  TlsMetrics tls(registry);
  constexpr std::size_t kStrangers = 10 * TlsMetrics::kMaxSubjects;
  for (std::size_t i = 0; i < kStrangers; ++i) {
    tls.count_failure("peer", "accepted", "untrusted", "CN=" + std::to_string(i));
  }
  const std::string text = registry.text();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), TlsMetrics::kMaxSubjects + 3);
  EXPECT_THAT(text, HasSubstr("certificate=\"other\"} 1152\n"));
}

TEST(Registry, HidesWhatWasNeverUsed) {
  MetricRegistry registry;
  Counter& counter = registry.counter("c", "", {}, Presence::kOnceUsed);
  Gauge& gauge = registry.gauge("g", "", {}, Presence::kOnceUsed);
  EXPECT_EQ(registry.text(), "");
  counter.add();
  gauge.set(0);
  EXPECT_THAT(registry.text(), HasSubstr("c 1\n"));
  EXPECT_THAT(registry.text(), HasSubstr("g 0\n"));
}

TEST(Registry, AsksAGaugesSourceAtEachScrape) {
  MetricRegistry registry;
  double value = 1;
  registry.gauge("g", "").set_source([&] { return value; });
  EXPECT_THAT(registry.text(), HasSubstr("g 1\n"));
  value = 2;
  EXPECT_THAT(registry.text(), HasSubstr("g 2\n"));
}

// Every family of etcd 3.7.1's /metrics (testdata/metrics/etcd-3.7.1.txt: name, type, labels,
// bounds) is here with the same type, labels and buckets.
TEST(Metrics, HaveEtcdsNamesTypesLabelsAndBuckets) {
  Metrics metrics({.extensive = true, .release = "0.1.0"});
  metrics.set_member_id(0xabc);
  metrics.set_cluster_version("3.7");
  metrics.set_feature("LeaseCheckpoint", "ALPHA", false);
  metrics.client_requests(false).add();
  metrics.range_duration().observe(0.1, true);
  metrics.request_duration(RequestKind::kPut).observe(0.1, true);
  metrics.apply_duration(RequestKind::kPut).observe(0.1, true);
  metrics.record_health_check("readyz", "non_learner", true);
  metrics.grpc_method("etcdserverpb.KV", "Put", RpcShape::kUnary);

  std::set<std::string> ours;
  for (const prometheus::MetricFamily& family : metrics.registry().Collect()) {
    std::ostringstream line;
    line << family.name << ' '
         << (family.type == prometheus::MetricType::Counter ? "counter"
             : family.type == prometheus::MetricType::Gauge ? "gauge"
                                                            : "histogram");
    for (const auto& label : family.metric.at(0).label) {
      line << ' ' << label.name;
    }
    const auto& buckets = family.metric.at(0).histogram.bucket;
    if (!buckets.empty()) {
      line << " [";
      for (const auto& bucket : buckets) {
        line << (&bucket == &buckets.front() ? "" : " ") << bucket.upper_bound;
      }
      line << ']';
    }
    ours.insert(line.str());
  }
  std::ifstream etcds(HOLDFAST_TESTDATA "/metrics/etcd-3.7.1.txt");
  ASSERT_TRUE(etcds.good());
  for (std::string line; std::getline(etcds, line);) {
    EXPECT_TRUE(ours.contains(line)) << line;
  }
}

TEST(Metrics, CountAGrpcMethodByCode) {
  Metrics metrics({});
  GrpcMethodMetrics& put = metrics.grpc_method("etcdserverpb.KV", "Put", RpcShape::kUnary);
  EXPECT_EQ(&put, &metrics.grpc_method("etcdserverpb.KV", "Put", RpcShape::kUnary));
  put.started->add();
  put.observe_end(3, 0.1);
  const std::string text = metrics.text();
  EXPECT_THAT(
      text, HasSubstr("grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_method=\"Put\","
                      "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("grpc_code=\"OK\",grpc_method=\"Put\","
                              "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("grpc_server_handling_seconds")));
}

TEST(Metrics, CountRequestsByTheVersionClientsAnnounce) {
  Metrics metrics({});
  metrics.client_requests(false, "3.6").add(2);
  metrics.client_requests(true, "3.x\"hostile").add();
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("{client_api_version=\"3.6\",type=\"unary\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{client_api_version=\"unknown\",type=\"stream\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("hostile")));
}

TEST(Metrics, ShowOneClusterVersion) {
  Metrics metrics({});
  EXPECT_THAT(metrics.text(), Not(HasSubstr("etcd_cluster_version")));
  metrics.set_cluster_version("3.6");
  metrics.set_cluster_version("3.7");
  EXPECT_THAT(metrics.text(), HasSubstr("etcd_cluster_version{cluster_version=\"3.7\"} 1\n"));
  EXPECT_THAT(metrics.text(), Not(HasSubstr("\"3.6\"")));
}

TEST(ProcessMetrics, DescribeThisProcess) {
  Metrics metrics({});
  double start = 0;
  double resident = 0;
  double descriptors = 0;
  for (const prometheus::MetricFamily& family : metrics.registry().Collect()) {
    const auto& metric = family.metric.at(0);
    start = family.name == "process_start_time_seconds" ? metric.gauge.value : start;
    resident = family.name == "process_resident_memory_bytes" ? metric.gauge.value : resident;
    descriptors = family.name == "process_open_fds" ? metric.gauge.value : descriptors;
  }
  EXPECT_GT(start, 1.5e9);
  EXPECT_GT(resident, 1e6);
  EXPECT_GE(descriptors, 3);
}

}  // namespace
}  // namespace holdfast::telemetry
