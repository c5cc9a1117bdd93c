#include "datastore/offline/output.h"

#include <gtest/gtest.h>

namespace holdfast::offline {
namespace {

TEST(Output, SizesAreSaidInPowersOfAThousand) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(9), "9 B");
  EXPECT_EQ(human_bytes(10), "10 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.0 kB");
  EXPECT_EQ(human_bytes(20480), "20 kB");
  EXPECT_EQ(human_bytes(2100000), "2.1 MB");
  EXPECT_EQ(human_bytes(82854982), "83 MB");
  EXPECT_EQ(human_bytes(~std::uint64_t{0}), "18 EB");
}

TEST(Output, EachFormSaysEveryCell) {
  const std::vector<Cell> subject = {cell("total keys", "Keys", "totalKey", 2),
                                     cell("version", "Version", "version", "3.7.0")};
  EXPECT_EQ(render(subject, Format::kSimple), "2, 3.7.0\n");
  EXPECT_EQ(render(subject, Format::kJson), "{\"totalKey\":2,\"version\":\"3.7.0\"}\n");
  EXPECT_EQ(render(subject, Format::kFields), "\"Keys\" : 2\n\"Version\" : 3.7.0\n");
  EXPECT_EQ(render(subject, Format::kTable),
            "┌────────────┬─────────┐\n"
            "│ TOTAL KEYS │ VERSION │\n"
            "├────────────┼─────────┤\n"
            "│          2 │   3.7.0 │\n"
            "└────────────┴─────────┘\n");
  EXPECT_EQ(render_lines(subject, Format::kSimple), "total keys  2\nversion     3.7.0\n");
}

TEST(Output, TextThatIsNoUtf8IsStillJson) {
  EXPECT_EQ(render({cell("name", "Name", "name", "\xff")}, Format::kJson),
            "{\"name\":\"\xEF\xBF\xBD\"}\n");
}

}  // namespace
}  // namespace holdfast::offline
