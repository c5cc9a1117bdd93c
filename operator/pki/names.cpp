#include "operator/pki/names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "operator/pki/certificate.h"

namespace holdfast::pki {
namespace {

constexpr std::size_t kMaxDnsNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

bool is_label(absl::string_view label) {
  if (label.empty() || label.size() > kMaxLabelBytes) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

}  // namespace

std::optional<std::string> dns_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxDnsNameBytes) return std::nullopt;
  const std::string lower = absl::AsciiStrToLower(absl::string_view(name.data(), name.size()));
  const absl::string_view labels = absl::StripPrefix(lower, "*.");
  for (const absl::string_view label : absl::StrSplit(labels, '.')) {
    if (!is_label(label)) return std::nullopt;
  }
  return lower;
}

absl::StatusOr<std::vector<std::string>> canonical_names(const std::vector<std::string>& names) {
  if (names.size() > kMaxNames) {
    return absl::InvalidArgumentError(absl::StrCat(
        names.size(), " alternative names are more than a certificate takes: ", kMaxNames));
  }
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (const std::optional<std::string> address = address_bytes(name)) {
      out.push_back(address_text(*address));
    } else if (std::optional<std::string> dns = dns_name(name)) {
      out.push_back(*std::move(dns));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name.substr(0, kMaxDnsNameBytes),
                       "\" is neither a DNS name nor an IP address: a certificate can't carry it"));
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace holdfast::pki
