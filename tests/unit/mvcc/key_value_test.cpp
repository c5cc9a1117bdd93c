#include "datastore/mvcc/key_value.h"

#include <gtest/gtest.h>

#include "datastore/mvcc/store.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::mvcc {
namespace {

TEST(BucketKey, EncodesRevisionsAndTombstones) {
  EncodedBucketKey put({{0x0102, 3}, false});
  EXPECT_EQ(put.view(), Bytes("\0\0\0\0\0\0\1\2_\0\0\0\0\0\0\0\3", 17));
  EncodedBucketKey tombstone({{1, 0}, true});
  EXPECT_EQ(tombstone.view(), Bytes("\0\0\0\0\0\0\0\1_\0\0\0\0\0\0\0\0t", 18));
}

TEST(BucketKey, ParsesWhatItEncodes) {
  for (const bool tombstone : {false, true}) {
    EncodedBucketKey encoded({{INT64_MAX, 77}, tombstone});
    const auto parsed = parse_bucket_key(encoded.view());
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->revision, (BucketRevision{INT64_MAX, 77}));
    EXPECT_EQ(parsed->tombstone, tombstone);
  }
}

TEST(BucketKey, RefusesWhatIsNone) {
  const Bytes good(EncodedBucketKey({{1, 0}, true}).view());
  EXPECT_FALSE(parse_bucket_key("").has_value());
  EXPECT_FALSE(parse_bucket_key(good.substr(0, 16)).has_value());
  EXPECT_FALSE(parse_bucket_key(good + "t").has_value());
  for (const std::size_t position : {std::size_t{0}, std::size_t{8}, std::size_t{17}}) {
    Bytes bad = good;
    bad[position] = '\x80';
    EXPECT_FALSE(parse_bucket_key(bad).has_value()) << position;
  }
}

TEST(KeyValue, EncodesFieldsAscendingAndOmitsZeroes) {
  EXPECT_EQ(encode_key_value({.key = "k",
                              .create_revision = 2,
                              .mod_revision = 300,
                              .version = 1,
                              .value = "v",
                              .lease = 5}),
            Bytes("\x0a\1k\x10\2\x18\xac\2\x20\1\x2a\1v\x30\5", 15));
  EXPECT_EQ(encode_key_value({.key = "k"}), Bytes("\x0a\1k", 3));
  EXPECT_EQ(encode_key_value({}), "");
}

TEST(KeyValue, ParsesWhatItEncodes) {
  const Bytes large(100000, 'x');
  const KeyValueView kv{.key = "a/b",
                        .create_revision = 1,
                        .mod_revision = INT64_MAX,
                        .version = 9,
                        .value = large,
                        .lease = -1};
  const Bytes bytes = encode_key_value(kv);
  EXPECT_EQ(bytes.size(), key_value_size(kv));
  const auto parsed = parse_key_value(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->key, kv.key);
  EXPECT_EQ(parsed->create_revision, 1);
  EXPECT_EQ(parsed->mod_revision, INT64_MAX);
  EXPECT_EQ(parsed->version, 9);
  EXPECT_EQ(parsed->value, large);
  EXPECT_EQ(parsed->lease, -1);
}

TEST(KeyValue, SkipsUnknownFieldsOfEveryWireType) {
  const Bytes bytes(
      "\x38\xff\1\x41"
      "12345678"
      "\x4a\3abc\x55"
      "1234"
      "\x0a\1k\xa0\6\1",
      28);
  const auto parsed = parse_key_value(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->key, "k");
}

TEST(KeyValue, RefusesMalformedBytes) {
  for (const BytesView bytes : {BytesView("\x0a"), BytesView("\x0a\2k"), BytesView("\x10"),
                                BytesView("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
                                BytesView("\x0b"), BytesView("\0", 1),
                                BytesView("\x41"
                                          "123")}) {
    EXPECT_FALSE(parse_key_value(bytes).has_value());
  }
}

TEST(KeyValue, EmptyBytesAreTheZeroKeyValue) {
  ASSERT_TRUE(parse_key_value("").has_value());
  EXPECT_EQ(parse_key_value("")->key, "");
}

}  // namespace
}  // namespace holdfast::mvcc
