#pragma once

#include <memory>

#include "datastore/crypto/tls_context.h"
#include "datastore/net/transport.h"

namespace holdfast::net {

/// TLS for sockets that were accepted; `tls` must have a certificate to serve with. The remote end
/// is verified as its settings say, and again, at its next byte, whenever the trusted CAs change.
std::shared_ptr<const TransportFactory> make_tls_server_factory(
    std::shared_ptr<crypto::TlsContext> tls);

/// The same for a port in the middle of a switch-over: a connection whose first byte is a TLS
/// handshake's (0x16) gets TLS, any other is plain. Whoever can reach such a port may leave TLS
/// out.
std::shared_ptr<const TransportFactory> make_plain_or_tls_server_factory(
    std::shared_ptr<crypto::TlsContext> tls);

/// TLS for sockets that were dialled: the server must prove to be `remote` of make().
std::shared_ptr<const TransportFactory> make_tls_client_factory(
    std::shared_ptr<crypto::TlsContext> tls);

}  // namespace holdfast::net
