// Values of flags: by kind, from text and to text.

#include <algorithm>
#include <array>
#include <numeric>

#include "datastore/config/feature_gates.h"
#include "datastore/config/flags.h"
#include "datastore/config/go_values.h"
#include "datastore/telemetry/log_line.h"
#include "fmt/format.h"

namespace holdfast::config {
namespace {

absl::Status parse_error() {
  return absl::InvalidArgumentError("parse error");
}

template <class T, class Parsed>
absl::Status assign(T& field, const Parsed& parsed) {
  if (!parsed) {
    return parse_error();
  }
  field = static_cast<T>(*parsed);
  return absl::OkStatus();
}

struct Setter {
  std::string_view text;

  absl::Status operator()(bool& field) const { return assign(field, parse_bool(text)); }
  absl::Status operator()(std::string& field) const {
    field = text;
    return absl::OkStatus();
  }
  absl::Status operator()(std::int64_t& field) const { return assign(field, parse_signed(text)); }
  absl::Status operator()(std::uint64_t& field) const {
    return assign(field, parse_unsigned(text));
  }
  absl::Status operator()(std::uint32_t& field) const {
    const std::optional<std::uint64_t> value = parse_unsigned(text);
    if (value && *value > std::numeric_limits<std::uint32_t>::max()) {
      return absl::InvalidArgumentError("value out of range");
    }
    return assign(field, value);
  }
  absl::Status operator()(std::chrono::nanoseconds& field) const {
    return assign(field, parse_duration(text));
  }
  absl::Status operator()(std::vector<Url>& field) const {
    if (text.empty()) {
      return absl::OkStatus();  // etcd keeps the default
    }
    absl::StatusOr<std::vector<Url>> urls = parse_urls(text);
    if (urls.ok()) {
      field = *std::move(urls);
    }
    return urls.status();
  }
  absl::Status operator()(std::vector<std::string>& field) const {
    field = split(text, ',');
    return absl::OkStatus();
  }
  absl::Status operator()(std::set<std::string>& field) const {
    const std::vector<std::string> parts = split(text, ',');
    field = {parts.begin(), parts.end()};
    return absl::OkStatus();
  }
  absl::Status operator()(std::map<std::string, bool>& field) const {
    for (const std::string& part : split(text, ',')) {
      if (part.empty()) {
        continue;
      }
      const std::size_t equals = part.find('=');
      if (equals == std::string::npos) {
        return absl::InvalidArgumentError(fmt::format("missing bool value for {}", part));
      }
      const std::optional<bool> value = parse_bool(trim(std::string_view(part).substr(equals + 1)));
      if (!value) {
        return absl::InvalidArgumentError(
            fmt::format("invalid value of {}: must be true or false", part));
      }
      const std::string name(trim(std::string_view(part).substr(0, equals)));
      if (!is_feature_gate(name)) {
        return absl::InvalidArgumentError(fmt::format("unrecognized feature gate: {}", name));
      }
      field[name] = *value;
    }
    return absl::OkStatus();
  }
};

struct Printer {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(std::uint64_t value) const { return fmt::format("{}", value); }
  std::string operator()(std::uint32_t value) const { return fmt::format("{}", value); }
  std::string operator()(std::chrono::nanoseconds value) const {
    return telemetry::go_duration(value);
  }
  std::string operator()(const std::vector<Url>& value) const { return join_urls(value); }
  std::string operator()(const std::vector<std::string>& value) const {
    return fmt::format("{}", fmt::join(value, ","));
  }
  std::string operator()(const std::set<std::string>& value) const {
    return fmt::format("{}", fmt::join(value, ","));
  }
  std::string operator()(const std::map<std::string, bool>& value) const {
    std::vector<std::string> gates;
    for (const auto& [name, on] : value) {
      gates.push_back(fmt::format("{}={}", name, on));
    }
    return fmt::format("{}", fmt::join(gates, ","));
  }
};

struct KindName {
  std::string_view operator()(FieldOf<bool>) const { return "bool"; }
  std::string_view operator()(FieldOf<std::string>) const { return "string"; }
  std::string_view operator()(FieldOf<std::int64_t>) const { return "int"; }
  std::string_view operator()(FieldOf<std::uint64_t>) const { return "uint"; }
  std::string_view operator()(FieldOf<std::uint32_t>) const { return "uint32"; }
  std::string_view operator()(FieldOf<std::chrono::nanoseconds>) const { return "duration"; }
  std::string_view operator()(FieldOf<std::vector<Url>>) const { return "URLs"; }
  std::string_view operator()(FieldOf<std::vector<std::string>>) const { return "list"; }
  std::string_view operator()(FieldOf<std::set<std::string>>) const { return "list"; }
  std::string_view operator()(FieldOf<std::map<std::string, bool>>) const { return "switches"; }
};

// Edits (insert, delete, replace) that turn one word into the other.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// Flags that etcd once had and 3.7 has no more, with what to do instead.
std::string advice_for_removed(std::string_view name) {
  constexpr std::string_view kExperimental = "experimental-";
  if (name.starts_with(kExperimental)) {
    const std::string_view rest = name.substr(kExperimental.size());
    if (find_flag(rest) != nullptr) {
      return fmt::format("etcd 3.7 calls it --{}", rest);
    }
    return "etcd 3.7 has no --experimental flags; see --feature-gates";
  }
  if (name == "proxy" || name == "enable-v2" || name == "discovery" || name == "discovery-proxy" ||
      name.starts_with("proxy-")) {
    return "etcd 3.7 has no v2 API, proxy or discovery; remove the flag";
  }
  return "";
}

}  // namespace

std::string_view flag_group_title(FlagGroup group) {
  constexpr std::array<std::string_view, kFlagGroups> kTitles = {
      "Member",  "Clustering",          "Security", "Auth",   "Monitoring",
      "Logging", "Distributed tracing", "Features", "Unsafe", "Holdfast"};
  return kTitles[static_cast<std::size_t>(group)];
}

const Flag* find_flag(std::string_view name) {
  const auto found = std::ranges::find(flags(), name, &Flag::name);
  return found == flags().end() ? nullptr : &*found;
}

bool is_boolean(const Flag& flag) {
  return std::holds_alternative<FieldOf<bool>>(flag.field);
}

std::string_view kind_name(const Flag& flag) {
  return std::visit(KindName{}, flag.field);
}

absl::Status set_from_text(const Flag& flag, std::string_view text, Options& options) {
  if (!flag.choices.empty() && std::ranges::find(flag.choices, text) == flag.choices.end()) {
    return absl::InvalidArgumentError("invalid value");
  }
  return std::visit([&](auto field) { return Setter{text}(field(options)); }, flag.field);
}

std::string value_text(const Flag& flag, const Options& options) {
  // The accessors only hand out the reference; nothing is written through it here.
  auto& readable = const_cast<Options&>(options);
  return std::visit([&](auto field) { return Printer{}(field(readable)); }, flag.field);
}

std::string environment_name(const Flag& flag) {
  std::string name = flag.group == FlagGroup::kHoldfast ? "HOLDFAST_" : "ETCD_";
  for (const char c : flag.name) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

std::string suggestion_for(std::string_view unknown_name) {
  if (std::string advice = advice_for_removed(unknown_name); !advice.empty()) {
    return advice;
  }
  constexpr std::size_t kNear = 3;
  const Flag* nearest = nullptr;
  std::size_t distance = kNear + 1;
  for (const Flag& flag : flags()) {
    if (const std::size_t edits = edit_distance(unknown_name, flag.name); edits < distance) {
      nearest = &flag;
      distance = edits;
    }
  }
  return nearest == nullptr ? "" : fmt::format("did you mean --{}?", nearest->name);
}

}  // namespace holdfast::config
