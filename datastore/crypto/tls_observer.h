#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "datastore/crypto/tls_failure.h"
#include "datastore/crypto/tls_settings.h"

namespace holdfast::crypto {

/// Where TLS tells what happens: log lines and metrics are the listener's affair. Called on any
/// thread that handshakes or reloads, so thread-safe; must not block. The default does nothing.
class TlsObserver {
 public:
  virtual ~TlsObserver() = default;

  /// `remote`'s handshake did not end well, or its end of an established connection refused us. As
  /// server we were dialled by it, as client we dialled it.
  virtual void handshake_failed(const TlsSettings& /*endpoint*/, TlsRole /*role*/,
                                std::string_view /*remote*/, std::string_view /*server_name*/,
                                const TlsFailure& /*failure*/) {}
  /// An established connection ends, because the CAs trusted now do not vouch for it.
  virtual void connection_dropped(const TlsSettings& /*endpoint*/, std::string_view /*remote*/,
                                  const TlsFailure& /*failure*/) {}
  /// New connections use what the files hold now. `trust`: the CA bundle is among what changed.
  virtual void reloaded(const TlsSettings& /*endpoint*/, bool /*trust*/,
                        std::string_view /*bundle_sha256*/) {}
  /// What the files hold now can't be used; the earlier is kept. Once per content.
  virtual void reload_refused(const TlsSettings& /*endpoint*/, const absl::Status& /*why*/) {}
  /// One of our own certificates, of flag `file` ("--peer-cert-file"), has begun to be useless.
  virtual void own_certificate_failed(const TlsSettings& /*endpoint*/, std::string_view /*file*/,
                                      const TlsFailure& /*failure*/) {}
};

}  // namespace holdfast::crypto
