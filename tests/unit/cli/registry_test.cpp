#include "datastore/cli/registry.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "datastore/proto/rpc.pb.h"

namespace holdfast::cli {
namespace {

using ::testing::SizeIs;

namespace pb = etcdserverpb;

template <class Message>
Message parse(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

grpc::ByteBuffer serialize(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

/// An etcd with one user, as far as discovery asks it.
class FakeEtcd final : public grpc::CallbackGenericService {
 public:
  FakeEtcd() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeEtcd() override { server_->Shutdown(); }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  bool needs_token = false;

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(FakeEtcd& etcd, grpc::GenericCallbackServerContext& context)
        : etcd_(etcd), context_(context) {
      StartRead(&request_);
    }
    void OnReadDone(bool) override {
      const grpc::Status status = etcd_.answer(context_, request_, response_);
      if (status.ok()) {
        StartWriteAndFinish(&response_, grpc::WriteOptions(), status);
      } else {
        Finish(status);
      }
    }
    void OnDone() override { delete this; }

   private:
    FakeEtcd& etcd_;
    grpc::GenericCallbackServerContext& context_;
    grpc::ByteBuffer request_;
    grpc::ByteBuffer response_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Reactor(*this, *context);
  }

  grpc::Status answer(const grpc::GenericCallbackServerContext& context,
                      const grpc::ByteBuffer& request, grpc::ByteBuffer& response) {
    const std::lock_guard lock(mutex_);
    if (context.method() == "/etcdserverpb.Auth/Authenticate") {
      const auto login = parse<pb::AuthenticateRequest>(request);
      if (login.name() != "root" || login.password() != "secret") {
        return {grpc::StatusCode::INVALID_ARGUMENT, "etcdserver: authentication failed"};
      }
      pb::AuthenticateResponse out;
      out.set_token("t.1");
      response = serialize(out);
      return grpc::Status::OK;
    }
    const auto token = context.client_metadata().find("token");
    if (needs_token && (token == context.client_metadata().end() || token->second != "t.1")) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "etcdserver: user name is empty"};
    }
    if (context.method() == "/etcdserverpb.KV/Put") {
      const auto put = parse<pb::PutRequest>(request);
      keys_[put.key()] = put.value();
      response = serialize(pb::PutResponse());
      return grpc::Status::OK;
    }
    const auto range = parse<pb::RangeRequest>(request);
    pb::RangeResponse out;
    for (const auto& [key, value] : keys_) {
      const bool in = range.range_end().empty() ? key == range.key()
                                                : key >= range.key() && key < range.range_end();
      if (!in) continue;
      auto* kv = out.add_kvs();
      kv->set_key(key);
      kv->set_value(value);
      kv->set_create_revision(7);
    }
    response = serialize(out);
    return grpc::Status::OK;
  }

  std::mutex mutex_;
  std::map<std::string, std::string> keys_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(GrpcRegistry, ReadsAndPutsKeys) {
  FakeEtcd etcd;
  config::DiscoveryOptions options;
  options.endpoints = {etcd.endpoint()};
  const auto registry = connect_registry(options);
  ASSERT_TRUE(registry.ok()) << registry.status();
  for (const char* key : {"/m/1", "/m/2", "/n"}) ASSERT_TRUE((*registry)->put(key, "v").ok());
  const auto one = (*registry)->read("/m/1");
  ASSERT_TRUE(one.ok()) << one.status();
  ASSERT_THAT(*one, SizeIs(1));
  EXPECT_EQ(one->front().value, "v");
  EXPECT_EQ(one->front().create_revision, 7);
  EXPECT_THAT(*(*registry)->read("/m"), SizeIs(0));
  EXPECT_THAT(*(*registry)->read_prefix("/m"), SizeIs(2));
}

TEST(GrpcRegistry, TheNextEndpointIsTriedWhenOneDoesNotAnswer) {
  FakeEtcd etcd;
  config::DiscoveryOptions options;
  options.endpoints = {"http://127.0.0.1:1", etcd.endpoint()};
  const auto registry = connect_registry(options);
  ASSERT_TRUE(registry.ok()) << registry.status();
  const absl::Status status = (*registry)->put("k", "v");
  EXPECT_TRUE(status.ok()) << status;
}

TEST(GrpcRegistry, LogsInAsTheUserOfTheFlags) {
  FakeEtcd etcd;
  etcd.needs_token = true;
  config::DiscoveryOptions options;
  options.endpoints = {etcd.endpoint()};
  EXPECT_FALSE((*connect_registry(options))->put("k", "v").ok());
  options.user = "root:secret";
  EXPECT_TRUE((*connect_registry(options))->put("k", "v").ok());
  options.user = "root";
  options.password = "wrong";
  EXPECT_EQ((*connect_registry(options))->put("k", "v").message(),
            "etcdserver: authentication failed");
}

TEST(GrpcRegistry, ACertificateThatCannotBeReadIsNamed) {
  config::DiscoveryOptions options;
  options.endpoints = {"https://127.0.0.1:1"};
  options.cacert = "/no/such/ca.pem";
  EXPECT_THAT(std::string(connect_registry(options).status().message()),
              ::testing::HasSubstr("can't read /no/such/ca.pem"));
}

}  // namespace
}  // namespace holdfast::cli
