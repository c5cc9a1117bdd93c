#include "datastore/cli/auth_tokens.h"

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/config/go_values.h"

namespace holdfast::cli {
namespace {

/// A key file is a few kilobytes.
constexpr std::size_t kMaxKeyFileBytes = std::size_t{1} << 20;

absl::Status unusable(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("--auth-token: ", what));
}

absl::StatusOr<std::string> read_key_file(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string content(kMaxKeyFileBytes, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.empty()) return unusable(absl::StrCat("cannot read the key file ", path));
  return content;
}

/// "a=b" parts after the first, each once.
absl::StatusOr<std::map<std::string, std::string>> settings_of(
    const std::vector<std::string>& parts) {
  std::map<std::string, std::string> settings;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::vector<std::string> pair = config::split(parts[i], '=');
    if (pair.size() != 2) {
      return unusable(absl::StrCat("'", parts[i], "' is not of the form name=value"));
    }
    if (!settings.emplace(pair[0], pair[1]).second) {
      return unusable(absl::StrCat("'", pair[0], "' is set twice"));
    }
  }
  return settings;
}

absl::StatusOr<crypto::JwtOptions> jwt_options(std::map<std::string, std::string> settings) {
  crypto::JwtOptions options{.method = settings["sign-method"]};
  if (const std::string& ttl = settings["ttl"]; !ttl.empty()) {
    const auto duration = config::parse_duration(ttl);
    if (!duration) return unusable(absl::StrCat("the ttl '", ttl, "' is no duration, as 10m is"));
    options.ttl = std::chrono::duration_cast<std::chrono::seconds>(*duration);
  }
  absl::StatusOr<std::string> public_key = read_key_file(settings["pub-key"]);
  if (!public_key.ok()) return public_key.status();
  options.public_key = *std::move(public_key);
  absl::StatusOr<std::string> private_key = read_key_file(settings["priv-key"]);
  if (!private_key.ok()) return private_key.status();
  options.private_key = *std::move(private_key);
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<crypto::Tokens>> open_tokens(const config::Options& options,
                                                            const ports::Clock& clock,
                                                            ports::Random& random) {
  const std::vector<std::string> parts = config::split(options.auth_token, ',');
  const auto settings = settings_of(parts);
  if (!settings.ok()) return settings.status();
  if (parts[0] == "simple") {
    const std::chrono::seconds ttl(options.auth_token_ttl_seconds);
    return std::make_unique<crypto::Tokens>(ttl, clock, random);
  }
  if (parts[0] != "jwt") {
    return unusable(absl::StrCat("the kind '", parts[0], "' is not known; use simple or jwt"));
  }
  const absl::StatusOr<crypto::JwtOptions> jwt_settings = jwt_options(*settings);
  if (!jwt_settings.ok()) return jwt_settings.status();
  absl::StatusOr<std::unique_ptr<crypto::Jwt>> jwt = crypto::Jwt::open(*jwt_settings, clock);
  if (!jwt.ok()) return jwt.status();
  return std::make_unique<crypto::Tokens>(*std::move(jwt), clock, random);
}

}  // namespace holdfast::cli
