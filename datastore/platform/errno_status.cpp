#include "datastore/platform/errno_status.h"

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace holdfast::platform {

namespace {

struct Meaning {
  absl::StatusCode code;
  const char* advice = nullptr;
};

Meaning meaning_of(int error) {
  switch (error) {
    case ENOSPC:
      return {absl::StatusCode::kResourceExhausted,
              "free space on its file system or give it a larger one"};
    case EDQUOT:
      return {absl::StatusCode::kResourceExhausted, "raise this user's disk quota or free space"};
    case EFBIG:
      return {absl::StatusCode::kResourceExhausted, "raise the process's file size limit"};
    case EMFILE:
    case ENFILE:
      return {absl::StatusCode::kResourceExhausted, "raise the limit of open files (ulimit -n)"};
    case ENOENT:
      return {absl::StatusCode::kNotFound};
    case EEXIST:
      return {absl::StatusCode::kAlreadyExists};
    case EROFS:
      return {absl::StatusCode::kPermissionDenied, "remount the file system read-write"};
    case EACCES:
    case EPERM:
      return {absl::StatusCode::kPermissionDenied,
              "give the user who runs this process read and write rights there"};
    case EIO:
      return {absl::StatusCode::kInternal,
              "the device reports an input/output error: look at the kernel's log and replace it"};
    default:
      return {absl::StatusCode::kInternal};
  }
}

}  // namespace

absl::Status errno_status(int error, const std::string& operation, const std::string& path) {
  const Meaning meaning = meaning_of(error);
  std::string text =
      absl::StrCat(operation, " ", path, ": ", std::generic_category().message(error));
  if (meaning.advice != nullptr) absl::StrAppend(&text, "; ", meaning.advice);
  return absl::Status(meaning.code, text);
}

}  // namespace holdfast::platform
