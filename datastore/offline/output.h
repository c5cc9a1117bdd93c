#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"

/// What the subcommands print, in etcdutl's forms.
namespace holdfast::offline {

/// --write-out.
enum class Format { kSimple, kTable, kJson, kFields };

/// Of "simple", "table", "json" or "fields".
std::optional<Format> parse_format(std::string_view name);

/// One thing that is said, in each form's words.
struct Cell {
  std::string title;             ///< above a table's column: "total keys"
  std::string label;             ///< of a field: "Keys"
  std::string key;               ///< in JSON: "totalKey"
  nlohmann::ordered_json value;  ///< in JSON and as a field
  std::string text;              ///< in a table and on a simple line
};

/// A cell whose text is its value as JSON has it, without quotes.
Cell cell(std::string title, std::string label, std::string key, nlohmann::ordered_json value);

/// One subject, a cell for each thing; ends with a line feed. Simple: one line, commas between.
std::string render(const std::vector<Cell>& subject, Format format);

/// The same for a subject of many things; simple and table: a line for each, aligned.
std::string render_lines(const std::vector<Cell>& subject, Format format);

/// 20480 → "20 kB", in powers of 1000, as etcd's programs say it.
std::string human_bytes(std::uint64_t bytes);

}  // namespace holdfast::offline
