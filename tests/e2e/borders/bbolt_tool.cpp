// Our bbolt reader and writer as a program, for tests that compare them with etcd's own tools.
//
//   bbolt_tool convert FROM TO   imports FROM into a new store and writes that store to TO
//   bbolt_tool hash FILE         CRC-32C over bucket names, keys and values, in order; entry count

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "datastore/base/crc32c.h"
#include "datastore/storage/bbolt_reader.h"
#include "datastore/storage/bbolt_writer.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/storage/snapshot_import.h"

namespace holdfast::storage {
namespace {

absl::Status convert(const std::string& from, const std::string& to) {
  auto reader = BboltReader::open(from, {});
  if (!reader.ok()) return reader.status();
  LmdbBackend::Options options;
  options.directory = to + ".store";
  options.unsafe_no_fsync = true;  // thrown away
  std::filesystem::remove_all(options.directory);
  auto store = LmdbBackend::open(options);
  if (!store.ok()) return store.status();
  const auto imported = import_snapshot(**reader, **store, {});
  if (!imported.ok()) return imported.status();
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  {
    const auto read = (*store)->begin_read();
    if (!read.ok()) return read.status();
    auto writer = BboltWriter::plan(**read, {});
    if (!writer.ok()) return writer.status();
    absl::Status written = writer->write([&](BytesView chunk) {
      out.write(chunk.data(), static_cast<std::streamsize>(chunk.size()));
      return out ? absl::OkStatus() : absl::InternalError("cannot write " + to);
    });
    if (!written.ok()) return written;
  }
  store->reset();
  std::filesystem::remove_all(options.directory);
  return absl::OkStatus();
}

absl::Status hash(const std::string& path) {
  auto reader = BboltReader::open(path, {});
  if (!reader.ok()) return reader.status();
  std::uint32_t crc = 0;
  std::uint64_t entries = 0;
  BboltCursor top = (*reader)->buckets();
  for (top.seek({}); top.valid(); top.next()) {
    crc = crc32c(crc, top.key());
    auto cursor = (*reader)->bucket(top.key());
    if (!cursor.ok()) return cursor.status();
    for (cursor->seek({}); cursor->valid(); cursor->next()) {
      crc = crc32c(crc32c(crc, cursor->key()), cursor->value());
      ++entries;
    }
    if (!cursor->status().ok()) return cursor->status();
  }
  if (!top.status().ok()) return top.status();
  std::printf("%08x %llu\n", crc, static_cast<unsigned long long>(entries));
  return absl::OkStatus();
}

}  // namespace
}  // namespace holdfast::storage

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  absl::Status status = absl::InvalidArgumentError("usage: bbolt_tool convert FROM TO | hash FILE");
  if (verb == "convert" && argc == 4) status = holdfast::storage::convert(argv[2], argv[3]);
  if (verb == "hash" && argc == 3) status = holdfast::storage::hash(argv[2]);
  if (status.ok()) return 0;
  std::cerr << status << "\n";
  return 1;
}
