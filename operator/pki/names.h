#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::pki {

/// The four or sixteen bytes of an address given as text; nothing if it is none.
std::optional<std::string> address_bytes(std::string_view text);

/// The text of an address of four or sixteen bytes; "" for any other size.
std::string address_text(std::string_view bytes);

/// `name` in lower case if it is a DNS name as certificates carry it: labels of letters, digits,
/// '-' and '_' of at most 63 bytes, 253 in all, with an optional leading "*.".
std::optional<std::string> dns_name(std::string_view name);

}  // namespace holdfast::pki
