#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "datastore/http/grpc_caller.h"

namespace holdfast::http {

/// Calls this member's own server, as etcd's gateway does: every rule of the gRPC side (limits,
/// leader checks, metrics) then holds for JSON too. Connects at the first call, and again when the
/// connection was lost; until then it costs nothing. gRPC C++ is a client here, with threads of its
/// own.
/// connect: gives a connected, non-blocking stream socket to that server, which no network and no
/// TLS lies between (net::Server::connect_within); called on the calling thread.
std::unique_ptr<GrpcCaller> make_grpc_loopback(std::function<absl::StatusOr<int>()> connect);

}  // namespace holdfast::http
