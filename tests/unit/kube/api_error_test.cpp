#include "operator/kube/api_error.h"

#include "gtest/gtest.h"

namespace holdfast::kube {
namespace {

struct Case {
  int code;
  const char* body;
  bool changes;
  absl::StatusCode status;
  const char* reason;
  Fate fate;
};

TEST(ApiErrorTest, CodeAndReasonDecide) {
  const Case cases[] = {
      {404, R"({"kind":"Status","reason":"NotFound","message":"m"})", true,
       absl::StatusCode::kNotFound, "NotFound", Fate::kRejected},
      {409, R"({"kind":"Status","reason":"AlreadyExists","message":"m"})", true,
       absl::StatusCode::kAlreadyExists, "AlreadyExists", Fate::kRejected},
      {409, R"({"kind":"Status","reason":"Conflict","message":"m"})", true,
       absl::StatusCode::kAborted, "Conflict", Fate::kRejected},
      {410, R"({"kind":"Status","reason":"Expired","message":"m"})", false,
       absl::StatusCode::kOutOfRange, "Expired", Fate::kRejected},
      {422, R"({"kind":"Status","reason":"Invalid","message":"m"})", true,
       absl::StatusCode::kInvalidArgument, "Invalid", Fate::kRejected},
      {403, R"({"kind":"Status","reason":"Forbidden","message":"m"})", true,
       absl::StatusCode::kPermissionDenied, "Forbidden", Fate::kRejected},
      {429, "", true, absl::StatusCode::kResourceExhausted, "", Fate::kRetry},
      {500, "boom", false, absl::StatusCode::kInternal, "", Fate::kRetry},
      {500, "boom", true, absl::StatusCode::kInternal, "", Fate::kUnknown},
      {503, "", true, absl::StatusCode::kUnavailable, "", Fate::kUnknown},
      {504, R"({"kind":"Status","reason":"Timeout","message":"m"})", true,
       absl::StatusCode::kDeadlineExceeded, "Timeout", Fate::kUnknown},
  };
  for (const Case& each : cases) {
    const absl::Status status =
        to_status(read_error(each.code, each.body, std::chrono::seconds(0), each.changes), "get x");
    EXPECT_EQ(status.code(), each.status) << each.code << each.body;
    EXPECT_EQ(fate_of(status), each.fate) << each.code << each.body;
    ASSERT_TRUE(api_error(status).has_value());
    EXPECT_EQ(api_error(status)->code, each.code);
    EXPECT_EQ(api_error(status)->reason, each.reason);
    EXPECT_FALSE(api_error(status)->message.empty());
  }
}

TEST(ApiErrorTest, HugeOrStrangeBodiesAreCut) {
  const ApiError error = read_error(500, std::string(1 << 20, '\xff'), {}, false);
  EXPECT_LE(error.message.size(), kMaxErrorMessageBytes);
  EXPECT_TRUE(api_error(to_status(error, "get x")).has_value());
  EXPECT_EQ(read_error(500, R"({"kind":"Status","code":"x","message":7})", {}, false).reason, "");
}

TEST(ApiErrorTest, OtherStatusesAreNotOfTheApi) {
  EXPECT_FALSE(api_error(absl::NotFoundError("a file")).has_value());
  EXPECT_FALSE(is_expired(absl::OutOfRangeError("a number")));
  EXPECT_FALSE(is_conflict(absl::AbortedError("a transaction")));
  EXPECT_EQ(fate_of(absl::NotFoundError("a file")), Fate::kRejected);
}

}  // namespace
}  // namespace holdfast::kube
