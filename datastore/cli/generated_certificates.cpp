#include "datastore/cli/generated_certificates.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/crypto/self_signed.h"
#include "datastore/crypto/tls_failure.h"
#include "datastore/platform/descriptor.h"

namespace holdfast::cli {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kCertificateMode = 0644;
constexpr mode_t kKeyMode = 0600;
constexpr std::chrono::hours kYear{365 * 24};

absl::Status failed(const std::string& what, const fs::path& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("can't ", what, " ", path.string()));
}

/// Whole or not at all under its name: a crash leaves the other name at most.
absl::Status write_whole(const fs::path& path, const std::string& bytes, mode_t mode) {
  const fs::path beside = path.string() + ".tmp";
  const platform::Descriptor file(
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!file.valid()) return failed("create", beside, errno);
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::fsync(file.get()) != 0) {
    return failed("write", beside, errno);
  }
  std::error_code error;
  fs::rename(beside, path, error);
  return error ? failed("create", path, error.value()) : absl::OkStatus();
}

absl::Status generate(const fs::path& cert, const fs::path& key,
                      const std::vector<std::string>& hosts, std::chrono::hours good_for,
                      telemetry::Logger& log) {
  absl::StatusOr<crypto::SelfSigned> made =
      crypto::make_self_signed(hosts, std::chrono::system_clock::now(), good_for);
  if (!made.ok()) return made.status();
  log.warn("automatically generate certificates",
           {{"certificate-validity-bound-not-after", crypto::time_text(made->not_after)}});
  // The key first: with both files there, both are whole and belong together.
  std::error_code ignored;
  fs::remove(cert, ignored);
  if (absl::Status status = write_whole(key, made->key_pem, kKeyMode); !status.ok()) return status;
  log.info("created key file", {{"path", key.string()}});
  if (absl::Status status = write_whole(cert, made->certificate_pem, kCertificateMode);
      !status.ok()) {
    return status;
  }
  log.info("created cert file", {{"path", cert.string()}});
  return absl::OkStatus();
}

void add_hosts(const std::vector<config::Url>& urls, std::vector<std::string>& hosts) {
  for (const config::Url& url : urls) {
    const bool known = std::ranges::find(hosts, url.host) != hosts.end();
    if (!url.unix_socket() && !known) hosts.push_back(url.host);
  }
}

/// endpoint: "client" or "peer".
absl::Status use_generated(config::TlsOptions& tls, const config::Options& options,
                           const std::string& endpoint, const std::vector<std::string>& hosts,
                           telemetry::Logger& log) {
  if (!tls.auto_tls) return absl::OkStatus();
  if (!tls.cert_file.empty()) {
    log.warn(absl::StrCat("ignoring ", endpoint, " auto TLS since certs given"));
    tls.auto_tls = false;
    return absl::OkStatus();
  }
  const fs::path directory = fs::path(options.data_dir) / "fixtures" / endpoint;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return failed("create", directory, error.value());
  for (const fs::path& made : {fs::path(options.data_dir), directory.parent_path(), directory}) {
    fs::permissions(made, fs::perms(kDirectoryMode), error);
  }
  const fs::path cert = directory / "cert.pem";
  const fs::path key = directory / "key.pem";
  if (!fs::exists(cert, error) || !fs::exists(key, error)) {
    const auto good_for =
        kYear * static_cast<std::int64_t>(options.self_signed_cert_validity_years);
    if (absl::Status status = generate(cert, key, hosts, good_for, log); !status.ok()) {
      return status;
    }
  }
  tls.cert_file = tls.client_cert_file = cert.string();
  tls.key_file = tls.client_key_file = key.string();
  return absl::OkStatus();
}

}  // namespace

absl::Status use_generated_certificates(config::Options& options, telemetry::Logger& log) {
  std::vector<std::string> peers, clients;
  add_hosts(options.listen_peer_urls, peers);
  add_hosts(options.initial_advertise_peer_urls, peers);
  add_hosts(options.listen_client_urls, clients);
  add_hosts(options.listen_client_http_urls, clients);
  add_hosts(options.advertise_client_urls, clients);
  absl::Status status = use_generated(options.peer_tls, options, "peer", peers, log);
  if (!status.ok()) return status;
  return use_generated(options.client_tls, options, "client", clients, log);
}

}  // namespace holdfast::cli
