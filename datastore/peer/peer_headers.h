#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "datastore/base/ids.h"
#include "datastore/net/http.h"
#include "datastore/peer/options.h"

/// Who speaks to whom, as every request between members says it (etcd-facts 1.2).
namespace holdfast::peer {

/// Lower-case hex without leading zeros.
std::string to_hex(std::uint64_t id);
/// Errors: nothing for what is no number in base 16.
std::optional<std::uint64_t> parse_hex(std::string_view text);

/// The headers of our requests to peers; `to` for streams alone.
net::HttpHeaders request_headers(const TransportOptions& options,
                                 std::optional<MemberId> to = std::nullopt);
/// The cluster's id, which every answer carries.
net::HttpHeaders cluster_header(const TransportOptions& options);
/// cluster_header() and our version: a stream's answer.
net::HttpHeaders stream_headers(const TransportOptions& options);

/// Whether we may speak with whoever sent these headers: nothing, or the body of the 412 that they
/// get.
std::optional<std::string_view> incompatibility(const net::HttpRequest& request,
                                                const TransportOptions& options);
/// Whether a peer that announces `version` ("3.7.1"; absent: 2.0.0) is new enough for us.
bool is_supported_version(std::optional<std::string_view> version);

}  // namespace holdfast::peer
