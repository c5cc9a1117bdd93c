#pragma once

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "datastore/base/bytes.h"
#include "datastore/net/server.h"
#include "datastore/rpc/rpc.h"
#include "test_client.h"
#include "test_node.h"

namespace holdfast::rpc {

class TestObserver final : public Observer {
 public:
  void watchers_changed(int, std::size_t watchers, std::size_t slow) override {
    watchers_now = watchers;
    slow_now = slow;
    if (slow > most_slow) most_slow = slow;
  }
  void snapshot_finished(std::chrono::nanoseconds, const absl::Status& status) override {
    snapshot_code = static_cast<int>(status.code());
  }
  std::atomic<std::size_t> watchers_now{0};
  std::atomic<std::size_t> slow_now{0};
  std::atomic<std::size_t> most_slow{0};
  std::atomic<int> snapshot_code{-1};
};

/// The services behind a real server on an ephemeral port, over a TestNode.
class RpcTest : public ::testing::Test {
 protected:
  explicit RpcTest(Options options = {}) {
    options.login.tokens = &node_.tokens();
    options.login.passwords = passwords_.get();
    options.login.bcrypt_cost = 4;
    rpc_ = std::make_unique<Rpc>(node_, options, observer_);
    auto services = std::make_shared<net::GrpcServices>();
    rpc_->register_services(*services);
    server_ = std::make_unique<net::Server>(net::ServerOptions{}, services, nullptr);
    const auto url = server_->add_listener("http://127.0.0.1:0", {});
    EXPECT_TRUE(url.ok()) << url.status();
    port_ = std::stoi(url->substr(url->rfind(':') + 1));
    for (std::size_t i = 0; i < server_->loop_count(); ++i) rpc_->attach(server_->loop(i));
    server_->start();
  }
  ~RpcTest() override {
    server_->stop(std::chrono::seconds(1));
    node_.stop();
    passwords_.reset();
    rpc_.reset();
    server_.reset();
  }

  /// Calls and expects OK.
  template <class Response>
  Response call(const std::string& path, const google::protobuf::Message& request,
                net::H2Client::Headers headers = {}) {
    net::H2Client client(port_, 64 << 20);
    const auto reply = client.unary(path, request.SerializeAsString(), std::move(headers));
    EXPECT_EQ(reply.at("grpc-status"), "0") << path << ": " << reply.at("grpc-message");
    Response response;
    const auto messages = reply.messages();
    if (messages.size() != 1) {
      ADD_FAILURE() << path << " sent " << messages.size() << " messages";
      return response;
    }
    EXPECT_TRUE(response.ParseFromString(messages[0]));
    return response;
  }

  /// Calls with raw bytes and answers "code: text".
  std::string error(const std::string& path, const std::string& bytes,
                    net::H2Client::Headers headers = {}) {
    net::H2Client client(port_);
    const auto reply = client.unary(path, bytes, std::move(headers));
    return reply.at("grpc-status") + ": " + reply.at("grpc-message");
  }

  TestNode node_;
  TestObserver observer_;
  std::unique_ptr<Rpc> rpc_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<crypto::PasswordPool> passwords_ = std::make_unique<crypto::PasswordPool>(1);
  int port_ = 0;
};

/// One streaming call, message by message.
class TestStream {
 public:
  TestStream(int port, const std::string& path, std::int32_t window = 64 << 20,
             net::H2Client::Headers headers = {})
      : client_(port, window), stream_(client_.open_call(path, std::move(headers))) {}

  void send(const google::protobuf::Message& message) {
    client_.send(stream_, net::framed(message.SerializeAsString()));
    client_.flush();
  }
  void half_close() { client_.send(stream_, "", true); }

  /// The next message; a failure and an empty one if none comes.
  template <class Response>
  Response next() {
    Response response;
    client_.run_until([this] { return whole_message().has_value() || reply().closed; });
    const auto message = whole_message();
    if (!message.has_value()) {
      ADD_FAILURE() << "no message: " << reply().at("grpc-message");
      return response;
    }
    EXPECT_TRUE(response.ParseFromString(*message));
    read_bytes_ += net::framed(*message).size();
    return response;
  }
  /// "code: text" once the call has ended.
  std::string end() {
    client_.run_until_closed(stream_);
    return reply().at("grpc-status") + ": " + reply().at("grpc-message");
  }
  net::H2Client& client() { return client_; }
  std::int32_t id() const { return stream_; }

 private:
  net::H2Client::Reply& reply() { return client_.reply(stream_); }
  /// The message after those that were read, once all of it has arrived.
  std::optional<std::string> whole_message() {
    constexpr std::size_t kPrefixBytes = 5;
    const std::string& body = reply().body;
    if (body.size() < read_bytes_ + kPrefixBytes) return std::nullopt;
    const std::size_t size = load_be32(body.data() + read_bytes_ + 1);
    if (body.size() < read_bytes_ + kPrefixBytes + size) return std::nullopt;
    return body.substr(read_bytes_ + kPrefixBytes, size);
  }

  net::H2Client client_;
  std::int32_t stream_;
  std::size_t read_bytes_ = 0;
};

}  // namespace holdfast::rpc
