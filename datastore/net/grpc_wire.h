#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

/// The textual parts of gRPC over HTTP/2, as pure functions. Source: gRPC's PROTOCOL-HTTP2
/// document; error texts as grpc-go words them.
namespace holdfast::net {

/// Length of a message's prefix: a flag byte (1: compressed) and a big-endian u32 length.
inline constexpr std::size_t kGrpcPrefixBytes = 5;

/// Parses a grpc-timeout value: 1 to 8 digits and a unit of "HMSmun". Errors: Internal,
/// "malformed grpc-timeout: …".
absl::StatusOr<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text);

/// A status message as a header value: printable ASCII but '%' stays, every other byte becomes %XX;
/// what is not UTF-8 becomes the replacement character.
std::string percent_encode(std::string_view message);

/// Standard base64, without padding, as values of "-bin" headers are sent.
std::string base64_encode(BytesView bytes);
/// Takes padded or unpadded standard base64; nothing for anything else.
std::optional<Bytes> base64_decode(std::string_view text);

bool is_binary_header(std::string_view name);

enum class ContentType { kGrpc, kBadGrpc, kOther };
/// kGrpc for "application/grpc", alone or followed by '+' or ';'; kBadGrpc for other values that
/// begin so.
ContentType classify_content_type(std::string_view value);

/// Text in double quotes, escaped as Go's %q does it for bytes and ASCII.
std::string go_quote(std::string_view text);

}  // namespace holdfast::net
