#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::bench {

/// What the generator can ask of a server. Each is one gRPC method, kWatch and kLeaseKeepAlive
/// streams, kListStream a stream of answers, the rest unary.
enum class Operation {
  kPut,
  kGet,
  kCreate,  ///< Kubernetes' create: put if the key does not exist
  kUpdate,  ///< Kubernetes' guarded update: put if the key is at the revision last seen, else read
  kDelete,  ///< Kubernetes' guarded delete
  kLeaseGrant,
  kLeaseKeepAlive,
  kListPage,    ///< at most page_keys keys from one key on
  kListStream,  ///< the same, by RangeStream
  kWatch,       ///< everything under the prefix
};

/// What all requests of a run have in common.
struct RequestShape {
  std::string prefix = "/bench/";
  uint32_t value_bytes = 256;
  bool serializable = false;
  int64_t ttl_seconds = 3600;
  /// kPut: attach the key to the lease with ID lease_base + key. kLeaseGrant: ask for that ID.
  /// 0: no lease, and the server chooses IDs.
  int64_t lease_base = 0;
};

/// What one request has of its own.
struct RequestItem {
  uint64_t key = 0;        ///< the number of the key, see append_key
  int64_t revision = 0;    ///< kUpdate, kDelete: the guard
  int64_t lease = 0;       ///< kLeaseKeepAlive
  uint64_t page_keys = 0;  ///< kListPage, kListStream: limit, 0 is none
};

/// The fields of an answer that some operation checks; those absent stay 0.
struct Answer {
  int64_t revision = 0;
  bool succeeded = false;
  bool more = false;
  bool created = false;
  bool canceled = false;
  int64_t lease = 0;
  int64_t ttl_seconds = 0;
  uint64_t entries = 0;  ///< kvs of a range, events of a watch
};

/// The HTTP/2 :path of the operation's gRPC method.
std::string_view path_of(Operation operation);

/// Appends prefix and the number in 16 digits: keys sort as their numbers do.
void append_key(const RequestShape& shape, uint64_t key, std::string* out);

/// Appends one gRPC message (5 bytes of prefix, then the protobuf encoding) to out.
void append_request(Operation operation, const RequestShape& shape, const RequestItem& item,
                    std::string* out);

/// Reads what the operation's answers hold. Returns false if the bytes are not a protobuf message.
bool parse_answer(Operation operation, std::string_view message, Answer* answer);

}  // namespace holdfast::bench
