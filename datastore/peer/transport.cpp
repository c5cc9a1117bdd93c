#include "datastore/peer/transport.h"

#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/net/grpc_services.h"
#include "datastore/net/server.h"
#include "datastore/peer/activity.h"
#include "datastore/peer/calls.h"
#include "datastore/peer/outbox.h"
#include "datastore/peer/peer_server.h"
#include "datastore/peer/peer_set.h"
#include "datastore/peer/snapshot_receiver.h"
#include "datastore/peer/worker_pool.h"

namespace holdfast::peer {
namespace {

/// One per transfer under way, and a few to spare.
constexpr std::size_t kMaxWorkers = 16;
constexpr std::size_t kMaxConnections = 4096;

net::ServerOptions server_options(const TransportOptions& options) {
  net::ServerOptions out;
  out.loops = 1;
  out.max_connections = kMaxConnections;
  out.connection.sniff_timeout = options.read_timeout;
  out.connection.write_stall_timeout = options.write_timeout;
  out.connection.http_header_timeout = options.read_timeout;
  out.connection.http_body_timeout = options.request_timeout;
  out.connection.http_upload_stall_timeout = options.snapshot_stall_timeout;
  out.connection.http_idle_timeout = options.read_timeout;
  out.connection.max_http_body_bytes = options.max_post_bytes;
  return out;
}

bool wants_tls(const std::string& url) {
  return absl::StartsWith(url, "https://") || absl::StartsWith(url, "unixs://");
}

}  // namespace

/// Everything there is, in the order in which it is taken apart, from the last to the first.
class Transport::Parts final : public node::Mailbox {
 public:
  Parts(const TransportOptions& options, ports::Disk& disk, const ports::Clock& clock,
        PeerObserver& observer)
      : files(disk, options.snapshot_directory),
        workers(kMaxWorkers),
        server(server_options(options), std::make_shared<net::GrpcServices>(), nullptr),
        context{.options = options,
                .loop = server.loop(0),
                .mailbox = *this,
                .disk = disk,
                .clock = clock,
                .observer = observer,
                .dialer = std::make_shared<net::Dialer>(std::make_shared<net::Resolver>(),
                                                        options.dial_tls),
                .workers = workers},
        peers(context, board),
        calls(context, peers),
        outbox(options.max_outbox_bytes) {}

  void post(absl::AnyInvocable<void()> work) override { server.loop(0).post(std::move(work)); }
  /// Runs `work` on the loop, unless it is stopping by then.
  void run(absl::AnyInvocable<void()> work) {
    post([this, work = std::move(work)]() mutable {
      if (!context.stopping) work();
    });
  }
  absl::Status listen();
  void send_outbox();

  ActivityBoard board;
  SnapshotFiles files;
  WorkerPool workers;
  net::Server server;
  Context context;
  PeerSet peers;
  Calls calls;
  Outbox outbox;
  std::vector<std::string> bound_urls;
  std::atomic<bool> started{false};
  std::atomic<bool> stopped{false};
};

absl::Status Transport::Parts::listen() {
  const auto pages = std::make_shared<PeerServer>(context, peers, files);
  for (const std::string& url : context.options.listen_urls) {
    net::Endpoint endpoint{.serves = net::Serves::kHttpOnly, .http = pages};
    if (wants_tls(url)) {
      if (context.options.accept_tls == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat(url,
                         ": there is no certificate for it; set --peer-cert-file and "
                         "--peer-key-file, or --peer-auto-tls"));
      }
      endpoint.transports = context.options.accept_tls;
    }
    const absl::StatusOr<std::string> bound = server.add_listener(url, std::move(endpoint));
    if (!bound.ok()) return bound.status();
    bound_urls.push_back(*bound);
  }
  return absl::OkStatus();
}

void Transport::Parts::send_outbox() {
  Outbox::Content content = outbox.take();
  peers.send(std::move(content.messages));
  for (const MemberId to : content.dropped_to) peers.report_dropped(to);
}

// --- life ---------------------------------------------------------------------------------------

Transport::Transport(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {
}

Transport::~Transport() {
  stop(std::chrono::milliseconds(0));
}

absl::StatusOr<std::unique_ptr<Transport>> Transport::open(TransportOptions options,
                                                           ports::Disk& disk,
                                                           const ports::Clock& clock,
                                                           PeerObserver& observer) {
  auto parts = std::make_unique<Parts>(options, disk, clock, observer);
  if (absl::Status status = parts->files.prepare(); !status.ok()) return status;
  if (absl::Status status = parts->listen(); !status.ok()) return status;
  return std::unique_ptr<Transport>(new Transport(std::move(parts)));
}

const std::vector<std::string>& Transport::bound_urls() const {
  return parts_->bound_urls;
}

void Transport::start(node::PeerPort& port, node::Node& node) {
  if (parts_->started.exchange(true)) return;
  parts_->context.port = &port;
  parts_->context.node = &node;
  parts_->server.start();
}

void Transport::stop(std::chrono::milliseconds grace) {
  if (parts_->stopped.exchange(true)) return;
  parts_->post([parts = parts_.get()] {
    parts->context.stopping = true;
    parts->peers.clear();
  });
  parts_->server.stop(grace);
  parts_->workers.stop();
}

void Transport::renew_streams() {
  parts_->run([parts = parts_.get()] { parts->peers.renew_streams(); });
}

// --- node::Peers --------------------------------------------------------------------------------

void Transport::set_members(std::shared_ptr<const node::ClusterInfo> cluster) {
  parts_->run([parts = parts_.get(), cluster = std::move(cluster)]() mutable {
    parts->peers.set_members(std::move(cluster));
  });
}

void Transport::send(std::vector<raft::Message> messages) {
  if (messages.empty() || !parts_->outbox.put(std::move(messages))) return;
  parts_->run([parts = parts_.get()] { parts->send_outbox(); });
}

void Transport::send_snapshot(node::OutgoingSnapshot snapshot) {
  parts_->run([parts = parts_.get(), snapshot = std::move(snapshot)]() mutable {
    parts->peers.send_snapshot(std::move(snapshot));
  });
}

std::optional<std::chrono::nanoseconds> Transport::active_since(MemberId peer) const {
  return parts_->board.since(peer);
}

void Transport::keep_alive(MemberId leader, LeaseId lease, Done<std::int64_t> done) {
  parts_->run([parts = parts_.get(), leader, lease, done = std::move(done)]() mutable {
    parts->calls.keep_alive(leader, lease, std::move(done));
  });
}

void Transport::time_to_live(MemberId leader, LeaseId lease, bool keys,
                             Done<node::LeaseTimes> done) {
  parts_->run([parts = parts_.get(), leader, lease, keys, done = std::move(done)]() mutable {
    parts->calls.time_to_live(leader, {.lease = lease, .keys = keys}, std::move(done));
  });
}

void Transport::promote(MemberId leader, MemberId learner, std::string token,
                        Done<std::vector<node::MemberInfo>> done) {
  parts_->run([parts = parts_.get(), leader, learner, token = std::move(token),
               done = std::move(done)]() mutable {
    parts->calls.promote(leader, learner, token, std::move(done));
  });
}

void Transport::hash_kv(MemberId peer, Revision revision, Done<node::HashResult> done) {
  parts_->run([parts = parts_.get(), peer, revision, done = std::move(done)]() mutable {
    parts->calls.hash_kv(peer, revision, std::move(done));
  });
}

void Transport::version(MemberId peer, Done<node::PeerVersion> done) {
  parts_->run([parts = parts_.get(), peer, done = std::move(done)]() mutable {
    parts->calls.version(peer, std::move(done));
  });
}

}  // namespace holdfast::peer
