#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "datastore/crypto/address.h"

namespace holdfast::pki {

using crypto::address_bytes;
using crypto::address_text;

/// `name` in lower case if it is a DNS name as certificates carry it: labels of letters, digits,
/// '-' and '_' of at most 63 bytes, 253 in all, with an optional leading "*.".
std::optional<std::string> dns_name(std::string_view name);

}  // namespace holdfast::pki
