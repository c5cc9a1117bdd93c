#pragma once

#include <memory>
#include <string_view>

#include "datastore/http/gateway.h"

namespace holdfast::http {

/// Calls this member through one of its own client URLs, as etcd's gateway does: every rule of the
/// gRPC side (limits, leader checks, metrics) then holds for JSON too. Connects at the first call;
/// until then it costs nothing. gRPC C++ is a client here, with threads of its own.
/// listen_url: http://host:port as bound; an unspecified host is called through loopback.
std::unique_ptr<GrpcCaller> make_grpc_loopback(std::string_view listen_url);

}  // namespace holdfast::http
