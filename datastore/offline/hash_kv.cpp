#include "datastore/offline/hash_kv.h"

#include "datastore/node/hashing.h"
#include "datastore/offline/keyspace_source.h"

namespace holdfast::offline {

absl::StatusOr<node::HashResult> hash_kv(ports::Disk& disk, const DataPaths& source,
                                         std::int64_t revision) {
  const absl::StatusOr<KeyspaceSource> keyspace = KeyspaceSource::open(disk, source);
  if (!keyspace.ok()) return keyspace.status();
  return node::hash_keys(keyspace->store().views(), revision);
}

std::vector<Cell> cells(const node::HashResult& hash) {
  return {
      cell("hash", "Hash", "hash", hash.hash),
      cell("hash revision", "Hash revision", "hashRevision", hash.hash_revision.value),
      cell("compact revision", "Compact revision", "compactRevision", hash.compact_revision.value),
  };
}

}  // namespace holdfast::offline
