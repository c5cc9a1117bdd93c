#include "datastore/wal/etcd_log.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/bytes.h"
#include "datastore/base/crc32c.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/codec/wire.h"

namespace holdfast::wal {
namespace {

constexpr std::size_t kFrameBytes = 8;
constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kNameBytes = 16 + 1 + 16 + 4;  // sequence-index.wal

enum class RecordType : std::uint64_t {
  kMetadata = 1,
  kEntry = 2,
  kHardState = 3,
  kCrc = 4,
  kSnapshot = 5,
};

struct Record {
  std::uint64_t type = 0;
  std::uint32_t crc = 0;
  BytesView data;
};

absl::Status decode(BytesView bytes, Record* out) {
  codec::WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case codec::varint_tag(1):
        out->type = reader.varint();
        break;
      case codec::varint_tag(2):
        out->crc = static_cast<std::uint32_t>(reader.varint());
        break;
      case codec::bytes_tag(3):
        out->data = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("walpb.Record");
}

absl::Status decode(BytesView bytes, Identity* out) {
  codec::WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case codec::varint_tag(1):
        out->member = MemberId(reader.varint());
        break;
      case codec::varint_tag(2):
        out->cluster = ClusterId(reader.varint());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("etcdserverpb.Metadata");
}

absl::Status decode_marker(BytesView bytes, raft::SnapshotMetadata* out) {
  absl::Status conf;
  codec::WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case codec::varint_tag(1):
        out->index = Index(reader.varint());
        break;
      case codec::varint_tag(2):
        out->term = Term(reader.varint());
        break;
      case codec::bytes_tag(3):
        conf = codec::decode(reader.bytes(), &out->conf);
        break;
      default:
        reader.skip();
    }
  }
  return conf.ok() ? reader.status("walpb.Snapshot") : conf;
}

/// The chunks of a record that share a sector of the disk: a write that the power's loss cut short
/// leaves one of them all zeros.
bool was_torn(BytesView record, std::uint64_t offset) {
  while (!record.empty()) {
    const std::size_t chunk =
        std::min<std::size_t>(kSectorBytes - offset % kSectorBytes, record.size());
    if (record.substr(0, chunk).find_first_not_of('\0') == BytesView::npos) return true;
    record.remove_prefix(chunk);
    offset += chunk;
  }
  return false;
}

class Reader {
 public:
  explicit Reader(Index after) : after_(after) {}

  absl::Status read_file(const std::string& path, BytesView bytes, bool is_last) {
    path_ = path;
    std::uint64_t offset = 0;
    while (bytes.size() - offset >= kFrameBytes) {
      const std::uint64_t field = load_le64(bytes.data() + offset);
      if (field == 0) return absl::OkStatus();
      const std::uint64_t size = field & ~(std::uint64_t{0xff} << 56);
      const std::uint64_t padding = field >> 63 != 0 ? (field >> 56) & 7 : 0;
      const std::uint64_t at = offset + kFrameBytes;
      const bool fits = size <= bytes.size() - at && padding <= bytes.size() - at - size;
      const BytesView record = bytes.substr(at, fits ? size : BytesView::npos);
      absl::Status status = fits ? take(record) : absl::DataLossError("it ends behind the file");
      if (!status.ok()) {
        if (is_last && (!fits || was_torn(record, at))) {
          log_.torn_tail = {path, offset, bytes.size() - offset};
          return absl::OkStatus();
        }
        return absl::DataLossError(absl::StrCat(
            "etcd's log ", path, " is damaged at offset ", offset, ": ", status.message(),
            ". Nothing was changed. Use another member's data, or a snapshot."));
      }
      offset = at + size + padding;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<EtcdLog> result() && {
    if (!log_.identity.member) {
      return absl::DataLossError(
          absl::StrCat("etcd's log ", path_, " does not say which member it is of"));
    }
    return std::move(log_);
  }

 private:
  absl::Status take(BytesView bytes) {
    Record record;
    if (absl::Status status = decode(bytes, &record); !status.ok()) return status;
    if (static_cast<RecordType>(record.type) == RecordType::kCrc) {
      if (crc_ && *crc_ != 0 && record.crc != *crc_) return absl::DataLossError("crc mismatch");
      crc_ = record.crc;
      return absl::OkStatus();
    }
    if (!crc_) return absl::DataLossError("the file does not begin with a checksum");
    crc_ = crc32c(*crc_, record.data);
    if (record.crc != *crc_) return absl::DataLossError("crc mismatch");
    switch (static_cast<RecordType>(record.type)) {
      case RecordType::kMetadata:
        return decode(record.data, &log_.identity);
      case RecordType::kHardState:
        return codec::decode(record.data, &log_.hard_state);
      case RecordType::kEntry:
        return take_entry(record.data);
      case RecordType::kSnapshot:
        return take_marker(record.data);
      default:
        return absl::DataLossError(absl::StrCat("unknown record type ", record.type));
    }
  }

  absl::Status take_entry(BytesView data) {
    raft::Entry entry;
    if (absl::Status status = codec::decode(data, &entry); !status.ok()) return status;
    log_.last_index = entry.index;
    if (entry.index <= after_) {
      if (entry.index == after_) log_.term_before = entry.term;
      log_.entries.clear();
      return absl::OkStatus();
    }
    const std::uint64_t place = entry.index.value - after_.value - 1;
    if (place > log_.entries.size()) {
      return absl::DataLossError(absl::StrCat("entry ", entry.index.value, " follows entry ",
                                              after_.value + log_.entries.size(),
                                              ": those between are missing"));
    }
    log_.entries.resize(place);
    log_.entries.push_back(std::move(entry));
    return absl::OkStatus();
  }

  absl::Status take_marker(BytesView data) {
    raft::SnapshotMetadata marker;
    if (absl::Status status = decode_marker(data, &marker); !status.ok()) return status;
    if (marker.index == after_) log_.term_before = marker.term;
    log_.last_index = std::max(log_.last_index, marker.index);
    log_.snapshots.push_back(std::move(marker));
    return absl::OkStatus();
  }

  const Index after_;
  std::string path_;
  std::optional<std::uint32_t> crc_;
  EtcdLog log_;
};

/// <16 hex digits>-<16 hex digits>.wal
bool is_log_file(const std::string& name) {
  return name.size() == kNameBytes && absl::EndsWith(name, ".wal") && name[16] == '-';
}

}  // namespace

absl::StatusOr<EtcdLog> read_etcd_log(ports::Disk& disk, const std::string& directory,
                                      Index after) {
  absl::StatusOr<std::vector<std::string>> names = disk.list(directory);
  if (!names.ok()) return names.status();
  std::erase_if(*names, [](const std::string& name) { return !is_log_file(name); });
  if (names->empty()) {
    return absl::NotFoundError(absl::StrCat("there is no log of etcd's in ", directory));
  }
  Reader reader(after);
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(directory, "/", name);
    const absl::StatusOr<std::unique_ptr<ports::FileContent>> file = disk.map(path);
    if (!file.ok()) return file.status();
    const bool is_last = name == names->back();
    if (absl::Status status = reader.read_file(path, (*file)->bytes(), is_last); !status.ok()) {
      return status;
    }
  }
  return std::move(reader).result();
}

}  // namespace holdfast::wal
