#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "datastore/wal/format.h"
#include "gtest/gtest.h"
#include "tests/unit/wal/fault_disk.h"

namespace holdfast::wal {

/// Every key and nonce that any log of a test seals with, on the disk or on an image of it: each
/// may stand for one text only.
class NonceLedger {
 public:
  void watch(FaultDisk& disk) {
    disk.on_write = [this](BytesView file, std::uint64_t offset, BytesView bytes) {
      record(file, offset, bytes);
    };
  }
  std::size_t size() const { return sealed_.size(); }

 private:
  using Nonce = std::tuple<Bytes, std::uint64_t, std::uint32_t>;

  void record(BytesView file, std::uint64_t offset, BytesView bytes) {
    const bool begins = offset == 0;
    const auto header = decode_segment_header(begins ? bytes : file);
    if (!header.ok() || !header->cipher) return;
    if (begins) {
      bytes.remove_prefix(kSegmentHeaderBytes);
      offset = kSegmentHeaderBytes;
    }
    const Bytes salt(header->cipher->salt.data(), header->cipher->salt.size());
    while (bytes.size() >= kBatchHeaderBytes) {
      const BatchHeader batch = decode_batch_header(bytes.data());
      if (batch.marker != header->marker) return;  // zeros over what is cut
      const BytesView sealed = bytes.substr(kBatchHeaderBytes, batch.records_bytes);
      ASSERT_EQ(sealed.size(), batch.records_bytes);
      const auto [known, fresh] =
          sealed_.try_emplace(Nonce(salt, offset, batch.failed_writes), sealed);
      EXPECT_EQ(known->second, sealed) << "offset " << offset << ": sealed twice, differently";
      bytes.remove_prefix(kBatchHeaderBytes + sealed.size());
      offset += kBatchHeaderBytes + sealed.size();
    }
  }

  std::map<Nonce, Bytes> sealed_;
};

}  // namespace holdfast::wal
