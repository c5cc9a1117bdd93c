#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::http {

/// The parameters of a URL's query, decoded, in their order. Pairs that do not decode are left out,
/// as Go's servers leave them out.
class Query {
 public:
  explicit Query(std::string_view text);

  bool has(std::string_view name) const;
  /// The first value, or nothing's empty text.
  std::string_view first(std::string_view name) const;
  /// Every value that is not empty.
  std::vector<std::string_view> all(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace holdfast::http
