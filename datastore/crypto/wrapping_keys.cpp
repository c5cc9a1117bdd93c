#include "datastore/crypto/wrapping_keys.h"

#include <openssl/crypto.h>

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace holdfast::crypto {

namespace {

/// Nobody's random 256 bits, but what a template or a tool that failed leaves.
bool is_placeholder(const Key256& key) {
  const BytesView bytes = key.bytes();
  return bytes.find_first_not_of(bytes.front()) == BytesView::npos;
}

absl::Status refuse(const std::string& path, std::size_t line, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("--encryption-key-file: ", path, ", line ", line, ": ", why));
}

}  // namespace

absl::StatusOr<std::vector<Key256>> parse_wrapping_keys(BytesView text, const std::string& path) {
  if (text.size() > kMaxKeyFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("--encryption-key-file: ", path, " is larger than ", kMaxKeyFileBytes,
                     " bytes; it should hold one key a line and nothing else"));
  }
  std::vector<Key256> keys;
  std::size_t number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line.front() == '#') continue;
    const std::optional<Key256> key = Key256::parse({line.data(), line.size()});
    if (!key) {
      return refuse(path, number,
                    "is no key: write 64 hex digits, or 32 bytes in base64; "
                    "`openssl rand -hex 32` makes one");
    }
    if (is_placeholder(*key)) {
      return refuse(path, number, "repeats one byte: make a random key, `openssl rand -hex 32`");
    }
    if (std::find(keys.begin(), keys.end(), *key) != keys.end()) {
      return refuse(path, number, "repeats a key that stands above: remove one of them");
    }
    if (keys.size() == kMaxWrappingKeys) {
      return refuse(path, number,
                    absl::StrCat("is one key more than the ", kMaxWrappingKeys,
                                 " that a file may have: remove those no member needs any more"));
    }
    keys.push_back(*key);
  }
  if (!keys.empty()) return keys;
  return absl::InvalidArgumentError(absl::StrCat(
      "--encryption-key-file: ", path, " holds no key: put one there, `openssl rand -hex 32`"));
}

absl::StatusOr<KeyFile> read_key_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Bytes text(kMaxKeyFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--encryption-key-file: ", path,
        " can't be read: no such file, or not ours to read. Put the file with this member's key "
        "there; without it nothing in the data directory can be read"));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  absl::StatusOr<std::vector<Key256>> keys = parse_wrapping_keys(text, path);
  Sha256 sum;
  sum.update(text);
  OPENSSL_cleanse(text.data(), text.size());
  if (!keys.ok()) return keys.status();
  struct stat status{};
  const bool known = stat(path.c_str(), &status) == 0;
  return KeyFile{*std::move(keys), sum.finish(), known && (status.st_mode & S_IROTH) != 0};
}

}  // namespace holdfast::crypto
