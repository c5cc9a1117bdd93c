#include "datastore/config/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "datastore/config/flags.h"
#include "datastore/config/help.h"
#include "datastore/config/initial_cluster.h"

namespace holdfast::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

std::variant<Parsed, Exit> parse(const Strings& args, const Strings& environment = {}) {
  return parse_options(args, environment);
}

Options parsed(const Strings& args, const Strings& environment = {}) {
  auto outcome = parse(args, environment);
  if (const Exit* exit = std::get_if<Exit>(&outcome)) {
    ADD_FAILURE() << exit->text;
    return {};
  }
  return std::get<Parsed>(outcome).options;
}

Exit exited(const Strings& args, const Strings& environment = {}) {
  auto outcome = parse(args, environment);
  if (std::holds_alternative<Parsed>(outcome)) {
    ADD_FAILURE() << "was accepted: " << testing::PrintToString(args);
    return {Exit::Kind::kAnswered, ""};
  }
  return std::get<Exit>(outcome);
}

bool has_notice(const std::variant<Parsed, Exit>& outcome, const std::string& part) {
  const Parsed* parsed = std::get_if<Parsed>(&outcome);
  return parsed != nullptr && std::ranges::any_of(parsed->notices, [&](const Notice& notice) {
           return notice.message.find(part) != std::string::npos;
         });
}

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) {
    std::string name = testing::TempDir() + "holdfast-config-XXXXXX";
    const int descriptor = mkstemp(name.data());
    EXPECT_GE(descriptor, 0);
    close(descriptor);
    path_ = name;
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  std::string flag() const { return "--config-file=" + path_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CommandLine, TakesGosSpellings) {
  const Options options = parsed({"-name", "a", "--data-dir=/d", "-wal-dir=/w", "--pre-vote=false",
                                  "-unsafe-no-fsync", "--snapshot-count", "0x10"});
  EXPECT_EQ(options.name, "a");
  EXPECT_EQ(options.data_dir, "/d");
  EXPECT_EQ(options.wal_dir, "/w");
  EXPECT_FALSE(options.pre_vote);
  EXPECT_TRUE(options.unsafe_no_fsync);
  EXPECT_EQ(options.snapshot_count, 16u);
}

TEST(CommandLine, WithoutFlagsIsEtcdsDefault) {
  const Options options = parsed({});
  EXPECT_EQ(options.data_dir, "default.etcd");
  EXPECT_EQ(join_urls(options.listen_client_urls), "http://localhost:2379");
  EXPECT_EQ(options.initial_cluster, "default=http://localhost:2380");
  EXPECT_EQ(effective_quota_bytes(options), 2LL * 1024 * 1024 * 1024);
}

TEST(CommandLine, LastOfARepeatedFlagCounts) {
  EXPECT_EQ(parsed({"--name=a", "--name=b"}).name, "b");
}

TEST(CommandLine, ANameAloneIsItsOwnCluster) {
  const Options options = parsed({"--name", "m1"});
  EXPECT_EQ(options.initial_cluster, "m1=http://localhost:2380");
  EXPECT_EQ(options.data_dir, "m1.etcd");
  EXPECT_TRUE(validate_bootstrap(options).ok());
}

/// As etcd's UpdateDefaultClusterFromName has it: what was chosen stays, [::] stands for itself.
TEST(CommandLine, TheDefaultHostIsAdvertisedWhereNothingElseIs) {
  struct Case {
    Strings flags;
    const char* peers;
    const char* cluster;
  };
  const std::string any = "--listen-peer-urls=http://0.0.0.0:7380";
  const Case cases[] = {
      {{"--name=m", any}, "http://192.0.2.7:7380", "m=http://192.0.2.7:7380"},
      {{"--name=m", any, "--initial-advertise-peer-urls=http://m:7380"},
       "http://m:7380",
       "m=http://m:7380"},
      {{"--name=m", any, "--initial-cluster=m=http://a:1"},
       "http://192.0.2.7:7380",
       "m=http://a:1"},
      {{"--name=m", "--listen-peer-urls=http://[::]:7380"},
       "http://localhost:2380",
       "m=http://localhost:2380"},
      {{"--name=m"}, "http://localhost:2380", "m=http://localhost:2380"},
  };
  for (const Case& each : cases) {
    const auto outcome = parse_options(each.flags, {}, [] { return std::string("192.0.2.7"); });
    ASSERT_TRUE(std::holds_alternative<Parsed>(outcome)) << testing::PrintToString(each.flags);
    const Options& options = std::get<Parsed>(outcome).options;
    EXPECT_EQ(join_urls(options.initial_advertise_peer_urls), each.peers);
    EXPECT_EQ(options.initial_cluster, each.cluster);
  }
}

TEST(CommandLine, WithoutADefaultHostTheDefaultsStayAndThatIsSaid) {
  const Strings flags = {"--name=m", "--listen-peer-urls=http://0.0.0.0:7380"};
  const auto outcome = parse_options(flags, {}, [] { return absl::NotFoundError("no route"); });
  ASSERT_TRUE(std::holds_alternative<Parsed>(outcome));
  const auto& [options, notices] = std::get<Parsed>(outcome);
  EXPECT_EQ(join_urls(options.initial_advertise_peer_urls), "http://localhost:2380");
  EXPECT_TRUE(std::ranges::any_of(notices, [](const Notice& notice) {
    return notice.message == "failed to detect default host";
  }));
}

TEST(CommandLine, ClientsAreToldTheDefaultHostWhereTheDefaultIsAskedFor) {
  const Strings flags = {"--listen-client-urls=http://0.0.0.0:7379",
                         "--advertise-client-urls=http://localhost:2379"};
  const auto outcome = parse_options(flags, {}, [] { return std::string("2001:db8::7"); });
  ASSERT_TRUE(std::holds_alternative<Parsed>(outcome));
  EXPECT_EQ(join_urls(std::get<Parsed>(outcome).options.advertise_client_urls),
            "http://[2001:db8::7]:7379");
}

TEST(CommandLine, WrongFlagsExitWithTwoAndSayWhy) {
  const std::pair<Strings, const char*> cases[] = {
      {{"--nam=a"}, "flag provided but not defined: -nam; did you mean --name?"},
      {{"--experimental-corrupt-check-time=1m"},
       "flag provided but not defined: -experimental-corrupt-check-time; etcd 3.7 calls it "
       "--corrupt-check-time"},
      {{"--enable-v2"},
       "flag provided but not defined: -enable-v2; etcd 3.7 has no v2 API, proxy or discovery; "
       "remove the flag"},
      {{"--name"}, "flag needs an argument: -name"},
      {{"---name"}, "bad flag syntax: ---name"},
      {{"--heartbeat-interval=x"}, "invalid value \"x\" for flag -heartbeat-interval: parse error"},
      {{"--pre-vote=maybe"}, "invalid boolean value \"maybe\" for flag -pre-vote: parse error"},
      {{"--max-concurrent-streams=4294967296"},
       "invalid value \"4294967296\" for flag -max-concurrent-streams: value out of range"},
      {{"--initial-cluster-state=old"},
       "invalid value \"old\" for flag -initial-cluster-state: invalid value"},
      {{"--listen-client-urls=http://a"},
       "invalid value \"http://a\" for flag -listen-client-urls: URL address does not have the "
       "form "
       "\"host:port\": http://a"},
      {{"--feature-gates=LeaseCheckpoint"},
       "invalid value \"LeaseCheckpoint\" for flag -feature-gates: missing bool value for "
       "LeaseCheckpoint"},
      {{"--feature-gates=Nope=true"},
       "invalid value \"Nope=true\" for flag -feature-gates: unrecognized feature gate: Nope"},
  };
  for (const auto& [args, text] : cases) {
    const Exit exit = exited(args);
    EXPECT_EQ(exit.text, text);
    EXPECT_EQ(exit.code(), 2);
  }
}

TEST(CommandLine, AWordThatIsNoFlagIsRefused) {
  const Exit exit = exited({"--name=a", "serve"});
  EXPECT_EQ(exit.text, "\"serve\" is not a valid flag");
  EXPECT_EQ(exit.code(), 1);
}

TEST(Environment, FillsWhatTheCommandLineLeavesOut) {
  const Options options =
      parsed({"--name=a"}, {"ETCD_DATA_DIR=/d", "ETCD_WAL_DIR=", "PATH=/bin", "ETCDCTL_API=3"});
  EXPECT_EQ(options.data_dir, "/d");
  EXPECT_EQ(options.wal_dir, "");
}

TEST(Environment, GivenTwiceIsRefused) {
  const Exit exit = exited({"--name=a"}, {"ETCD_NAME=a"});
  EXPECT_EQ(exit.code(), 1);
  EXPECT_THAT(exit.text, HasSubstr("shadowed"));
  EXPECT_THAT(exit.text, HasSubstr("ETCD_NAME"));
}

TEST(Environment, WrongValuesNameTheVariable) {
  const Exit exit = exited({}, {"ETCD_ELECTION_TIMEOUT=soon"});
  EXPECT_EQ(exit.text, "invalid value \"soon\" for ETCD_ELECTION_TIMEOUT: parse error");
  EXPECT_EQ(exit.code(), 1);
}

TEST(Environment, UnknownVariablesAreTold) {
  EXPECT_TRUE(has_notice(parse({}, {"ETCD_NAEM=a"}), "unrecognized environment variable"));
}

TEST(Environment, OursHaveOurPrefix) {
  EXPECT_EQ(parsed({}, {"HOLDFAST_EVENT_LOOPS=3"}).event_loops, 3u);
}

TEST(ConfigFile, SetsAsideFlagsAndEnvironment) {
  const ConfigFile file("name: f\ndata-dir: /f\n");
  const Options options = parsed({file.flag(), "--name=a"}, {"ETCD_DATA_DIR=/e"});
  EXPECT_EQ(options.name, "f");
  EXPECT_EQ(options.data_dir, "/f");
  EXPECT_EQ(parsed({}, {"ETCD_CONFIG_FILE=" + file.path()}).name, "f");
}

TEST(ConfigFile, ReadsEveryKindAndSection) {
  const ConfigFile file(R"(
name: m1
snapshot-count: 5
pre-vote: off
grpc-keepalive-interval: 600000000000
quota-backend-bytes: 1000000
auto-compaction-mode: revision
auto-compaction-retention: 1000
listen-client-urls: http://127.0.0.1:1,http://127.0.0.1:2
advertise-client-urls: http://127.0.0.1:1
log-outputs: [stderr, /tmp/x.log]
host-whitelist: "a,b"
feature-gates: LeaseCheckpoint=true,LeaseCheckpointPersist=true
socket-options: {reuse-port: true}
)");
  const Options options = parsed({file.flag()});
  EXPECT_EQ(options.snapshot_count, 5u);
  EXPECT_FALSE(options.pre_vote);
  EXPECT_EQ(options.grpc_keepalive_interval, std::chrono::minutes(10));
  EXPECT_EQ(auto_compaction(options)->mode, AutoCompaction::Mode::kRevision);
  EXPECT_EQ(auto_compaction(options)->revisions, 1000);
  EXPECT_EQ(options.listen_client_urls.size(), 2u);
  EXPECT_THAT(options.log_outputs, ElementsAre("/tmp/x.log", "stderr"));
  EXPECT_THAT(options.host_whitelist, ElementsAre("a", "b"));
  EXPECT_TRUE(options.socket_reuse_port);
  EXPECT_EQ(options.initial_cluster, "m1=http://localhost:2380");
}

TEST(ConfigFile, ErrorsNameFileAndKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"heartbeat-interval: soon", "heartbeat-interval: parse error"},
      {"warning-apply-duration: 10m",
       "warning-apply-duration: must be whole nanoseconds, as in etcd's file: 600000000000 for "
       "10m"},
      {"pre-vote: 7", "pre-vote: must be true or false"},
      {"log-outputs: stderr", "log-outputs: must be a list, for example [a, b]"},
      {"name: [a]", "name: must be a single value"},
      {"name: a\nname: b", "name stands there twice"},
      {"peer-transport-security: 7", "invalid peer-transport-security"},
      {"- a", "must hold settings"},
      {"a: [", "is not YAML: line"},
  };
  for (const auto& [text, error] : cases) {
    const ConfigFile file(text);
    const Exit exit = exited({file.flag()});
    EXPECT_THAT(exit.text, HasSubstr(error));
    EXPECT_THAT(exit.text, HasSubstr(file.path()));
    EXPECT_EQ(exit.code(), 1);
  }
  EXPECT_THAT(exited({"--config-file=/no/such"}).text, HasSubstr("No such file"));
}

TEST(ConfigFile, UnknownKeysAreTold) {
  const ConfigFile file("snapshot-cout: 5\n");
  EXPECT_TRUE(has_notice(parse({file.flag()}), "not known"));
}

TEST(Validation, UsesEtcdsErrors) {
  const std::pair<Strings, const char*> cases[] = {
      {{"--heartbeat-interval=0"}, "--heartbeat-interval must be >0 (set to 0ms)"},
      {{"--election-timeout=0"}, "--election-timeout must be >0 (set to 0ms)"},
      {{"--election-timeout=499"},
       "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]"},
      {{"--election-timeout=50001"},
       "--election-timeout[50001ms] is too long, and should be set less than 50000ms"},
      {{"--listen-client-urls=http://127.0.0.1:1"},
       "--advertise-client-urls is required when --listen-client-urls is set explicitly"},
      {{"--listen-peer-urls=http://example.com:1"},
       "expected IP in URL for binding (http://example.com:1)"},
      {{"--initial-advertise-peer-urls=http://:1"},
       "--initial-advertise-peer-urls \"http://:1\" must be \"host:port\" (unexpected empty host)"},
      {{"--auto-compaction-mode=never"}, "unknown auto-compaction-mode \"never\""},
      {{"--auto-compaction-mode="}, "undefined auto-compaction-mode"},
      {{"--discovery-token=x"}, "both --discovery-token and --discovery-endpoints must be set"},
      {{"--discovery-srv=x", "--initial-cluster=a=http://b:1"},
       "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
       "\"discovery-endpoints\" or \"discovery-srv\""},
      {{"--feature-gates=LeaseCheckpointPersist=true"},
       "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
       "LeaseCheckpoint"},
      {{"--compact-hash-check-time=0"}, "--compact-hash-check-time must be >0 (set to 0s)"},
      {{"--tls-min-version=TLS1.1"},
       "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"},
      {{"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"},
       "min version (TLS1.3) is greater than max version (TLS1.2)"},
      {{"--tls-min-version=TLS1.3", "--cipher-suites=a"},
       "cipher suites cannot be configured when only TLS1.3 is enabled"},
      {{"--logger=capnslog"}, "--logger=capnslog is removed in v3.5"},
      {{"--logger=x"}, "unknown logger option \"x\""},
      {{"--log-format=xml"}, "unknown log format: xml, supported values json, console"},
      {{"--log-outputs=default,stderr"}, "multi logoutput for \"default\" is not supported yet"},
      {{"--enable-log-rotation"},
       "--log-outputs requires a single file path when --log-rotate-config-json is defined"},
  };
  for (const auto& [args, text] : cases) {
    const Exit exit = exited(args);
    EXPECT_EQ(exit.text, text);
    EXPECT_EQ(exit.code(), 1);
  }
}

TEST(Validation, CompactionRetentionDependsOnItsMode) {
  const auto compaction = [](const char* mode, const char* retention) {
    Options options;
    options.auto_compaction_mode = mode;
    options.auto_compaction_retention = retention;
    return auto_compaction(options);
  };
  EXPECT_EQ(compaction("periodic", "0")->mode, AutoCompaction::Mode::kOff);
  EXPECT_EQ(compaction("periodic", "2")->period, std::chrono::hours(2));
  EXPECT_EQ(compaction("periodic", "5m")->period, std::chrono::minutes(5));
  EXPECT_EQ(compaction("revision", "1000")->revisions, 1000);
  EXPECT_FALSE(compaction("periodic", "-1").ok());
  EXPECT_FALSE(compaction("periodic", "soon").ok());
  EXPECT_FALSE(compaction("revision", "5m").ok());
}

TEST(Validation, FlagsWithoutMeaningAreRefusedWithASentence) {
  EXPECT_EQ(exited({"--enable-pprof"}).text,
            "--enable-pprof means nothing here: there is no Go runtime to profile; use perf on the "
            "process instead. Remove it.");
  EXPECT_EQ(exited({"--enable-distributed-tracing"}).code(), 1);
  parsed({"--enable-pprof=false", "--enable-distributed-tracing=false"});
}

TEST(Validation, FlagsMetAnywayAreTold) {
  EXPECT_TRUE(has_notice(parse({"--max-wals=9"}), "--max-wals has nothing to do here"));
}

TEST(Validation, SocketReuseAddressIsMetAnyway) {
  EXPECT_TRUE(has_notice(parse({"--socket-reuse-address"}), "nothing to do here"));
  EXPECT_FALSE(has_notice(parse({"--socket-reuse-port"}), "nothing to do here"));
}

TEST(Validation, CertificatesAndUrlsMustFit) {
  const std::string url = "--listen-client-urls=https://127.0.0.1:1";
  const std::string advertised = "--advertise-client-urls=https://a:1";
  const std::pair<Strings, const char*> cases[] = {
      {{url, advertised},
       "TLS key/cert (--cert-file, --key-file) must be provided for client url "
       "https://127.0.0.1:1 with HTTPS scheme"},
      {{"--listen-peer-urls=https://127.0.0.1:1"},
       "cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented"},
      {{"--listen-metrics-urls=https://127.0.0.1:1"},
       "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url"},
      {{url, advertised, "--cert-file=a"},
       "KeyFile and CertFile must both be present[key: , cert: a]"},
      {{"--peer-client-key-file=a"},
       "ClientKeyFile and ClientCertFile must both be present or both absent: key: a, cert: ]"},
      {{"--accept-plain-and-tls"},
       "--accept-plain-and-tls has no certificate to speak TLS with: set --cert-file and "
       "--key-file, or --peer-cert-file and --peer-key-file"},
      {{"--peer-cert-allowed-cn=a,b", "--peer-cert-allowed-hostname=c"},
       "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\" \"b\"], "
       "hostnames=[\"c\"])"},
      {{"--cipher-suites=TLS_AES_128_GCM_SHA256", "--tls-min-version=TLS1.3"},
       "cipher suites cannot be configured when only TLS1.3 is enabled"},
      {{"--peer-auto-tls", "--self-signed-cert-validity=0"},
       "selfSignedCertValidity is invalid,it should be greater than 0"},
  };
  parsed({url, advertised, "--auto-tls"});
  parsed({"--listen-peer-urls=https://127.0.0.1:1", "--peer-auto-tls"});
  for (const auto& [args, text] : cases) EXPECT_EQ(exited(args).text, text);
  parsed({url, advertised, "--cert-file=a", "--key-file=b"});
  parsed({"--listen-peer-urls=https://127.0.0.1:1", "--peer-cert-file=a", "--peer-key-file=b",
          "--peer-trusted-ca-file=c", "--peer-client-cert-auth"});
}

TEST(Validation, CertificatesThatAUrlLeavesUnusedAreTold) {
  const auto parsed_so = parse({"--cert-file=a", "--key-file=b", "--client-cert-auth"});
  EXPECT_TRUE(has_notice(parsed_so, "scheme is http or unix while key and cert files are present"));
  EXPECT_TRUE(has_notice(parsed_so, "while --client-cert-auth is enabled"));
  EXPECT_TRUE(has_notice(parse({"--peer-cert-file=a", "--peer-key-file=b"}),
                         "scheme is HTTP while key and cert files are present"));
  EXPECT_FALSE(has_notice(parse({"--cert-file=a", "--key-file=b", "--accept-plain-and-tls"}),
                          "scheme is http"));
}

TEST(Flags, AreTheCompleteSetOfEtcd) {
  std::set<std::string> ours;
  for (const Flag& flag : flags()) {
    EXPECT_TRUE(ours.insert(std::string(flag.name)).second) << flag.name;
    EXPECT_EQ(flag.status == FlagStatus::kUsed, flag.reason.empty()) << flag.name;
  }
  std::ifstream etcds(HOLDFAST_TESTDATA "/config/etcd-3.7.1-flags.txt");
  ASSERT_TRUE(etcds.good());
  std::string name;
  std::string value;
  static const Options kDefaults;
  while (etcds >> name && std::getline(etcds, value)) {
    const Flag* flag = find_flag(name);
    ASSERT_NE(flag, nullptr) << name;
    EXPECT_EQ(value_text(*flag, kDefaults), value.empty() ? "" : value.substr(1)) << name;
  }
}

TEST(Help, NamesEveryFlagInLinesThatFit) {
  const std::string text = help_text();
  for (const Flag& flag : flags()) {
    EXPECT_THAT(text, HasSubstr(std::string("  --") + std::string(flag.name) + " "));
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  --")) {
      EXPECT_LE(line.size(), 100u) << line;
    }
  }
  const Exit exit = exited({"--help"});
  EXPECT_EQ(exit.text, text);
  EXPECT_EQ(exit.code(), 0);
}

TEST(Version, TellsTheReleaseAndTheApiLevel) {
  const Exit exit = exited({"--version"});
  EXPECT_THAT(exit.text, HasSubstr("holdfast Version: "));
  EXPECT_THAT(exit.text, HasSubstr("etcd API Version: 3.7.1"));
  EXPECT_EQ(exit.code(), 0);
}

TEST(LogOptions, CarryLevelFormatOutputsAndRotation) {
  const Options options = parsed({"--log-level=warn", "--log-format=console", "--log-outputs=/l",
                                  "--enable-log-rotation", "--log-rotation-config-json",
                                  R"({"maxsize": 2, "maxbackups": 3, "compress": true})"});
  const auto log = log_options(options);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(log->level, telemetry::LogLevel::kWarn);
  EXPECT_EQ(log->format, telemetry::LogFormat::kConsole);
  EXPECT_THAT(log->outputs, ElementsAre("/l"));
  ASSERT_TRUE(log->rotation.has_value());
  EXPECT_EQ(log->rotation->max_size_bytes, 2 * 1024 * 1024);
  EXPECT_EQ(log->rotation->max_backups, 3);
  EXPECT_TRUE(log->rotation->compress);
}

}  // namespace
}  // namespace holdfast::config
