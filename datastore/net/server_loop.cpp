#include "datastore/net/server_loop.h"

#include "datastore/net/connection.h"

namespace holdfast::net {
namespace {

constexpr int kHandshakeStepsPerTurn = 4;
/// Each at most ServerOptions::output_high_water_bytes and a frame.
constexpr int kBulkRoundsPerTurn = 4;
/// Of EventLoop::kReadBufferBytes.
constexpr int kBulkReadsPerTurn = 8;

}  // namespace

ServerLoop::ServerLoop(int index, const ServerOptions& server_options,
                       std::shared_ptr<const GrpcServices> grpc_services,
                       std::shared_ptr<NetObserver> net_observer)
    : loop(index),
      options(server_options),
      services(std::move(grpc_services)),
      observer(std::move(net_observer)),
      http2(options),
      requests(options.max_loop_request_bytes) {
}

ServerLoop::~ServerLoop() = default;

bool ServerLoop::admit_handshake_step() {
  if (loop.now() != handshake_turn_) {
    handshake_turn_ = loop.now();
    handshake_steps_ = 0;
  }
  return handshake_steps_++ < kHandshakeStepsPerTurn;
}

bool ServerLoop::admit_bulk_round() {
  begin_bulk_turn();
  return bulk_rounds_++ < kBulkRoundsPerTurn;
}

bool ServerLoop::admit_bulk_read() {
  begin_bulk_turn();
  return bulk_reads_++ < kBulkReadsPerTurn;
}

void ServerLoop::begin_bulk_turn() {
  if (loop.now() == bulk_turn_) return;
  bulk_turn_ = loop.now();
  bulk_rounds_ = bulk_reads_ = 0;
}

}  // namespace holdfast::net
