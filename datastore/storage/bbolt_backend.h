#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/bbolt_reader.h"

namespace holdfast::storage {

/// A snapshot file, or an etcd's database, as an engine that is only read: every change of it is
/// refused with Unimplemented. A bucket that the file lacks is an empty one.
class BboltBackend final : public ports::KvBackend {
 public:
  explicit BboltBackend(std::unique_ptr<BboltReader> file);

  const BboltReader& file() const { return *file_; }

  absl::Status commit(absl::Span<const ports::BackendWrite> writes) override;
  absl::Status replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> fill) override;
  std::shared_ptr<ports::BackendContent> content() override { return content_; }
  ports::BackendSizes sizes() const override;
  absl::StatusOr<std::uint64_t> reclaim(std::uint64_t max_bytes) override;

 private:
  const std::unique_ptr<BboltReader> file_;
  const std::shared_ptr<ports::BackendContent> content_;
};

}  // namespace holdfast::storage
