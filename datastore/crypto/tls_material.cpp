#include "datastore/crypto/tls_material.h"

#include <openssl/err.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/crypto/cipher_suites.h"
#include "datastore/crypto/digest.h"

namespace holdfast::crypto {
namespace {

absl::Status read_file(const std::string& path, std::string& into) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::string bytes(TlsFiles::kMaxFileBytes + 1, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.is_open() || file.bad()) {
    return absl::InvalidArgumentError(
        absl::StrCat("open ", path, ": no such file, or not ours to read"));
  }
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  if (bytes.size() > TlsFiles::kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is larger than ", TlsFiles::kMaxFileBytes, " bytes"));
  }
  into = std::move(bytes);
  return absl::OkStatus();
}

std::string sha256_hex(const std::string& bytes) {
  Sha256 sum;
  sum.update(bytes);
  const Sha256Digest digest = sum.finish();
  return absl::BytesToHexString(absl::string_view(digest.data(), digest.size()));
}

int version_number(TlsVersion version) {
  return version == TlsVersion::k13 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

/// ALPN's wire form: each name after its length.
std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

/// The first of ours that the client offers; a client that offers only others is told so.
int select_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  const auto* ours = static_cast<const std::string*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  unsigned char* found = nullptr;
  const int outcome = SSL_select_next_proto(
      &found, chosen_size, reinterpret_cast<const unsigned char*>(ours->data()),
      static_cast<unsigned int>(ours->size()), offered, offered_size);
  if (outcome != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<SslContextPtr> new_context(const SSL_METHOD* method, const TlsSettings& settings,
                                          X509_STORE* trust) {
  SslContextPtr context(SSL_CTX_new(method));
  HOLDFAST_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), version_number(settings.oldest));
  SSL_CTX_set_max_proto_version(context.get(), version_number(settings.newest));
  if (absl::Status status = choose_cipher_suites(context.get(), settings.cipher_suites);
      !status.ok()) {
    return status;
  }
  // No tickets and no cache: a resumed session would skip the check against CAs that have changed.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set1_cert_store(context.get(), trust);
  SSL_CTX_set_cert_verify_callback(context.get(), &verify_shown, nullptr);
  return context;
}

/// Tells callers which CAs a certificate may come from.
void name_trusted_cas(SSL_CTX* context, const std::vector<CertificatePtr>& authorities) {
  for (const CertificatePtr& each : authorities) SSL_CTX_add_client_CA(context, each.get());
}

}  // namespace

absl::StatusOr<TlsFiles> TlsFiles::read(const TlsSettings& settings) {
  TlsFiles files;
  const std::pair<const std::string*, std::string*> wanted[] = {
      {&settings.cert_file, &files.cert},
      {&settings.key_file, &files.key},
      {&settings.dial_cert_file, &files.dial_cert},
      {&settings.dial_key_file, &files.dial_key},
      {&settings.trusted_ca_file, &files.trusted_ca},
      {&settings.crl_file, &files.crl}};
  for (const auto& [path, into] : wanted) {
    if (absl::Status status = read_file(*path, *into); !status.ok()) return status;
  }
  return files;
}

absl::StatusOr<std::shared_ptr<const TlsMaterial>> TlsMaterial::build(const TlsSettings& settings,
                                                                      const TlsFiles& files) {
  const std::shared_ptr<TlsMaterial> material(new TlsMaterial());
  absl::Status status = material->load_trust(settings, files.trusted_ca);
  if (status.ok() && !settings.crl_file.empty()) {
    absl::StatusOr<RevocationList> revoked = RevocationList::parse(files.crl, settings.crl_file);
    status = revoked.status();
    if (revoked.ok()) material->revoked_ = *std::move(revoked);
  }
  if (status.ok()) status = material->load_server(settings, files);
  if (status.ok()) status = material->load_client(settings, files);
  if (!status.ok()) return status;
  return material;
}

absl::Status TlsMaterial::load_trust(const TlsSettings& settings, const std::string& pem) {
  trust_.reset(X509_STORE_new());
  HOLDFAST_CHECK(trust_ != nullptr);
  // As in Go, whatever certificate the bundle holds is an anchor, an intermediate CA's too.
  X509_STORE_set_flags(trust_.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (settings.trusted_ca_file.empty()) {
    X509_STORE_set_default_paths(trust_.get());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<CertificatePtr>> authorities =
      parse_certificates(pem, settings.trusted_ca_file);
  if (!authorities.ok()) return authorities.status();
  const std::string flag = settings.flag_prefix().substr(2) + "trusted-ca-file";
  for (const CertificatePtr& each : *authorities) {
    X509_STORE_add_cert(trust_.get(), each.get());
    certificates_.push_back({flag, describe(each.get())});
  }
  ERR_clear_error();  // of a certificate that the bundle holds twice
  bundle_sha256_ = sha256_hex(pem);
  return absl::OkStatus();
}

absl::StatusOr<CertificatePtr> TlsMaterial::show(SSL_CTX* context, const std::string& cert_pem,
                                                 const std::string& cert_file,
                                                 const std::string& key_pem,
                                                 const std::string& key_file,
                                                 const std::string& flag) {
  absl::StatusOr<std::vector<CertificatePtr>> chain = parse_certificates(cert_pem, cert_file);
  if (!chain.ok()) return chain.status();
  absl::StatusOr<KeyPtr> key = parse_private_key(key_pem, key_file);
  if (!key.ok()) return key.status();
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(absl::StrCat(
        "the private key in ", key_file, " does not belong to the certificate in ", cert_file));
  }
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key->get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(cert_file, " can't be used for TLS: ", take_openssl_error()));
  }
  for (std::size_t i = 0; i < chain->size(); ++i) {
    if (i > 0) SSL_CTX_add1_chain_cert(context, (*chain)[i].get());
    certificates_.push_back({flag, describe((*chain)[i].get())});
  }
  return std::move(chain->front());
}

absl::Status TlsMaterial::load_server(const TlsSettings& settings, const TlsFiles& files) {
  if (settings.cert_file.empty()) return absl::OkStatus();
  absl::StatusOr<SslContextPtr> context = new_context(TLS_server_method(), settings, trust_.get());
  if (!context.ok()) return context.status();
  server_ = *std::move(context);
  absl::StatusOr<CertificatePtr> leaf =
      show(server_.get(), files.cert, settings.cert_file, files.key, settings.key_file,
           settings.flag_prefix().substr(2) + "cert-file");
  if (!leaf.ok()) return leaf.status();
  served_leaf_ = *std::move(leaf);
  if (settings.demands_client_certificate()) {
    SSL_CTX_set_verify(server_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       &on_verified);
    const absl::StatusOr<std::vector<CertificatePtr>> authorities =
        parse_certificates(files.trusted_ca, settings.trusted_ca_file);
    if (authorities.ok()) name_trusted_cas(server_.get(), *authorities);
  }
  server_protocols_ = alpn_wire(settings.server_protocols);
  SSL_CTX_set_app_data(server_.get(), &server_protocols_);
  SSL_CTX_set_alpn_select_cb(server_.get(), &select_protocol, nullptr);
  return absl::OkStatus();
}

absl::Status TlsMaterial::load_client(const TlsSettings& settings, const TlsFiles& files) {
  absl::StatusOr<SslContextPtr> context = new_context(TLS_client_method(), settings, trust_.get());
  if (!context.ok()) return context.status();
  client_ = *std::move(context);
  SSL_CTX_set_verify(client_.get(), settings.verify_server ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                     &on_verified);
  if (const std::string wire = alpn_wire(settings.dial_protocols); !wire.empty()) {
    SSL_CTX_set_alpn_protos(client_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned int>(wire.size()));
  }
  const bool own = !settings.dial_cert_file.empty();
  if (!own && settings.cert_file.empty()) return absl::OkStatus();
  dialled_flag_ = settings.flag_prefix().substr(2) + (own ? "client-cert-file" : "cert-file");
  const std::size_t known = certificates_.size();
  absl::StatusOr<CertificatePtr> leaf =
      own ? show(client_.get(), files.dial_cert, settings.dial_cert_file, files.dial_key,
                 settings.dial_key_file, dialled_flag_)
          : show(client_.get(), files.cert, settings.cert_file, files.key, settings.key_file,
                 dialled_flag_);
  if (!leaf.ok()) return leaf.status();
  if (!own) certificates_.resize(known);  // told already
  dialled_leaf_ = *std::move(leaf);
  return absl::OkStatus();
}

TlsMaterial::Judgement TlsMaterial::judge(const TlsSettings& settings, X509* leaf,
                                          const STACK_OF(X509) * others) const {
  if (revoked_.lists(leaf)) return {X509_V_ERR_CERT_REVOKED, leaf};
  for (int i = 0; i < sk_X509_num(others); ++i) {
    X509* const other = sk_X509_value(others, i);
    if (revoked_.lists(other)) return {X509_V_ERR_CERT_REVOKED, other};
  }
  const auto& names = settings.allowed_common_names;
  const auto& hosts = settings.allowed_hostnames;
  if (names.empty() && hosts.empty()) return {};
  const bool allowed =
      (!names.empty() && std::ranges::find(names, common_name_of(leaf)) != names.end()) ||
      std::ranges::any_of(hosts, [&](const std::string& host) { return names_host(leaf, host); });
  return allowed ? Judgement{} : Judgement{X509_V_ERR_APPLICATION_VERIFICATION, leaf};
}

std::vector<TlsMaterial::OwnFailure> TlsMaterial::failures(
    const TlsSettings& settings, std::chrono::system_clock::time_point now) const {
  std::vector<OwnFailure> found;
  const auto add = [&](const std::string& flag, TlsReason reason, const CertificateInfo& info,
                       std::string text) {
    found.push_back({flag, {reason, std::move(text), info, true}});
  };
  for (const auto& [flag, info] : certificates_) {
    const std::string subject = absl::StrCat("the certificate \"", info.subject, "\" of --", flag);
    if (now >= info.not_after) {
      add(flag, TlsReason::kExpired, info,
          absl::StrCat(subject, " expired at ", time_text(info.not_after), ": renew it"));
    } else if (now < info.not_before) {
      add(flag, TlsReason::kNotYetValid, info,
          absl::StrCat(subject, " is not valid before ", time_text(info.not_before),
                       ": check this machine's clock"));
    }
  }
  const std::string served_flag = settings.flag_prefix().substr(2) + "cert-file";
  if (served_leaf_ != nullptr) {
    const CertificateInfo info = describe(served_leaf_.get());
    if (!info.for_servers) {
      add(served_flag, TlsReason::kWrongUsage, info,
          absl::StrCat("the certificate \"", info.subject, "\" of --", served_flag,
                       " lacks the key usages of a server (serverAuth)"));
    }
    for (const std::string& host : settings.advertised_hosts) {
      if (names_host(served_leaf_.get(), host)) continue;
      add(served_flag, TlsReason::kMismatched, info,
          absl::StrCat("the certificate \"", info.subject, "\" of --", served_flag,
                       " does not name the advertised host ", host));
    }
  }
  if (settings.endpoint == "peer" && dialled_leaf_ != nullptr) {
    const CertificateInfo info = describe(dialled_leaf_.get());
    if (!info.for_clients) {
      add(dialled_flag_, TlsReason::kWrongUsage, info,
          absl::StrCat("the certificate \"", info.subject, "\" of --", dialled_flag_,
                       " lacks the key usages of a client (clientAuth), which peers demand"));
    }
  }
  return found;
}

}  // namespace holdfast::crypto
