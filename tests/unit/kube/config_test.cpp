#include "operator/kube/config.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "operator/kube/credentials.h"
#include "operator/kube/exec_credential.h"
#include "tests/unit/kube/manual_clock.h"

namespace holdfast::kube {
namespace {

class ConfigTest : public testing::Test {
 protected:
  ConfigTest()
      : folder_(std::filesystem::path(testing::TempDir()) /
                ("kube-config-" + std::to_string(::getpid()) + "-" +
                 testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder_);
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name) << content;
    return (folder_ / name).string();
  }
  std::string kubeconfig(const std::string& cluster, const std::string& user) const {
    return write("config",
                 "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                 "contexts:\n- name: c\n  context: {cluster: k, user: u, namespace: n}\n"
                 "clusters:\n- name: other\n  cluster: {server: 'https://other'}\n"
                 "- name: k\n  cluster: " +
                     cluster +
                     "\n"
                     "users:\n- name: u\n  user: " +
                     user + "\n");
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigTest, CurrentContextIsFollowed) {
  const auto config = kubeconfig_config(
      kubeconfig("{server: 'https://[fd00::1]:6443/base/', certificate-authority: ca.crt, "
                 "tls-server-name: kube}",
                 "{client-certificate-data: aGVsbG8=, client-key: sub/key.pem, token: t}"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->host, "fd00::1");
  EXPECT_EQ(config->port, 6443);
  EXPECT_EQ(authority(*config), "[fd00::1]:6443");
  EXPECT_EQ(config->base_path, "/base");
  EXPECT_EQ(config->ca.file, (folder_ / "ca.crt").string());
  EXPECT_EQ(config->client_certificate.data, "hello");
  EXPECT_EQ(config->client_key.file, (folder_ / "sub/key.pem").string());
  EXPECT_EQ(config->token, "t");
  EXPECT_EQ(config->tls_server_name, "kube");
  EXPECT_EQ(config->default_namespace, "n");
}

TEST_F(ConfigTest, WhatCannotBeUsedIsRefusedWithASentence) {
  const std::pair<const char*, const char*> cases[] = {
      {"{server: 'https://a', proxy-url: 'http://p:3128'}", "{}"},
      {"{server: 'ftp://a'}", "{}"},
      {"{server: 'https://a:port'}", "{}"},
      {"{server: 'https://[::1'}", "{}"},
      {"{}", "{}"},
      {"{server: 'https://a', certificate-authority-data: '!!'}", "{}"},
      {"{server: 'https://a'}", "{username: u, password: p}"},
      {"{server: 'https://a'}", "{auth-provider: {name: gcp}}"},
      {"{server: 'https://a'}", "{client-certificate: a}"},
      {"{server: 'https://a'}", "{exec: {apiVersion: client.authentication.k8s.io/v1}}"},
      {"{server: 'https://a'}", "{exec: {apiVersion: v7, command: x}}"},
      {"[", "{}"},
  };
  for (const auto& [cluster, user] : cases) {
    const auto config = kubeconfig_config(kubeconfig(cluster, user));
    EXPECT_FALSE(config.ok()) << cluster << user;
    EXPECT_NE(config.status().message().find("kubeconfig"), absl::string_view::npos)
        << config.status();
  }
  EXPECT_FALSE(kubeconfig_config(kubeconfig("{server: 'https://a'}", "{}"), "absent").ok());
  EXPECT_TRUE(absl::IsNotFound(kubeconfig_config((folder_ / "absent").string()).status()));
  EXPECT_FALSE(kubeconfig_config(write("empty", "")).ok());
  EXPECT_FALSE(kubeconfig_config(write("list", "[1, 2]")).ok());
}

TEST_F(ConfigTest, PodsOwnConfigTakesIPv6AndItsFiles) {
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00:10:96::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(in_cluster_config(folder_.string()).status()));
  write("token", "secret\n");
  write("namespace", "operators");
  const auto config = in_cluster_config(folder_.string());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(authority(*config), "[fd00:10:96::1]:443");
  EXPECT_EQ(config->default_namespace, "operators");
  EXPECT_EQ(config->ca.file, (folder_ / "ca.crt").string());
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  EXPECT_TRUE(absl::IsFailedPrecondition(in_cluster_config(folder_.string()).status()));
}

TEST_F(ConfigTest, TokenFileIsReadAgainEachMinuteAndAfterRejection) {
  ManualClock clock;
  Config config;
  config.token_file = write("token", "one\n");
  Credentials credentials(config, clock);
  EXPECT_EQ(credentials.current()->token, "one");
  write("token", "two\n");
  EXPECT_EQ(credentials.current()->token, "one");
  clock.advance(std::chrono::seconds(60));
  EXPECT_EQ(credentials.current()->token, "two");
  write("token", "three\n");
  credentials.reject("one");  // long replaced
  EXPECT_EQ(credentials.current()->token, "two");
  credentials.reject("two");
  EXPECT_EQ(credentials.current()->token, "three");
  std::filesystem::remove(config.token_file);
  clock.advance(std::chrono::seconds(60));
  EXPECT_EQ(credentials.current()->token, "three") << "a file that is being replaced is no loss";
}

TEST_F(ConfigTest, PluginIsRunAgainWhenItsCredentialExpires) {
  ManualClock clock;
  const std::string expires = rfc3339(clock.wall() + std::chrono::minutes(5));
  const std::string script =
      write("plugin",
            "#!/bin/sh\necho run >> \"$COUNT\"\n"
            "case \"$KUBERNETES_EXEC_INFO\" in *ExecCredential*) ;; *) exit 3 ;; esac\n"
            "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\","
            "\"status\":{\"token\":\"t'$1'\",\"expirationTimestamp\":\"" +
                expires + "\"}}'\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  Config config;
  config.exec = ExecPlugin{.api_version = "client.authentication.k8s.io/v1",
                           .command = script,
                           .args = {"7"},
                           .env = {{"COUNT", (folder_ / "count").string()}}};
  Credentials credentials(config, clock);
  const auto runs = [&] { return std::filesystem::file_size(folder_ / "count") / 4; };
  const auto first = credentials.current();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->token, "t7");
  clock.advance(std::chrono::minutes(4));
  EXPECT_TRUE(credentials.current().ok());
  EXPECT_EQ(runs(), 1U);
  clock.advance(std::chrono::seconds(55));
  EXPECT_TRUE(credentials.current().ok());
  EXPECT_EQ(runs(), 2U);
}

TEST_F(ConfigTest, PluginThatHangsIsKilledWithItsChildren) {
  const std::string script = write("plugin", "#!/bin/sh\nsleep 600 &\nsleep 600\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  const auto got =
      run_exec_plugin({.api_version = "v1", .command = script}, std::chrono::milliseconds(200));
  EXPECT_TRUE(absl::IsDeadlineExceeded(got.status())) << got.status();
}

TEST_F(ConfigTest, PluginThatFailsIsQuoted) {
  const std::string script = write("plugin", "#!/bin/sh\necho 'log in first' >&2\nexit 1\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  const auto failed = run_exec_plugin({.api_version = "v1", .command = script});
  EXPECT_NE(failed.status().message().find("log in first"), absl::string_view::npos);
  const auto missing = run_exec_plugin(
      {.api_version = "v1", .command = "no-such-plugin-here", .install_hint = "get it at X"});
  EXPECT_NE(missing.status().message().find("get it at X"), absl::string_view::npos)
      << missing.status();
  const std::string noise = write("noise", "#!/bin/sh\nyes | head -c 3000000\n");
  std::filesystem::permissions(noise, std::filesystem::perms::owner_all);
  EXPECT_FALSE(run_exec_plugin({.api_version = "v1", .command = noise}).ok());
}

}  // namespace
}  // namespace holdfast::kube
