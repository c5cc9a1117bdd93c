#include "datastore/statemachine/json_text.h"

namespace holdfast::statemachine {
namespace {

/// The length of the well-formed UTF-8 sequence that `text` begins with, or 0.
std::size_t utf8_length(BytesView text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!continues(1) || !continues(2)) return 0;
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool beyond = first == 0xf4 && byte(1) >= 0x90;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

void append_escaped(Bytes& out, unsigned code) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(kHex[code >> shift & 0xf]);
}

void append_ascii(Bytes& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  // Go also escapes what HTML would read as markup.
  const bool markup = c == '<' || c == '>' || c == '&';
  if (static_cast<unsigned char>(c) < 0x20 || markup) {
    append_escaped(out, static_cast<unsigned char>(c));
  } else {
    out.push_back(c);
  }
}

}  // namespace

void append_json(Bytes& out, BytesView text) {
  out.push_back('"');
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    const BytesView sequence = text.substr(0, length);
    if (sequence == "\u2028" || sequence == "\u2029") {
      append_escaped(out, sequence == "\u2028" ? 0x2028 : 0x2029);
    } else if (length == 1) {
      append_ascii(out, sequence[0]);
    } else {
      out += sequence;
    }
    text.remove_prefix(length);
  }
  out.push_back('"');
}

void append_json(Bytes& out, const std::vector<std::string>& strings) {
  out.push_back('[');
  for (std::size_t i = 0; i < strings.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_json(out, strings[i]);
  }
  out.push_back(']');
}

}  // namespace holdfast::statemachine
