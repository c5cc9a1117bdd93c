#include "datastore/crypto/jwt.h"

#include <openssl/decoder.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/crypto/certificate.h"

namespace holdfast::crypto {
namespace {

using nlohmann::json;

using ContextPtr = std::unique_ptr<EVP_MD_CTX, OpensslFree<&EVP_MD_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, OpensslFree<&ECDSA_SIG_free>>;
using DecoderPtr = std::unique_ptr<OSSL_DECODER_CTX, OpensslFree<&OSSL_DECODER_CTX_free>>;

const unsigned char* octets(BytesView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* octets(Bytes& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

absl::Status unusable(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--auth-token: ", what));
}

Bytes encode_base64url(BytesView bytes) {
  std::string text = absl::WebSafeBase64Escape(std::string(bytes));
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

/// Without padding, as a token has it; nothing for any other text.
std::optional<Bytes> decode_base64url(BytesView text) {
  for (const char c : text) {
    const bool is_digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!is_digit) return std::nullopt;
  }
  std::string bytes;
  if (text.size() % 4 == 1 || !absl::WebSafeBase64Unescape(std::string(text), &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

/// A claim that is a time in seconds: absent, or a number; nothing for what is neither.
std::optional<std::optional<std::int64_t>> time_claim(const json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end()) return std::optional<std::int64_t>();
  if (!found->is_number()) return std::nullopt;
  constexpr double kFarthest = 1e15;
  const double seconds = found->get<double>();
  if (!(std::abs(seconds) < kFarthest)) return std::nullopt;
  return std::optional<std::int64_t>(static_cast<std::int64_t>(seconds));
}

/// A public key in PEM of whatever kind, or that of a certificate.
KeyPtr read_public_key(const std::string& pem) {
  if (auto certificates = parse_certificates(pem, "pub-key"); certificates.ok()) {
    return KeyPtr(X509_get_pubkey(certificates->front().get()));
  }
  EVP_PKEY* key = nullptr;
  const DecoderPtr decoder(OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", nullptr, nullptr,
                                                         EVP_PKEY_PUBLIC_KEY, nullptr, nullptr));
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (decoder == nullptr || OSSL_DECODER_from_bio(decoder.get(), bio.get()) != 1) return nullptr;
  return KeyPtr(key);
}

/// An ECDSA signature as a token has it: both numbers, each as long as the curve's.
std::optional<Bytes> to_raw_ecdsa(const Bytes& der, int number_bytes) {
  const unsigned char* at = octets(BytesView(der));
  const SignaturePtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (signature == nullptr) return std::nullopt;
  Bytes raw(2 * static_cast<std::size_t>(number_bytes), '\0');
  const bool fits =
      BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), octets(raw), number_bytes) > 0 &&
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), octets(raw) + number_bytes, number_bytes) > 0;
  return fits ? std::optional(raw) : std::nullopt;
}

std::optional<Bytes> from_raw_ecdsa(BytesView raw, int number_bytes) {
  if (raw.size() != 2 * static_cast<std::size_t>(number_bytes)) return std::nullopt;
  const SignaturePtr signature(ECDSA_SIG_new());
  BIGNUM* const r = BN_bin2bn(octets(raw), number_bytes, nullptr);
  BIGNUM* const s = BN_bin2bn(octets(raw) + number_bytes, number_bytes, nullptr);
  if (signature == nullptr || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return std::nullopt;
  }
  unsigned char* encoded = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &encoded);
  if (size <= 0) return std::nullopt;
  Bytes der(reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size));
  OPENSSL_free(encoded);
  return der;
}

}  // namespace

// --- keys ---------------------------------------------------------------------------------------

const Jwt::Method* Jwt::find_method(std::string_view name) {
  using Kind = Method::Kind;
  static const std::array<Method, 13> kMethods = {{
      {"RS256", Kind::kRsa, &EVP_sha256, EVP_PKEY_RSA, 0},
      {"RS384", Kind::kRsa, &EVP_sha384, EVP_PKEY_RSA, 0},
      {"RS512", Kind::kRsa, &EVP_sha512, EVP_PKEY_RSA, 0},
      {"PS256", Kind::kRsaPss, &EVP_sha256, EVP_PKEY_RSA, 0},
      {"PS384", Kind::kRsaPss, &EVP_sha384, EVP_PKEY_RSA, 0},
      {"PS512", Kind::kRsaPss, &EVP_sha512, EVP_PKEY_RSA, 0},
      {"ES256", Kind::kEcdsa, &EVP_sha256, EVP_PKEY_EC, 256},
      {"ES384", Kind::kEcdsa, &EVP_sha384, EVP_PKEY_EC, 384},
      {"ES512", Kind::kEcdsa, &EVP_sha512, EVP_PKEY_EC, 521},
      {"EdDSA", Kind::kEd25519, nullptr, EVP_PKEY_ED25519, 0},
      {"HS256", Kind::kHmac, &EVP_sha256, 0, 0},
      {"HS384", Kind::kHmac, &EVP_sha384, 0, 0},
      {"HS512", Kind::kHmac, &EVP_sha512, 0, 0},
  }};
  for (const Method& each : kMethods) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<Jwt>> Jwt::open(const JwtOptions& options,
                                               const ports::Clock& clock) {
  const Method* method = find_method(options.method);
  if (method == nullptr) {
    return unusable(absl::StrCat("sign-method '", options.method,
                                 "' is not known; use RS256, PS256, ES256, HS256 (or 384, 512)"
                                 " or EdDSA"));
  }
  std::unique_ptr<Jwt> jwt(new Jwt(*method, options.ttl, clock));
  if (absl::Status status = jwt->load_keys(options); !status.ok()) return status;
  return jwt;
}

absl::Status Jwt::load_keys(const JwtOptions& options) {
  if (method_.kind == Method::Kind::kHmac) {
    if (options.private_key.empty()) return unusable("name the secret's file with priv-key");
    secret_ = options.private_key;
    return absl::OkStatus();
  }
  if (options.private_key.empty() && options.public_key.empty()) {
    return unusable("name a key file with priv-key, or with pub-key to verify only");
  }
  if (!options.private_key.empty()) {
    absl::StatusOr<KeyPtr> key = parse_private_key(options.private_key, "priv-key");
    if (!key.ok()) return unusable("the priv-key file holds no private key in PEM");
    private_key_ = *std::move(key);
    if (absl::Status status = check_key(private_key_); !status.ok()) return status;
  }
  if (options.public_key.empty()) return absl::OkStatus();
  public_key_ = read_public_key(options.public_key);
  if (public_key_ == nullptr) {
    take_openssl_error();
    return unusable("the pub-key file holds no public key or certificate in PEM");
  }
  if (absl::Status status = check_key(public_key_); !status.ok()) return status;
  if (private_key_ != nullptr && EVP_PKEY_eq(private_key_.get(), public_key_.get()) != 1) {
    return unusable("the keys of priv-key and pub-key do not belong together");
  }
  return absl::OkStatus();
}

absl::Status Jwt::check_key(const KeyPtr& key) const {
  const bool fits = EVP_PKEY_get_base_id(key.get()) == method_.key_type &&
                    (method_.curve_bits == 0 || EVP_PKEY_get_bits(key.get()) == method_.curve_bits);
  if (fits) return absl::OkStatus();
  return unusable(absl::StrCat("the key is of another kind than sign-method ",
                               std::string(method_.name), " takes"));
}

// --- signatures ---------------------------------------------------------------------------------

absl::StatusOr<Bytes> Jwt::make_signature(BytesView text) const {
  const absl::Status failed = absl::InternalError("holdfast: a token could not be signed");
  if (method_.kind == Method::Kind::kHmac) {
    Bytes mac(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    if (HMAC(method_.digest(), secret_.data(), static_cast<int>(secret_.size()), octets(text),
             text.size(), octets(mac), &size) == nullptr) {
      return failed;
    }
    mac.resize(size);
    return mac;
  }
  if (private_key_ == nullptr) return errors::verify_only_key();
  const ContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  const EVP_MD* digest = method_.digest == nullptr ? nullptr : method_.digest();
  bool ok =
      EVP_DigestSignInit(context.get(), &key_context, digest, nullptr, private_key_.get()) == 1;
  if (ok && method_.kind == Method::Kind::kRsaPss) {
    ok = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) > 0;
  }
  std::size_t size = 0;
  ok = ok && EVP_DigestSign(context.get(), nullptr, &size, octets(text), text.size()) == 1;
  Bytes signature(size, '\0');
  ok =
      ok && EVP_DigestSign(context.get(), octets(signature), &size, octets(text), text.size()) == 1;
  if (!ok) {
    take_openssl_error();
    return failed;
  }
  signature.resize(size);
  if (method_.kind != Method::Kind::kEcdsa) return signature;
  std::optional<Bytes> raw = to_raw_ecdsa(signature, (method_.curve_bits + 7) / 8);
  if (!raw) return failed;
  return *std::move(raw);
}

bool Jwt::is_signature(BytesView text, BytesView signature) const {
  if (method_.kind == Method::Kind::kHmac) {
    const absl::StatusOr<Bytes> mac = make_signature(text);
    return mac.ok() && mac->size() == signature.size() &&
           CRYPTO_memcmp(mac->data(), signature.data(), mac->size()) == 0;
  }
  Bytes der(signature);
  if (method_.kind == Method::Kind::kEcdsa) {
    std::optional<Bytes> encoded = from_raw_ecdsa(signature, (method_.curve_bits + 7) / 8);
    if (!encoded) return false;
    der = *std::move(encoded);
  }
  EVP_PKEY* const key = public_key_ != nullptr ? public_key_.get() : private_key_.get();
  const ContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  const EVP_MD* digest = method_.digest == nullptr ? nullptr : method_.digest();
  bool ok = EVP_DigestVerifyInit(context.get(), &key_context, digest, nullptr, key) == 1;
  if (ok && method_.kind == Method::Kind::kRsaPss) {
    ok = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_AUTO) > 0;
  }
  ok = ok && EVP_DigestVerify(context.get(), octets(BytesView(der)), der.size(), octets(text),
                              text.size()) == 1;
  if (!ok) take_openssl_error();
  return ok;
}

// --- tokens -------------------------------------------------------------------------------------

absl::StatusOr<Bytes> Jwt::sign(const Claims& claims) const {
  const std::int64_t expires = clock_.unix_milliseconds() / 1000 + ttl_.count();
  const json header = {{"alg", std::string(method_.name)}, {"typ", "JWT"}};
  const json content = {
      {"username", claims.user}, {"revision", claims.auth_revision}, {"exp", expires}};
  constexpr auto kReplace = json::error_handler_t::replace;  // never throws
  Bytes text = encode_base64url(header.dump());
  absl::StrAppend(&text, ".", encode_base64url(content.dump(-1, ' ', false, kReplace)));
  const absl::StatusOr<Bytes> signature = make_signature(text);
  if (!signature.ok()) return signature.status();
  return absl::StrCat(text, ".", encode_base64url(*signature));
}

std::optional<Jwt::Claims> Jwt::verify(BytesView token) {
  if (token.size() > kMaxTokenBytes) return std::nullopt;
  const absl::string_view key(token.data(), token.size());
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) {
      if (is_current(found->second)) return found->second.claims;
      known_.erase(found);
      return std::nullopt;
    }
  }
  std::optional<Known> read_now = read(token);
  if (!read_now || !is_current(*read_now)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();  // whoever is still about is verified again
  known_.insert_or_assign(Bytes(token), *read_now);
  return std::move(read_now->claims);
}

bool Jwt::is_current(const Known& known) const {
  const std::int64_t now = clock_.unix_milliseconds() / 1000;
  if (known.expires_unix_seconds && now >= *known.expires_unix_seconds) return false;
  return !known.begins_unix_seconds || now >= *known.begins_unix_seconds;
}

std::optional<Jwt::Known> Jwt::read(BytesView token) const {
  const std::size_t first = token.find('.');
  const std::size_t second = first == BytesView::npos ? first : token.find('.', first + 1);
  if (second == BytesView::npos || token.find('.', second + 1) != BytesView::npos) {
    return std::nullopt;
  }
  const auto header_text = decode_base64url(token.substr(0, first));
  const auto claims_text = decode_base64url(token.substr(first + 1, second - first - 1));
  const auto signature = decode_base64url(token.substr(second + 1));
  if (!header_text || !claims_text || !signature) return std::nullopt;
  const json header = json::parse(*header_text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return std::nullopt;
  // Only what we would sign with ourselves: a token does not choose how it is verified.
  const auto algorithm = header.find("alg");
  if (algorithm == header.end() || !algorithm->is_string() ||
      algorithm->get_ref<const std::string&>() != method_.name) {
    return std::nullopt;
  }
  if (!is_signature(token.substr(0, second), *signature)) return std::nullopt;
  const json claims = json::parse(*claims_text, nullptr, /*allow_exceptions=*/false);
  if (!claims.is_object()) return std::nullopt;
  const auto user = claims.find("username");
  const auto revision = claims.find("revision");
  if (user == claims.end() || !user->is_string() || revision == claims.end() ||
      !revision->is_number()) {
    return std::nullopt;
  }
  const double number = revision->get<double>();
  constexpr double kMaxRevision = 18446744073709551615.0;
  const auto expires = time_claim(claims, "exp");
  const auto begins = time_claim(claims, "nbf");
  if (!(number >= 0 && number < kMaxRevision) || !expires || !begins) return std::nullopt;
  return Known{.claims = {user->get<std::string>(), static_cast<std::uint64_t>(number)},
               .expires_unix_seconds = *expires,
               .begins_unix_seconds = *begins};
}

}  // namespace holdfast::crypto
