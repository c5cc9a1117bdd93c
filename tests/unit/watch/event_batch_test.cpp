#include "datastore/watch/event_batch.h"

#include <gtest/gtest.h>

namespace holdfast::watch {
namespace {

// KeyValue{key "a", create 2, mod 3, version 2, value "x"}.
const Bytes kKv("\x0a\x01\x61\x10\x02\x18\x03\x20\x02\x2a\x01x");

TEST(EventBatch, APutCarriesTheStoredBytes) {
  EventBatchBuilder builder;
  builder.add_put(Revision(3), 0, BytesView(kKv).substr(2, 1), kKv, false);
  const auto batch = builder.build();
  ASSERT_EQ(batch->size(), 1U);
  const Event& event = (*batch)[0];
  EXPECT_EQ(event.message, Bytes("\x12\x0c") + kKv);
  EXPECT_EQ(event.framed, Bytes("\x5a\x0e\x12\x0c") + kKv);
  EXPECT_EQ(event.key, "a");
  EXPECT_EQ(event.revision, Revision(3));
  EXPECT_FALSE(event.created);
}

TEST(EventBatch, ADeleteCarriesKeyAndRevisionOnly) {
  EventBatchBuilder builder;
  builder.add_delete(Revision(300), 1, "key");
  const auto batch = builder.build();
  EXPECT_EQ((*batch)[0].message, Bytes("\x08\x01\x12\x08\x0a\x03key\x18\xac\x02"));
  EXPECT_EQ((*batch)[0].key, "key");
  EXPECT_EQ((*batch)[0].sub, 1);
}

TEST(EventBatch, NeighboursAreContiguous) {
  EventBatchBuilder builder;
  builder.add_put(Revision(3), 0, BytesView(kKv).substr(2, 1), kKv, true);
  builder.add_delete(Revision(4), 0, "a");
  builder.add_put(Revision(5), 0, "", "", false);
  const auto batch = builder.build();
  ASSERT_EQ(batch->size(), 3U);
  EXPECT_EQ((*batch)[0].framed.end(), (*batch)[1].framed.begin());
  EXPECT_EQ((*batch)[2].message, Bytes("\x12\x00", 2));
  EXPECT_EQ((*batch)[2].key, "");
  EXPECT_EQ(batch->first_revision(), Revision(3));
  EXPECT_EQ(batch->last_revision(), Revision(5));
  EXPECT_TRUE(builder.empty());
}

TEST(EventBatch, LongKeysAndValuesAreFound) {
  const Bytes key(300, 'k');
  const Bytes kv = "\x0a\xac\x02" + key + "\x2a\x01v";
  EventBatchBuilder builder;
  builder.add_put(Revision(2), 0, BytesView(kv).substr(3, 300), kv, true);
  EXPECT_EQ((*builder.build())[0].key, key);
}

TEST(EventBatch, PreviousValueIsAppendedAsFieldThree) {
  EventBatchBuilder builder;
  builder.add_delete(Revision(4), 0, "a");
  Bytes framed;
  append_framed_with_previous((*builder.build())[0], kKv, framed);
  EXPECT_EQ(framed, Bytes("\x5a\x17\x08\x01\x12\x05\x0a\x01\x61\x18\x04\x1a\x0c") + kKv);
}

}  // namespace
}  // namespace holdfast::watch
