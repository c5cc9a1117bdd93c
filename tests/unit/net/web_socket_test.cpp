#include "datastore/net/web_socket.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "test_client.h"
#include "test_server.h"

namespace holdfast::net {
namespace {

/// As a client sends it: masked.
Bytes masked(unsigned first, BytesView payload) {
  Bytes out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    out.push_back(static_cast<char>(0x80 | 126));
    out.push_back(static_cast<char>(payload.size() >> 8));
    out.push_back(static_cast<char>(payload.size() & 0xff));
  }
  const char mask[] = {'m', 'a', 's', 'k'};
  out.append(mask, sizeof mask);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  }
  return out;
}

/// What a client said, as a text.
class Transcript final : public WebSocketReader::Receiver {
 public:
  void on_message(BytesView message) override { add("message " + Bytes(message)); }
  void on_ping(BytesView payload) override { add("ping " + Bytes(payload)); }
  void on_pong() override { add("pong"); }
  void on_end(WebSocketEnd why) override { add("end " + std::to_string(static_cast<int>(why))); }
  Bytes text;

 private:
  void add(const Bytes& line) { text += (text.empty() ? "" : ", ") + line; }
};

Bytes read_all(BytesView bytes, std::size_t slice_bytes = 1'000'000) {
  WebSocketReader reader(1000);
  Transcript transcript;
  while (!bytes.empty()) {
    reader.read(bytes.substr(0, slice_bytes), transcript);
    bytes.remove_prefix(std::min(slice_bytes, bytes.size()));
  }
  return transcript.text;
}

TEST(WebSocketReader, ReadsMessagesHoweverTheyAreCut) {
  const Bytes fragments = masked(0x01, "one ") + masked(0x89, "hello") + masked(0x00, "") +
                          masked(0x80, "two") + masked(0x82, Bytes(300, 'x')) + masked(0x8a, "") +
                          masked(0x88, "");
  for (const std::size_t slice_bytes : {1'000'000, 7, 1}) {
    EXPECT_EQ(read_all(fragments, slice_bytes),
              "ping hello, message one two, message " + Bytes(300, 'x') + ", pong, end 1005");
  }
  EXPECT_EQ(read_all(masked(0x88, Bytes("\x03\xe9why", 5))), "end 1001");
  EXPECT_EQ(read_all(masked(0x81, "")), "message ");
}

TEST(WebSocketReader, EndsForWhoBreaksTheRules) {
  const std::vector<std::pair<const char*, Bytes>> cases = {
      {"not masked", Bytes("\x81\x01x", 3)},
      {"a reserved bit", masked(0xc1, "x")},
      {"an unknown kind", masked(0x83, "x")},
      {"an unknown control frame", masked(0x8b, "x")},
      {"a fragmented ping", masked(0x09, "x")},
      {"a long ping", masked(0x89, Bytes(126, 'x'))},
      {"a continuation of nothing", masked(0x80, "x")},
      {"a message within a message", masked(0x01, "x") + masked(0x81, "y")},
      {"an end of one byte", masked(0x88, "x")},
  };
  for (const auto& [what, bytes] : cases) {
    EXPECT_EQ(read_all(bytes + masked(0x81, "never")), "end 1002") << what;
  }
}

TEST(WebSocketReader, RefusesWhatIsTooBigBeforeItComes) {
  EXPECT_EQ(read_all(masked(0x81, Bytes(1001, 'x')).substr(0, 8)), "end 1009");
  EXPECT_EQ(read_all(masked(0x01, Bytes(600, 'x')) + masked(0x80, Bytes(401, 'x'))), "end 1009");
  EXPECT_EQ(read_all(Bytes("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask", 14)), "end 1009");
}

TEST(WebSocket, FramesOfOursHaveTheShortestLength) {
  EXPECT_EQ(web_socket_text("hi"), Bytes("\x81\x02hi", 4));
  EXPECT_EQ(web_socket_text(Bytes(126, 'x')).substr(0, 4), Bytes("\x81\x7e\x00\x7e", 4));
  EXPECT_EQ(web_socket_text(Bytes(65536, 'x')).substr(0, 10),
            Bytes("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10));
  EXPECT_EQ(web_socket_end(WebSocketEnd::kNormal), Bytes("\x88\x02\x03\xe8", 4));
}

HttpRequest request(HttpHeaders more = {}) {
  HttpRequest out{.method = "GET", .path = "/"};
  out.headers = {{"connection", "keep-alive, Upgrade"},
                 {"upgrade", "WebSocket"},
                 {"sec-websocket-version", "13"},
                 {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  for (auto& [name, value] : more) {
    for (auto& header : out.headers) {
      if (header.first == name) header.second = value;
    }
  }
  return out;
}

TEST(WebSocket, TheHandshakeIsTheStandards) {
  EXPECT_TRUE(wants_web_socket(request()));
  EXPECT_FALSE(wants_web_socket(request({{"upgrade", "h2c"}})));
  EXPECT_FALSE(wants_web_socket(request({{"connection", "close"}})));
  const auto headers = accept_web_socket(request());
  ASSERT_TRUE(headers.has_value());
  EXPECT_EQ((*headers)[2].second, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 section 1.3
  EXPECT_FALSE(accept_web_socket(request({{"sec-websocket-version", "8"}})));
  EXPECT_FALSE(accept_web_socket(request({{"sec-websocket-key", "c2hvcnQ="}})));
  HttpRequest post = request();
  post.method = "POST";
  EXPECT_FALSE(accept_web_socket(post));
}

}  // namespace
}  // namespace holdfast::net
