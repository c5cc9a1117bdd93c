// What a caller may show or ask while authentication is on: tokens of both kinds, claims under a
// good signature, commands about users and roles and what is stored of them. The first byte
// chooses.

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/auth/records.h"
#include "datastore/base/check.h"
#include "datastore/codec/auth_requests.h"
#include "datastore/crypto/password.h"
#include "datastore/crypto/tokens.h"

namespace {

using namespace holdfast;  // NOLINT: every parser there is

constexpr BytesView kSecret = "the secret of this fuzzer";

class StillClock final : public ports::Clock {
 public:
  std::chrono::nanoseconds monotonic() const override { return std::chrono::seconds(1000); }
  std::int64_t unix_milliseconds() const override { return 1'000'000; }
};

crypto::Jwt& jwt() {
  static const StillClock kClock;
  static auto jwt = crypto::Jwt::open({.method = "HS256", .private_key = Bytes(kSecret)}, kClock);
  HOLDFAST_CHECK(jwt.ok());
  return **jwt;
}

Bytes base64url(BytesView bytes) {
  std::string text = absl::WebSafeBase64Escape(std::string(bytes));
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

/// A token of ours with any claims at all.
Bytes signed_claims(BytesView claims) {
  Bytes text = absl::StrCat(base64url(R"({"alg":"HS256","typ":"JWT"})"), ".", base64url(claims));
  std::array<unsigned char, 32> mac;
  unsigned int size = mac.size();
  HMAC(EVP_sha256(), kSecret.data(), static_cast<int>(kSecret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  return absl::StrCat(text, ".", base64url({reinterpret_cast<const char*>(mac.data()), size}));
}

/// Every field from the first to the last of those about users and roles.
void decode_commands(BytesView bytes) {
  for (std::uint32_t field = 1000; field <= 1204; ++field) {
    const auto command = static_cast<codec::CommandField>(field);
    if (!codec::is_auth_field(command)) continue;
    statemachine::AuthRequest request;
    (void)codec::decode(command, bytes, &request);
  }
}

/// What is read from a bucket is written as what reads the same.
void read_records(BytesView bytes) {
  if (const auto user = auth::decode_user(bytes); user.ok()) {
    HOLDFAST_CHECK(*auth::decode_user(auth::encode_user(*user)) == *user);
  }
  if (const auto role = auth::decode_role(bytes); role.ok()) {
    HOLDFAST_CHECK(*auth::decode_role(auth::encode_role(*role)) == *role);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      (void)crypto::token_index(bytes);
      (void)jwt().verify(bytes);
      break;
    case 1:
      (void)jwt().verify(signed_claims(bytes));
      break;
    case 2:
      decode_commands(bytes);
      break;
    case 3:
      read_records(bytes);
      break;
    default:
      // Only what is no cheap hash: 31 is the dearest there is.
      if (bytes.find("$2") == BytesView::npos) (void)crypto::check_password("a", bytes);
  }
  return 0;
}
