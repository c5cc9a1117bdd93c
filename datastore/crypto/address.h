#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::crypto {

/// The four or sixteen bytes of an address given as text; nothing if it is none.
std::optional<std::string> address_bytes(std::string_view text);

/// The text of an address of four or sixteen bytes; "" for any other size.
std::string address_text(std::string_view bytes);

/// Whether `host` is an address rather than a name.
inline bool is_address(std::string_view host) {
  return address_bytes(host).has_value();
}

}  // namespace holdfast::crypto
