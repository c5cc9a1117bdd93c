#include "datastore/cli/measured_disk.h"

#include <chrono>
#include <utility>

namespace holdfast::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

class MeasuredFile final : public ports::File {
 public:
  MeasuredFile(std::unique_ptr<ports::File> file, telemetry::Metrics& metrics)
      : file_(std::move(file)), metrics_(metrics) {}

  absl::Status read(std::uint64_t offset, std::size_t size, Bytes& out) override {
    return file_->read(offset, size, out);
  }
  absl::Status write(std::uint64_t offset, absl::Span<const BytesView> pieces) override {
    const Clock::time_point began = Clock::now();
    absl::Status status = file_->write(offset, pieces);
    metrics_.wal_write.observe(seconds_since(began));
    std::size_t bytes = 0;
    for (BytesView piece : pieces) bytes += piece.size();
    if (status.ok()) metrics_.wal_write_bytes.add(static_cast<double>(bytes));
    return status;
  }
  absl::Status sync() override {
    const Clock::time_point began = Clock::now();
    absl::Status status = file_->sync();
    metrics_.wal_fsync.observe(seconds_since(began));
    return status;
  }
  absl::Status preallocate(std::uint64_t size) override { return file_->preallocate(size); }
  absl::Status truncate(std::uint64_t size) override { return file_->truncate(size); }
  absl::StatusOr<std::uint64_t> size() override { return file_->size(); }

 private:
  const std::unique_ptr<ports::File> file_;
  telemetry::Metrics& metrics_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ports::File>> MeasuredDisk::open(const std::string& path, Open how) {
  auto file = disk_.open(path, how);
  if (!file.ok()) return file.status();
  return std::make_unique<MeasuredFile>(*std::move(file), metrics_);
}

}  // namespace holdfast::cli
