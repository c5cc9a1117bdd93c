#pragma once

#include <array>
#include <cstddef>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

/// Passwords, hashed with bcrypt as etcd hashes them: a hash made here is checked there, and the
/// other way round. Each call costs 2^cost rounds: tens of milliseconds at the default of 10, so
/// never on an event loop (PasswordPool).
namespace holdfast::crypto {

inline constexpr int kDefaultBcryptCost = 10;
inline constexpr std::size_t kMaxPasswordBytes = 72;

/// Random bytes, another for each hash.
using PasswordSalt = std::array<char, 16>;

/// The hash of `password`; `cost` is 4 to 31. Errors: errors::password_too_long, InvalidArgument
/// for one with a zero byte, which the system's bcrypt would cut off there.
absl::StatusOr<Bytes> hash_password(BytesView password, int cost, const PasswordSalt& salt);

/// Whether `password` is the one that was hashed. False for what is no hash.
bool check_password(BytesView password, BytesView hash);

}  // namespace holdfast::crypto
