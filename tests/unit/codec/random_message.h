#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>

#include "datastore/base/prng.h"

namespace holdfast::codec {

/// Fills a generated message with random fields, nested at most `depth` deep: numbers of every
/// size, enum numbers known and unknown, lists up to three long. Strings are ASCII.
class RandomMessage {
 public:
  explicit RandomMessage(std::uint64_t seed) : prng_(seed) {}

  void fill(google::protobuf::Message* message, int depth);
  std::string bytes();
  /// Small and large numbers alike, and every length of varint.
  std::uint64_t number() { return prng_.next() >> prng_.below(64); }
  std::uint64_t below(std::uint64_t bound) { return prng_.below(bound); }

 private:
  void set(google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field,
           int depth);
  void add(google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field,
           int depth);

  Prng prng_;
};

}  // namespace holdfast::codec
