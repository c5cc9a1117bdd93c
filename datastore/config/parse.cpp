#include "datastore/config/parse.h"

#include <cstdio>
#include <map>

#include "datastore/config/config_file.h"
#include "datastore/config/flags.h"
#include "datastore/config/go_values.h"
#include "datastore/config/help.h"
#include "fmt/format.h"

namespace holdfast::config {
namespace {

using telemetry::LogLevel;

constexpr std::string_view kConfigFileVariable = "ETCD_CONFIG_FILE";

std::string message_of(const absl::Status& status) {
  return std::string(status.message());
}

template <class... Args>
Exit usage(fmt::format_string<Args...> format, Args&&... args) {
  return {Exit::Kind::kUsage, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Exit refused(fmt::format_string<Args...> format, Args&&... args) {
  return {Exit::Kind::kInvalid, fmt::format(format, std::forward<Args>(args)...)};
}

/// Go's rules for a command line, on our table.
class CommandLine {
 public:
  CommandLine(std::span<const std::string> args, Options& options)
      : args_(args), options_(options) {}

  std::optional<Exit> read() {
    while (next_ < args_.size()) {
      const std::string& word = args_[next_];
      if (word.size() < 2 || word[0] != '-') {
        break;
      }
      ++next_;
      if (word == "--") {
        break;
      }
      if (std::optional<Exit> exit = read_flag(word)) {
        return exit;
      }
    }
    if (next_ < args_.size()) {
      return refused("\"{}\" is not a valid flag", args_[next_]);
    }
    return std::nullopt;
  }

 private:
  std::optional<Exit> read_flag(std::string_view word) {
    std::string_view name = word.substr(word.starts_with("--") ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') {
      return usage("bad flag syntax: {}", word);
    }
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = std::string(name.substr(equals + 1));
      name = name.substr(0, equals);
    }
    if (name == "h" || name == "help") {
      return Exit{Exit::Kind::kAnswered, help_text()};
    }
    if (name == "version") {
      return Exit{Exit::Kind::kAnswered, version_text()};
    }
    if (name == "config-file") {
      return take_value(name, value, options_.config_file);
    }
    const Flag* flag = find_flag(name);
    if (flag == nullptr) {
      const std::string hint = suggestion_for(name);
      return usage("flag provided but not defined: -{}{}{}", name, hint.empty() ? "" : "; ", hint);
    }
    return set(*flag, std::move(value));
  }

  std::optional<Exit> set(const Flag& flag, std::optional<std::string> value) {
    std::string text = is_boolean(flag) && !value ? "true" : "";
    if (text.empty()) {
      if (std::optional<Exit> exit = take_value(flag.name, value, text)) {
        return exit;
      }
    }
    if (const absl::Status status = set_from_text(flag, text, options_); !status.ok()) {
      return usage("invalid {}value \"{}\" for flag -{}: {}", is_boolean(flag) ? "boolean " : "",
                   text, flag.name, message_of(status));
    }
    options_.explicitly_set.insert(std::string(flag.name));
    return std::nullopt;
  }

  std::optional<Exit> take_value(std::string_view name, std::optional<std::string>& value,
                                 std::string& target) {
    if (!value && next_ == args_.size()) {
      return usage("flag needs an argument: -{}", name);
    }
    target = value ? *std::move(value) : args_[next_++];
    return std::nullopt;
  }

  std::span<const std::string> args_;
  Options& options_;
  std::size_t next_ = 0;
};

std::map<std::string, std::string, std::less<>> variables(
    std::span<const std::string> environment) {
  std::map<std::string, std::string, std::less<>> result;
  for (const std::string& entry : environment) {
    if (const std::size_t equals = entry.find('='); equals != std::string::npos) {
      result.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return result;
}

using Variables = std::map<std::string, std::string, std::less<>>;

std::optional<Exit> read_environment(const Variables& environment, Options& options,
                                     std::vector<Notice>& notices) {
  const std::set<std::string> from_command_line = options.explicitly_set;
  std::set<std::string> known = {std::string(kConfigFileVariable), "ETCD_VERSION"};
  for (const Flag& flag : flags()) {
    const std::string name = environment_name(flag);
    known.insert(name);
    const auto variable = environment.find(name);
    if (variable == environment.end()) {
      continue;
    }
    if (from_command_line.contains(std::string(flag.name))) {
      return refused(
          "conflicting environment variable is shadowed by corresponding command-line "
          "flag (either unset environment variable or disable flag): {}",
          name);
    }
    const std::string& value = variable->second;
    if (value.empty()) {
      continue;
    }
    if (const absl::Status status = set_from_text(flag, value, options); !status.ok()) {
      return refused("invalid value \"{}\" for {}: {}", value, name, message_of(status));
    }
    options.explicitly_set.insert(std::string(flag.name));
    notices.push_back({LogLevel::kInfo,
                       "recognized and used environment variable",
                       {{"variable-name", name}, {"variable-value", value}}});
  }
  for (const auto& [name, value] : environment) {
    if ((name.starts_with("ETCD_") || name.starts_with("HOLDFAST_")) && !known.contains(name)) {
      notices.push_back({LogLevel::kWarn,
                         "unrecognized environment variable",
                         {{"environment-variable", name + "=" + value}}});
    }
  }
  return std::nullopt;
}

// What etcd adjusts once all flags and variables are known.
void settle_command_line(Options& options, std::vector<Notice>& notices) {
  const auto given = [&](const char* name) { return options.explicitly_set.contains(name); };
  constexpr std::chrono::nanoseconds kLeastPeerTimeout = std::chrono::seconds(5);
  for (auto [name, timeout] : {std::pair{"raft-read-timeout", &options.raft_read_timeout},
                               std::pair{"raft-write-timeout", &options.raft_write_timeout}}) {
    if (*timeout < kLeastPeerTimeout) {
      *timeout = kLeastPeerTimeout;
      notices.push_back(
          {LogLevel::kInfo, fmt::format("{} increased to minimum value: 5s", name), {}});
    }
  }
  if (given("listen-client-urls") && !given("advertise-client-urls")) {
    options.advertise_client_urls.clear();
  }
  const bool discovers = !options.discovery.srv.empty() || !options.discovery.srv_name.empty() ||
                         !options.discovery.endpoints.empty();
  if (discovers && !given("initial-cluster")) {
    options.initial_cluster.clear();
  }
}

// A name alone makes the member the one of its cluster; a data directory is named after it.
void settle_names(Options& options) {
  static const Options kDefaults;
  if (options.name != kDefaults.name && options.initial_cluster == kDefaults.initial_cluster) {
    std::vector<std::string> pairs;
    for (const Url& url : options.initial_advertise_peer_urls) {
      pairs.push_back(fmt::format("{}={}", options.name, url.str()));
    }
    options.initial_cluster = fmt::format("{}", fmt::join(pairs, ","));
  }
  if (options.data_dir.empty()) {
    options.data_dir = options.name + ".etcd";
  }
}

std::optional<Exit> read_file(std::string path, Options& options, std::vector<Notice>& notices) {
  options = Options{};
  options.config_file = std::move(path);
  notices.push_back({LogLevel::kInfo,
                     "loaded server configuration, other configuration command line flags and "
                     "environment variables will be ignored if provided",
                     {{"path", options.config_file}}});
  const std::string file = options.config_file;
  if (const absl::Status status = read_config_file(file, options, notices); !status.ok()) {
    return refused("{}", message_of(status));
  }
  const bool discovers = !options.discovery.srv.empty() || !options.discovery.endpoints.empty();
  if (discovers && !options.explicitly_set.contains("initial-cluster")) {
    options.initial_cluster.clear();
  }
  return std::nullopt;
}

}  // namespace

std::variant<Parsed, Exit> parse_options(std::span<const std::string> args,
                                         std::span<const std::string> environment,
                                         const FindHost& find_host) {
  Parsed parsed;
  Options& options = parsed.options;
  if (std::optional<Exit> exit = CommandLine(args, options).read()) {
    return *std::move(exit);
  }
  const Variables given = variables(environment);
  std::string file = options.config_file;
  if (const auto variable = given.find(kConfigFileVariable);
      file.empty() && variable != given.end()) {
    file = variable->second;
  }
  std::optional<Exit> exit;
  if (!file.empty()) {
    exit = read_file(std::move(file), options, parsed.notices);
  } else {
    exit = read_environment(given, options, parsed.notices);
    if (!exit) {
      settle_command_line(options, parsed.notices);
    }
  }
  if (exit) {
    return *std::move(exit);
  }
  advertise_default_host(find_host, options, parsed.notices);
  settle_names(options);
  if (const absl::Status status = validate(options, parsed.notices); !status.ok()) {
    return refused("{}", message_of(status));
  }
  return parsed;
}

int report(const Exit& exit) {
  switch (exit.kind) {
    case Exit::Kind::kAnswered:
      std::fputs(exit.text.c_str(), stdout);
      break;
    case Exit::Kind::kUsage:
      std::fputs((exit.text + "\n" + usage_text()).c_str(), stderr);
      break;
    case Exit::Kind::kInvalid: {
      const auto log = telemetry::Logger::open({});
      if (log.ok()) {
        (*log)->error("failed to verify flags", {{"error", exit.text}});
      }
      break;
    }
  }
  return exit.code();
}

}  // namespace holdfast::config
