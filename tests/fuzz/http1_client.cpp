// Any bytes as an answer to a request. The first byte chooses how many arrive at a time, and
// whether the request was HEAD.

#include <algorithm>
#include <cstdint>

#include "datastore/base/check.h"
#include "datastore/net/http1_response_parser.h"

namespace {

using holdfast::BytesView;

constexpr std::size_t kMaxHeaderBytes = 2'000;
constexpr std::size_t kMaxBodyBytes = 5'000;

/// Holds the parser to its promises.
class Checker final : public holdfast::net::Http1ResponseParser::Sink {
 public:
  void on_head(holdfast::net::Http1Response head) override {
    HOLDFAST_CHECK(!head_told_);
    HOLDFAST_CHECK(head.status >= 200);
    std::size_t size = 0;
    for (const auto& [name, value] : head.headers) size += name.size() + value.size();
    HOLDFAST_CHECK(size <= kMaxHeaderBytes);
    head_told_ = true;
  }
  void on_piece(BytesView piece) override {
    HOLDFAST_CHECK(head_told_ && !piece.empty());
    body_bytes_ += piece.size();
    HOLDFAST_CHECK(body_bytes_ <= kMaxBodyBytes);
  }
  bool head_told() const { return head_told_; }
  std::size_t body_bytes() const { return body_bytes_; }

 private:
  bool head_told_ = false;
  std::size_t body_bytes_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t slice_bytes = data[0] < 128 ? 1'000'000 : data[0] / 2 - 63U;
  const bool to_head = data[0] % 2 != 0;
  Checker checker;
  holdfast::net::Http1ResponseParser parser(
      to_head, {.max_header_bytes = kMaxHeaderBytes, .max_body_bytes = kMaxBodyBytes}, checker);
  BytesView rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  absl::Status status;
  while (!rest.empty()) {
    status = parser.parse(rest.substr(0, slice_bytes));
    HOLDFAST_CHECK(status.ok() || !parser.complete());
    rest.remove_prefix(std::min(slice_bytes, rest.size()));
  }
  if (status.ok()) status = parser.end_of_input();
  HOLDFAST_CHECK(status.ok() == parser.complete());
  HOLDFAST_CHECK(!parser.complete() || checker.head_told());
  HOLDFAST_CHECK(!to_head || checker.body_bytes() == 0);
  return 0;
}
