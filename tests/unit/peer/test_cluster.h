#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/peer/transport.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/platform/system_clock.h"
#include "tests/unit/peer/fake_member.h"
#include "tests/unit/storage/temp_directory.h"

namespace holdfast::peer {

inline constexpr ClusterId kCluster{0xc0ffee};

/// Remembers what was told, as lines: "active b", "lost msgapp b".
class Recorder final : public PeerObserver {
 public:
  void peer_active(MemberId peer) override { add(absl::StrCat("active ", name(peer))); }
  void peer_inactive(MemberId peer, const absl::Status&) override {
    add(absl::StrCat("inactive ", name(peer)));
  }
  void stream_established(MemberId peer, StreamKind kind, Direction way) override {
    add(absl::StrCat("established ", stream_name(kind), way == Direction::kIncoming ? " < " : " > ",
                     name(peer)));
  }
  void stream_lost(MemberId peer, StreamKind kind, Direction, const absl::Status&) override {
    add(absl::StrCat("lost ", stream_name(kind), " ", name(peer)));
  }
  void stream_refused(MemberId peer, StreamKind kind, const absl::Status& why) override {
    add(absl::StrCat("refused ", stream_name(kind), " ", name(peer), ": ", why.message()));
  }
  void dropped(MemberId peer, std::uint64_t count, const char* queue) override {
    add(absl::StrCat("dropped ", name(peer), " ", queue), count);
  }
  void round_trip(MemberId peer, std::chrono::nanoseconds) override {
    add(absl::StrCat("probed ", name(peer)));
  }
  void snapshot_started(const SnapshotProgress& transfer) override {
    add(absl::StrCat(transfer.way == Direction::kIncoming ? "receiving " : "sending ",
                     transfer.index.value));
  }
  void snapshot_finished(const SnapshotProgress& transfer, const absl::Status& status) override {
    add(absl::StrCat(transfer.way == Direction::kIncoming ? "received " : "sent ",
                     transfer.index.value, status.ok() ? " ok" : " failed"));
  }

  /// Waits until a line that begins with `prefix` was told `count` times.
  bool until(const std::string& prefix, std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return locked_count(prefix) >= count; });
  }
  std::size_t count(const std::string& prefix) const {
    const std::lock_guard lock(mutex_);
    return locked_count(prefix);
  }

 private:
  static std::string name(MemberId id) { return absl::StrCat(absl::Hex(id.value)); }
  void add(const std::string& line, std::uint64_t count = 1) {
    {
      const std::lock_guard lock(mutex_);
      for (std::uint64_t i = 0; i < count; ++i) lines_.push_back(line);
    }
    changed_.notify_all();
  }
  std::size_t locked_count(const std::string& prefix) const {
    std::size_t count = 0;
    for (const std::string& line : lines_) count += line.starts_with(prefix) ? 1 : 0;
    return count;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// One member: a transport and the fake it talks to.
class TestPeer {
 public:
  explicit TestPeer(MemberId id, TransportOptions options = {}) : options_(std::move(options)) {
    options_.self = id;
    options_.cluster = kCluster;
    options_.snapshot_directory = directory_ / "snap";
    if (options_.listen_urls.empty()) options_.listen_urls = {"http://127.0.0.1:0"};
    open();
  }
  ~TestPeer() { stop(); }
  TestPeer(const TestPeer&) = delete;
  TestPeer& operator=(const TestPeer&) = delete;

  MemberId id() const { return options_.self; }
  const std::string& url() const { return options_.listen_urls.front(); }
  int port() const { return std::stoi(url().substr(url().rfind(':') + 1)); }
  const std::string snapshot_directory() const { return options_.snapshot_directory; }
  FakeMember& member() { return *member_; }
  Recorder& recorder() { return *recorder_; }
  Transport& transport() { return *transport_; }

  void start(const node::ClusterInfo& cluster) {
    node::ClusterInfo own = cluster;
    own.self = id();
    member_ = std::make_unique<FakeMember>(own);
    transport_->set_members(member_->cluster());
    transport_->start(*member_, *member_);
  }
  void stop() {
    if (transport_ != nullptr) transport_->stop();
  }
  /// Stops, and begins again at the same address.
  void restart(const node::ClusterInfo& cluster) {
    stop();
    transport_.reset();
    open();
    start(cluster);
  }
  void set_members(const node::ClusterInfo& cluster) {
    node::ClusterInfo own = cluster;
    own.self = id();
    member_->set_cluster(own);
    transport_->set_members(member_->cluster());
  }

 private:
  void open() {
    recorder_ = std::make_unique<Recorder>();
    auto transport = Transport::open(options_, disk_, clock_, *recorder_);
    HOLDFAST_CHECK(transport.ok());
    transport_ = *std::move(transport);
    options_.listen_urls = transport_->bound_urls();
    options_.advertise_urls = options_.listen_urls;
  }

  storage::TempDirectory directory_;
  platform::PosixDisk disk_;
  platform::SystemClock clock_;
  TransportOptions options_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<FakeMember> member_;
  std::unique_ptr<Transport> transport_;
};

inline node::ClusterInfo cluster_of(const std::vector<const TestPeer*>& peers) {
  node::ClusterInfo cluster;
  cluster.cluster = kCluster;
  for (const TestPeer* peer : peers) {
    cluster.members.push_back({.id = peer->id(),
                               .name = absl::StrCat("m", peer->id().value),
                               .peer_urls = {peer->url()},
                               .client_urls = {"http://127.0.0.1:1"}});
  }
  return cluster;
}

inline raft::Message message_to(MemberId to, MemberId from, raft::MessageType type,
                                std::uint64_t number) {
  raft::Message message;
  message.type = type;
  message.to = to;
  message.from = from;
  message.term = Term(2);
  message.index = Index(number);
  return message;
}

}  // namespace holdfast::peer
