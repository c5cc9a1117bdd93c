#include "datastore/offline/output.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace holdfast::offline {
namespace {

std::string plain(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string to_json(const std::vector<Cell>& subject) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Cell& cell : subject) object[cell.key] = cell.value;
  return absl::StrCat(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace),
                      "\n");
}

std::string to_fields(const std::vector<Cell>& subject) {
  std::string out;
  for (const Cell& cell : subject) {
    absl::StrAppend(&out, "\"", cell.label, "\" : ", plain(cell.value), "\n");
  }
  return out;
}

/// `text` among `width` columns, with one free on either side.
std::string padded(const std::string& text, std::size_t left, std::size_t right) {
  return absl::StrCat(std::string(left + 1, ' '), text, std::string(right + 1, ' '));
}

std::string border(const std::vector<std::size_t>& widths, const char* left, const char* between,
                   const char* right) {
  std::string out = left;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) out += between;
    for (std::size_t n = 0; n < widths[i] + 2; ++n) out += "─";
  }
  return absl::StrCat(out, right, "\n");
}

std::string to_table(const std::vector<Cell>& subject) {
  std::vector<std::size_t> widths;
  for (const Cell& cell : subject) widths.push_back(std::max(cell.title.size(), cell.text.size()));
  std::string heads = "│";
  std::string texts = "│";
  for (std::size_t i = 0; i < subject.size(); ++i) {
    const std::size_t spare = widths[i] - subject[i].title.size();
    absl::StrAppend(
        &heads, padded(absl::AsciiStrToUpper(subject[i].title), spare / 2, spare - spare / 2), "│");
    absl::StrAppend(&texts, padded(subject[i].text, widths[i] - subject[i].text.size(), 0), "│");
  }
  return absl::StrCat(border(widths, "┌", "┬", "┐"), heads, "\n", border(widths, "├", "┼", "┤"),
                      texts, "\n", border(widths, "└", "┴", "┘"));
}

}  // namespace

std::optional<Format> parse_format(std::string_view name) {
  if (name == "simple") return Format::kSimple;
  if (name == "table") return Format::kTable;
  if (name == "json") return Format::kJson;
  if (name == "fields") return Format::kFields;
  return std::nullopt;
}

Cell cell(std::string title, std::string label, std::string key, nlohmann::ordered_json value) {
  std::string text = plain(value);
  return {std::move(title), std::move(label), std::move(key), std::move(value), std::move(text)};
}

std::string render(const std::vector<Cell>& subject, Format format) {
  switch (format) {
    case Format::kJson:
      return to_json(subject);
    case Format::kFields:
      return to_fields(subject);
    case Format::kTable:
      return to_table(subject);
    case Format::kSimple:
      break;
  }
  std::string line;
  for (const Cell& cell : subject) absl::StrAppend(&line, line.empty() ? "" : ", ", cell.text);
  return line + "\n";
}

std::string render_lines(const std::vector<Cell>& subject, Format format) {
  if (format == Format::kJson) return to_json(subject);
  if (format == Format::kFields) return to_fields(subject);
  std::size_t width = 0;
  for (const Cell& cell : subject) width = std::max(width, cell.title.size());
  std::string out;
  for (const Cell& cell : subject) {
    absl::StrAppend(&out, cell.title, std::string(width - cell.title.size() + 2, ' '), cell.text,
                    "\n");
  }
  return out;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 10) return absl::StrCat(bytes, " B");
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  value = std::floor(value * 10 + 0.5) / 10;
  return absl::StrFormat("%.*f %s", value < 10 ? 1 : 0, value, kUnits[unit]);
}

}  // namespace holdfast::offline
