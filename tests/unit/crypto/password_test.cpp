#include "datastore/crypto/password.h"

#include <gtest/gtest.h>

#include <future>

#include "datastore/base/errors.h"
#include "datastore/crypto/password_pool.h"

namespace holdfast::crypto {
namespace {

constexpr int kCheap = 4;
constexpr PasswordSalt kSalt = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST(Password, IsTheOneThatWasHashed) {
  for (const BytesView password : {"", "secret", "p\xc3\xa4ss",
                                   "\xff\xa3"
                                   "345"}) {
    const auto hash = hash_password(password, kCheap, kSalt);
    ASSERT_TRUE(hash.ok());
    EXPECT_EQ(hash->substr(0, 7), "$2a$04$");
    EXPECT_EQ(hash->size(), 60U);
    EXPECT_TRUE(check_password(password, *hash));
    EXPECT_FALSE(check_password("another", *hash));
  }
  EXPECT_NE(*hash_password("a", kCheap, kSalt), *hash_password("a", kCheap, PasswordSalt{}));
}

// Made by Go's golang.org/x/crypto/bcrypt, as etcd stores them.
TEST(Password, ReadsWhatEtcdHashed) {
  EXPECT_TRUE(
      check_password("allmine", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"));
  EXPECT_FALSE(
      check_password("allyours", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"));
}

TEST(Password, CountsSeventyTwoBytesAndNoMoreAreTaken) {
  const Bytes longest(72, 'x');
  const auto hash = hash_password(longest, kCheap, kSalt);
  ASSERT_TRUE(hash.ok());
  EXPECT_TRUE(check_password(longest, *hash));
  EXPECT_TRUE(check_password(longest + "beyond", *hash)) << "as in etcd";
  EXPECT_FALSE(check_password(longest.substr(1), *hash));
  EXPECT_EQ(hash_password(longest + "x", kCheap, kSalt).status(), errors::password_too_long());
}

TEST(Password, AZeroByteIsNeverCutOff) {
  const BytesView with_zero("se\0cret", 7);
  EXPECT_TRUE(absl::IsInvalidArgument(hash_password(with_zero, kCheap, kSalt).status()));
  const auto hash = hash_password("se", kCheap, kSalt);
  ASSERT_TRUE(hash.ok());
  EXPECT_FALSE(check_password(with_zero, *hash));
}

TEST(Password, WhatIsNoHashFitsNothing) {
  for (const BytesView bad : {"", "hash", "$2a$", "$2a$04$short", "$1$abc$def",
                              "$2a$99$"
                              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                              "*0"}) {
    EXPECT_FALSE(check_password("", bad)) << bad;
    EXPECT_FALSE(check_password("x", bad)) << bad;
  }
}

TEST(PasswordPool, RefusesMoreThanMayWait) {
  std::promise<void> gate;
  std::shared_future<void> open = gate.get_future().share();
  PasswordPool pool(1);
  std::promise<void> running;
  ASSERT_TRUE(pool.submit([&running, open] {
    running.set_value();
    open.wait();
  }));
  running.get_future().wait();
  std::size_t accepted = 0;
  while (pool.submit([open] { open.wait(); })) ++accepted;
  EXPECT_EQ(accepted, PasswordPool::kMaxWaiting);
  gate.set_value();
}

}  // namespace
}  // namespace holdfast::crypto
