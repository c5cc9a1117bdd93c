#include "tests/unit/member/eventually.h"

#include <thread>

#include "gtest/gtest.h"

namespace holdfast::member {

void eventually(const std::string& what, const std::function<absl::Status()>& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  absl::Status last = is_so();
  while (!last.ok() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    last = is_so();
  }
  EXPECT_TRUE(last.ok()) << what << ": " << last;
}

}  // namespace holdfast::member
