#include "datastore/config/config_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "datastore/config/flags.h"
#include "datastore/config/go_values.h"
#include "fmt/format.h"
#include "yaml-cpp/yaml.h"

namespace holdfast::config {
namespace {

constexpr std::size_t kMaxFileBytes = 1024 * 1024;

template <class... Args>
absl::Status invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

std::string_view file_key(const Flag& flag) {
  return flag.file_key.empty() ? flag.name : flag.file_key;
}

const Flag* flag_at(std::string_view key) {
  const auto found = std::ranges::find(flags(), key, file_key);
  return found == flags().end() ? nullptr : &*found;
}

bool is_section(std::string_view key) {
  return std::ranges::any_of(flags(), [&](const Flag& flag) {
    const std::string_view place = file_key(flag);
    return place.size() > key.size() && place.starts_with(key) && place[key.size()] == '.';
  });
}

// YAML 1.1 knows more words for true than Go's flags do.
std::optional<bool> yaml_bool(const YAML::Node& node) {
  bool value = false;
  return YAML::convert<bool>::decode(node, value) ? std::optional(value) : std::nullopt;
}

absl::Status set_bool(const Flag& flag, const YAML::Node& node, Options& options) {
  const std::optional<bool> value = node.IsScalar() ? yaml_bool(node) : std::nullopt;
  if (!value) {
    return invalid("must be true or false");
  }
  return set_from_text(flag, *value ? "true" : "false", options);
}

absl::Status set_duration(const Flag& flag, const YAML::Node& node, Options& options) {
  const std::optional<std::int64_t> nanoseconds =
      node.IsScalar() ? parse_signed(node.Scalar()) : std::nullopt;
  if (!nanoseconds) {
    return invalid("must be whole nanoseconds, as in etcd's file: 600000000000 for 10m");
  }
  return set_from_text(flag, fmt::format("{}ns", *nanoseconds), options);
}

// etcd writes these two lists as one text, the others as YAML lists.
bool list_is_text(const Flag& flag) {
  return flag.name == "cors" || flag.name == "host-whitelist";
}

absl::Status set_list(const Flag& flag, const YAML::Node& node, Options& options) {
  if (node.IsScalar() && list_is_text(flag)) {
    return node.Scalar().empty() ? absl::OkStatus() : set_from_text(flag, node.Scalar(), options);
  }
  if (!node.IsSequence()) {
    return invalid("must be {}", list_is_text(flag) ? "a text separated by commas"
                                                    : "a list, for example [a, b]");
  }
  std::vector<std::string> items;
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) {
      return invalid("must be a list of texts");
    }
    items.push_back(item.Scalar());
  }
  return items.empty() ? absl::OkStatus()
                       : set_from_text(flag, fmt::format("{}", fmt::join(items, ",")), options);
}

absl::Status set_scalar(const Flag& flag, const YAML::Node& node, Options& options) {
  if (!node.IsScalar()) {
    return invalid("must be a single value");
  }
  return set_from_text(flag, node.Scalar(), options);
}

absl::Status set_from_node(const Flag& flag, const YAML::Node& node, Options& options) {
  if (node.IsNull()) {
    return absl::OkStatus();
  }
  if (is_boolean(flag)) {
    return set_bool(flag, node, options);
  }
  if (std::holds_alternative<FieldOf<std::chrono::nanoseconds>>(flag.field)) {
    return set_duration(flag, node, options);
  }
  if (std::holds_alternative<FieldOf<std::vector<std::string>>>(flag.field) ||
      std::holds_alternative<FieldOf<std::set<std::string>>>(flag.field)) {
    return set_list(flag, node, options);
  }
  return set_scalar(flag, node, options);
}

class FileReader {
 public:
  FileReader(const std::string& path, Options& options, std::vector<Notice>& notices)
      : path_(path), options_(options), notices_(notices) {}

  // prefix: the section's keys so far, each followed by a point.
  absl::Status read(const YAML::Node& map, const std::string& prefix) {
    std::set<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) {
        return invalid("{}: keys must be texts", path_);
      }
      const std::string key = prefix + entry.first.Scalar();
      if (!seen.insert(key).second) {
        return invalid("{}: {} stands there twice", path_, key);
      }
      if (absl::Status status = read_entry(key, entry.second); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status read_entry(const std::string& key, const YAML::Node& value) {
    if (const Flag* flag = flag_at(key)) {
      absl::Status status = set_from_node(*flag, value, options_);
      if (!status.ok()) {
        const absl::string_view reason = status.message();
        return invalid("{}: {}: {}", path_, key, std::string_view(reason.data(), reason.size()));
      }
      options_.explicitly_set.insert(std::string(flag->name));
      return absl::OkStatus();
    }
    if (is_section(key)) {
      if (value.IsMap()) {
        return read(value, key + ".");
      }
      return value.IsNull() ? absl::OkStatus() : invalid("{}: invalid {}", path_, key);
    }
    notices_.push_back({telemetry::LogLevel::kWarn,
                        "a key of the configuration file is not known and has no effect",
                        {{"path", path_}, {"key", key}, {"hint", suggestion_for(key)}}});
    return absl::OkStatus();
  }

  const std::string& path_;
  Options& options_;
  std::vector<Notice>& notices_;
};

}  // namespace

absl::Status read_config_text(const std::string& path, const std::string& text, Options& options,
                              std::vector<Notice>& notices) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    return invalid("{} is not YAML: line {}, column {}: {}", path, error.mark.line + 1,
                   error.mark.column + 1, error.msg);
  }
  if (root.IsNull()) {
    return absl::OkStatus();
  }
  if (!root.IsMap()) {
    return invalid("{} must hold settings as \"name: value\" lines", path);
  }
  return FileReader(path, options, notices).read(root, "");
}

absl::Status read_config_file(const std::string& path, Options& options,
                              std::vector<Notice>& notices) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (file) {
    text.resize(kMaxFileBytes + 1);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
  }
  if (!file && !file.eof()) {
    return invalid("cannot read --config-file {}: {}", path, std::strerror(errno));
  }
  if (text.size() > kMaxFileBytes) {
    return invalid("--config-file {} is larger than {} bytes", path, kMaxFileBytes);
  }
  return read_config_text(path, text, options, notices);
}

}  // namespace holdfast::config
