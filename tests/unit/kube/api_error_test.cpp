#include "operator/kube/api_error.h"

#include "gtest/gtest.h"

namespace holdfast::kube {
namespace {

struct Case {
  const char* body;
  const char* reason;
  int code;
  absl::StatusCode status;
  Fate fate;
  bool changes;
};

TEST(ApiErrorTest, CodeAndReasonDecide) {
  const Case cases[] = {
      {R"({"kind":"Status","reason":"NotFound","message":"m"})", "NotFound", 404,
       absl::StatusCode::kNotFound, Fate::kRejected, true},
      {R"({"kind":"Status","reason":"AlreadyExists","message":"m"})", "AlreadyExists", 409,
       absl::StatusCode::kAlreadyExists, Fate::kRejected, true},
      {R"({"kind":"Status","reason":"Conflict","message":"m"})", "Conflict", 409,
       absl::StatusCode::kAborted, Fate::kRejected, true},
      {R"({"kind":"Status","reason":"Expired","message":"m"})", "Expired", 410,
       absl::StatusCode::kOutOfRange, Fate::kRejected, false},
      {R"({"kind":"Status","reason":"Invalid","message":"m"})", "Invalid", 422,
       absl::StatusCode::kInvalidArgument, Fate::kRejected, true},
      {R"({"kind":"Status","reason":"Forbidden","message":"m"})", "Forbidden", 403,
       absl::StatusCode::kPermissionDenied, Fate::kRejected, true},
      {"", "", 429, absl::StatusCode::kResourceExhausted, Fate::kRetry, true},
      {"boom", "", 500, absl::StatusCode::kInternal, Fate::kRetry, false},
      {"boom", "", 500, absl::StatusCode::kInternal, Fate::kUnknown, true},
      {"", "", 503, absl::StatusCode::kUnavailable, Fate::kUnknown, true},
      {R"({"kind":"Status","reason":"Timeout","message":"m"})", "Timeout", 504,
       absl::StatusCode::kDeadlineExceeded, Fate::kUnknown, true},
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
