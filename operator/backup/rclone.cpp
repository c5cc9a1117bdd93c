#include "operator/backup/rclone.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "operator/api/text.h"

extern char** environ;

namespace holdfast::backup {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How often a wait looks whether everything is to end.
constexpr milliseconds kTick{200};
/// Of rclone's words: the last of them.
constexpr std::size_t kMaxWordsBytes = 4096;
constexpr std::size_t kMaxErrorBytes = 600;
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
/// Source: rclone's list of exit codes.
constexpr int kDirectoryNotFound = 3;
constexpr int kFileNotFound = 4;
/// What it says of deletefile, with the exit code of any failure.
constexpr std::string_view kNoSuchFile = "is a directory or doesn't exist";

/// One process of rclone, with one end of a pipe to its input or from its output.
enum class Flow { kIn, kOut, kNone };

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

absl::Status no_process(int error) {
  return absl::UnavailableError(api::str_cat("rclone cannot be started: ", std::strerror(error)));
}

/// The last thing that rclone says sums its errors up.
std::string_view summary_of(std::string_view words) {
  const std::size_t summary = words.rfind("Failed to ");
  return summary == std::string_view::npos ? words : words.substr(summary);
}

/// What rclone is asked for, beyond what it always is.
struct Command {
  std::string_view verb;
  std::vector<std::string> arguments;  ///< flags and places
  Flow flow = Flow::kNone;
};

std::vector<std::string> arguments_of(const RcloneOptions& options, const Command& command) {
  std::vector<std::string> all = {options.program,       std::string(command.verb),
                                  "--config=",  // what is set stands in the environment alone
                                  "--log-level=ERROR",   "--stats=0",
                                  "--retries=1",         "--low-level-retries=4",
                                  "--contimeout=15s",    "--timeout=60s",
                                  "--s3-no-check-bucket"};
  all.insert(all.end(), command.arguments.begin(), command.arguments.end());
  return all;
}

/// Of all files in a folder, whole or not.
std::uint64_t bytes_in(const std::string& folder) {
  namespace fs = std::filesystem;
  std::uint64_t sum = 0;
  std::error_code error;
  for (fs::directory_iterator each(folder, error); !error && each != fs::directory_iterator();
       each.increment(error)) {
    std::error_code gone;
    const std::uint64_t size = each->file_size(gone);
    if (!gone) sum += size;
  }
  return sum;
}

}  // namespace

std::string without_secrets(std::string_view text) {
  std::string out;
  bool in_query = false;
  for (const char c : text) {
    if (in_query && (absl::ascii_isspace(static_cast<unsigned char>(c)) || c == '"' || c == '\'')) {
      in_query = false;
    }
    if (!in_query) out += c == '\n' || c == '\t' ? ' ' : c;
    if (c == '?') in_query = true;
  }
  absl::StripAsciiWhitespace(&out);
  if (out.size() > kMaxErrorBytes) out = api::str_cat("…", out.substr(out.size() - kMaxErrorBytes));
  return out;
}

class Rclone::Upload::Child {
 public:
  static absl::StatusOr<std::unique_ptr<Child>> start(const RcloneOptions& options,
                                                      const Command& command) {
    auto child = std::unique_ptr<Child>(new Child(options));
    if (absl::Status status = child->spawn(command); !status.ok()) return status;
    return child;
  }

  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  absl::Status write(BytesView bytes) {
    while (!bytes.empty()) {
      if (absl::Status status = wait_for(POLLOUT); !status.ok()) return status;
      const ssize_t written = ::write(pipe_.get(), bytes.data(), bytes.size());
      if (written > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(written));
      } else if (errno != EAGAIN && errno != EINTR) {
        // It has ended early: what it said tells why.
        const absl::Status outcome = finish();
        return outcome.ok() ? absl::UnavailableError("rclone ended before it was given all")
                            : outcome;
      }
    }
    return absl::OkStatus();
  }

  absl::Status read(const Sink& sink) {
    std::string buffer(kPieceBytes, '\0');
    while (true) {
      if (absl::Status status = wait_for(POLLIN); !status.ok()) return status;
      const ssize_t got = ::read(pipe_.get(), buffer.data(), buffer.size());
      if (got == 0) return finish();
      if (got < 0 && errno != EAGAIN && errno != EINTR) return no_process(errno);
      if (got < 0) continue;
      const BytesView piece(buffer.data(), static_cast<std::size_t>(got));
      if (absl::Status status = sink(piece); !status.ok()) return status;
    }
  }

  /// Closes the pipe and waits for the process, as long as it does not stall: `moved`, if there is
  /// one, says how many bytes have come so far.
  absl::Status finish(const std::function<std::uint64_t()>& moved = nullptr) {
    pipe_.close();
    std::uint64_t last_moved = 0;
    auto deadline = steady_clock::now() + options_.stall;
    while (!reap()) {
      if (absl::Status status = check_stopping(); !status.ok()) return status;
      if (steady_clock::now() >= deadline) {
        const std::uint64_t now_moved = moved ? moved() : last_moved;
        if (now_moved == last_moved) return stalled();
        last_moved = now_moved;
        deadline = steady_clock::now() + options_.stall;
      }
      pause();
    }
    return outcome();
  }

  /// Asks it to end, which aborts what it has begun, and sees to it that it does. Its input stays
  /// open until then: the end of the input would make it store what it has.
  void end() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGTERM);
    const auto deadline = steady_clock::now() + options_.patience;
    while (!reap()) {
      if (steady_clock::now() >= deadline) ::kill(pid_, SIGKILL);
      pause();
    }
    pipe_.close();
  }

 private:
  explicit Child(const RcloneOptions& options) : options_(options) {}

  absl::Status spawn(const Command& command) {
    const Flow flow = command.flow;
    words_ = Descriptor(::memfd_create("rclone-words", MFD_CLOEXEC));
    std::array<int, 2> ends{-1, -1};
    if (words_.get() < 0 || (flow != Flow::kNone && ::pipe2(ends.data(), O_CLOEXEC) != 0)) {
      return no_process(errno);
    }
    Descriptor reading(ends[0]);
    Descriptor writing(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const auto null = [&actions](int fd, int mode) {
      posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", mode, 0);
    };
    null(STDIN_FILENO, O_RDONLY);
    null(STDOUT_FILENO, O_WRONLY);
    posix_spawn_file_actions_adddup2(&actions, words_.get(), STDERR_FILENO);
    if (flow == Flow::kIn) posix_spawn_file_actions_adddup2(&actions, reading.get(), STDIN_FILENO);
    if (flow == Flow::kOut)
      posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
    // Signals that are blocked or ignored here must reach it.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::vector<std::string> arguments = arguments_of(options_, command);
    std::vector<char*> argv;
    for (std::string& each : arguments) argv.push_back(each.data());
    argv.push_back(nullptr);
    const int error =
        ::posix_spawn(&pid_, argv.front(), &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      pid_ = -1;
      return no_process(error);
    }
    if (flow == Flow::kIn) pipe_ = std::move(writing);
    if (flow == Flow::kOut) pipe_ = std::move(reading);
    if (pipe_.get() >= 0) ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    return absl::OkStatus();
  }

  absl::Status check_stopping() const {
    if (options_.stopping == nullptr || !*options_.stopping) return absl::OkStatus();
    return absl::CancelledError("it was asked to stop");
  }

  static absl::Status stalled() {
    return absl::DeadlineExceededError("the target took or gave no byte for too long");
  }

  absl::Status wait_for(short event) {
    const auto deadline = steady_clock::now() + options_.stall;
    while (true) {
      if (absl::Status status = check_stopping(); !status.ok()) return status;
      pollfd waiting{.fd = pipe_.get(), .events = event, .revents = 0};
      if (::poll(&waiting, 1, static_cast<int>(kTick.count())) > 0) return absl::OkStatus();
      if (steady_clock::now() >= deadline) return stalled();
    }
  }

  static void pause() {
    const timespec tick{.tv_sec = 0, .tv_nsec = 5'000'000};
    ::nanosleep(&tick, nullptr);
  }

  /// Whether it has ended.
  bool reap() {
    if (pid_ < 0) return true;
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    exit_code_ = got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    pid_ = -1;
    return true;
  }

  absl::Status outcome() const {
    if (exit_code_ == 0) return absl::OkStatus();
    const std::string words = without_secrets(summary_of(last_words()));
    const std::string message = words.empty() ? "rclone was ended from outside" : words;
    if (exit_code_ == kFileNotFound || exit_code_ == kDirectoryNotFound ||
        message.find(kNoSuchFile) != std::string::npos) {
      return absl::NotFoundError(message);
    }
    return absl::UnavailableError(message);
  }

  std::string last_words() const {
    const off_t size = ::lseek(words_.get(), 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kMaxWordsBytes));
    std::string words(kMaxWordsBytes, '\0');
    const ssize_t got = ::pread(words_.get(), words.data(), words.size(), from);
    words.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return words;
  }

  const RcloneOptions options_;
  pid_t pid_ = -1;
  int exit_code_ = -1;
  Descriptor pipe_;
  Descriptor words_;
};

Rclone::Upload::Upload(std::unique_ptr<Child> child) : child_(std::move(child)) {
}
Rclone::Upload::~Upload() = default;

absl::Status Rclone::Upload::write(BytesView bytes) {
  return child_->write(bytes);
}
absl::Status Rclone::Upload::finish() {
  return child_->finish();
}
void Rclone::Upload::abandon() {
  child_->end();
}

std::string Rclone::place_of(std::string_view object) const {
  return api::str_cat(options_.remote, options_.remote.ends_with(':') ? "" : "/", object);
}

absl::StatusOr<std::unique_ptr<Rclone::Upload>> Rclone::upload(std::string_view object) const {
  auto child = Upload::Child::start(options_, {"rcat", {place_of(object)}, Flow::kIn});
  if (!child.ok()) return child.status();
  return std::unique_ptr<Upload>(new Upload(*std::move(child)));
}

absl::Status Rclone::read(std::string_view object, const Sink& sink) const {
  auto child = Upload::Child::start(options_, {"cat", {place_of(object)}, Flow::kOut});
  if (!child.ok()) return child.status();
  bool any = false;
  absl::Status status = (*child)->read([&](BytesView piece) {
    any = true;
    return sink(piece);
  });
  // Of a name that is neither a file nor a folder it may say nothing at all.
  if (status.ok() && !any) return absl::NotFoundError("there is no such object, or it is empty");
  return status;
}

absl::StatusOr<Bytes> Rclone::read_small(std::string_view object, std::size_t max_bytes) const {
  Bytes out;
  const absl::Status status = read(object, [&](BytesView piece) {
    out.append(piece);
    return out.size() <= max_bytes ? absl::OkStatus()
                                   : absl::OutOfRangeError("the object is larger than it may be");
  });
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<std::vector<std::string>> Rclone::list_lines(std::string_view folder,
                                                            std::vector<std::string> flags,
                                                            std::size_t max_bytes) const {
  flags.push_back(place_of(folder));
  auto child = Upload::Child::start(options_, {"lsf", std::move(flags), Flow::kOut});
  if (!child.ok()) return child.status();
  Bytes text;
  const absl::Status status = (*child)->read([&](BytesView piece) {
    text.append(piece);
    return text.size() <= max_bytes ? absl::OkStatus()
                                    : absl::OutOfRangeError("the folder holds too much");
  });
  if (absl::IsNotFound(status)) return std::vector<std::string>();
  if (!status.ok()) return status;
  return std::vector<std::string>(absl::StrSplit(text, '\n', absl::SkipEmpty()));
}

absl::StatusOr<std::vector<StoredFile>> Rclone::list(std::string_view folder,
                                                     std::size_t max_bytes) const {
  const auto lines = list_lines(folder, {"--format=sp", "--separator=;"}, max_bytes);
  if (!lines.ok()) return lines.status();
  std::vector<StoredFile> files;
  for (const std::string& line : *lines) {
    const std::size_t name = line.find(';') + 1;
    if (name == 0 || line.ends_with('/')) continue;
    StoredFile& file = files.emplace_back(StoredFile{line.substr(name)});
    // Some targets don't know it.
    if (!absl::SimpleAtoi(line.substr(0, name - 1), &file.size_bytes)) file.size_bytes = 0;
  }
  return files;
}

absl::StatusOr<std::vector<std::string>> Rclone::list_folders(std::string_view folder,
                                                              std::size_t max_bytes) const {
  auto names = list_lines(folder, {"--dirs-only"}, max_bytes);
  if (!names.ok()) return names;
  for (std::string& name : *names) {
    if (name.ends_with('/')) name.pop_back();
  }
  return names;
}

absl::Status Rclone::remove_folder(std::string_view folder) const {
  auto child = Upload::Child::start(options_, {"rmdir", {place_of(folder)}, Flow::kNone});
  return child.ok() ? (*child)->finish() : child.status();
}

absl::Status Rclone::fetch(std::string_view folder, const std::vector<std::string>& names,
                           const std::string& into) const {
  if (names.empty()) return absl::OkStatus();  // without names it would be all of the folder
  if (names.size() > kMaxFetchedFiles) {
    return absl::InvalidArgumentError("these are more files than one fetch takes");
  }
  // Each is asked for by its name: the folder may hold many more.
  auto child = Upload::Child::start(
      options_, {"copy",
                 {"--files-from-raw=-", "--no-traverse", "--transfers=8", place_of(folder), into},
                 Flow::kIn});
  if (!child.ok()) return child.status();
  std::string list;
  for (const std::string& name : names) list += name + "\n";
  if (absl::Status status = (*child)->write(list); !status.ok()) return status;
  return (*child)->finish([&into] { return bytes_in(into); });
}

absl::Status Rclone::write_small(std::string_view object, BytesView bytes) const {
  auto begun = upload(object);
  if (!begun.ok()) return begun.status();
  if (absl::Status status = (*begun)->write(bytes); !status.ok()) return status;
  return (*begun)->finish();
}

absl::Status Rclone::remove(std::string_view object) const {
  auto child = Upload::Child::start(options_, {"deletefile", {place_of(object)}, Flow::kNone});
  if (!child.ok()) return child.status();
  const absl::Status status = (*child)->finish();
  return absl::IsNotFound(status) ? confirm_absence(object) : status;
}

/// A target that may not be read looks as if it were empty: a listing tells the two apart.
absl::Status Rclone::confirm_absence(std::string_view object) const {
  auto child = Upload::Child::start(options_, {"lsf", {place_of(object)}, Flow::kOut});
  if (!child.ok()) return child.status();
  bool any = false;
  const absl::Status status = (*child)->read([&any](BytesView /*names*/) {
    any = true;
    return absl::OkStatus();
  });
  if (absl::IsNotFound(status)) return absl::OkStatus();
  if (status.ok() && any)
    return absl::UnavailableError("the object is listed yet cannot be deleted");
  return status;
}

}  // namespace holdfast::backup
