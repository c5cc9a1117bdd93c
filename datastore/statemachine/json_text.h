#pragma once

#include <string>
#include <vector>

#include "datastore/base/bytes.h"

/// JSON strings as Go's encoder writes them: its set of escapes, U+FFFD for what is not UTF-8.
namespace holdfast::statemachine {

/// Appends `text` as a JSON string.
void append_json(Bytes& out, BytesView text);
/// Appends an array of strings.
void append_json(Bytes& out, const std::vector<std::string>& strings);

}  // namespace holdfast::statemachine
