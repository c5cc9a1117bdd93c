#include "operator/kube/exec_credential.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "operator/kube/json.h"
#include "operator/kube/text.h"

extern char** environ;

namespace holdfast::kube {
namespace {

using Time = std::chrono::steady_clock;

constexpr std::size_t kMaxOutputBytes = 1U << 20;
constexpr std::size_t kMaxComplaintBytes = 2048;
constexpr std::chrono::milliseconds kReapInterval{5};

/// One of the plugin's two outputs, kept up to a bound; the rest is read and dropped.
struct Output {
  int descriptor = -1;
  std::string text;
};

struct Process {
  pid_t pid = -1;
  Output out;
  Output err;

  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    for (const Output* output : {&out, &err}) {
      if (output->descriptor >= 0) {
        ::close(output->descriptor);
      }
    }
  }
};

std::vector<std::string> environment_of(const ExecPlugin& plugin) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  for (const auto& [name, value] : plugin.env) {
    variables.push_back(concat(name, "=", value));
  }
  const Json info = {{"apiVersion", plugin.api_version},
                     {"kind", "ExecCredential"},
                     {"spec", {{"interactive", false}}}};
  variables.push_back(concat("KUBERNETES_EXEC_INFO=", to_text(info)));
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

absl::Status spawn(const ExecPlugin& plugin, Process& process) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(concat("no pipe: ", std::strerror(errno)));
  }
  process.out.descriptor = out[0];
  if (::pipe2(err.data(), O_CLOEXEC) != 0) {
    ::close(out[1]);
    return absl::ResourceExhaustedError(concat("no pipe: ", std::strerror(errno)));
  }
  process.err.descriptor = err[0];
  std::vector<std::string> arguments{plugin.command};
  arguments.insert(arguments.end(), plugin.args.begin(), plugin.args.end());
  std::vector<std::string> variables = environment_of(plugin);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  // The plugin starts with every signal as usual, whatever we block or ignore.
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  const int failed = ::posix_spawnp(&process.pid, plugin.command.c_str(), &actions, &attributes,
                                    pointers(arguments).data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  ::close(err[1]);
  if (failed != 0) {
    process.pid = -1;
    return absl::FailedPreconditionError(
        concat("cannot start ", plugin.command, ": ", std::strerror(failed),
               plugin.install_hint.empty() ? "" : "; ", plugin.install_hint));
  }
  return absl::OkStatus();
}

/// Reads what is there; at the end closes the descriptor.
void read_some(Output& output, std::size_t bound) {
  std::array<char, 4096> buffer;
  const ssize_t got = ::read(output.descriptor, buffer.data(), buffer.size());
  if (got > 0) {
    const std::size_t room = bound - std::min(bound, output.text.size());
    output.text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
  } else if (got == 0 || errno != EINTR) {
    ::close(output.descriptor);
    output.descriptor = -1;
  }
}

/// Reads both outputs to their ends; false if the deadline came first.
bool read_outputs(Process& process, Time::time_point deadline) {
  while (process.out.descriptor >= 0 || process.err.descriptor >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Time::now()).count();
    if (left <= 0) {
      return false;
    }
    std::array<pollfd, 2> waits{pollfd{process.out.descriptor, POLLIN, 0},
                                pollfd{process.err.descriptor, POLLIN, 0}};
    if (::poll(waits.data(), waits.size(), static_cast<int>(left)) <= 0) {
      continue;
    }
    if (waits[0].revents != 0) {
      read_some(process.out, kMaxOutputBytes);
    }
    if (waits[1].revents != 0) {
      read_some(process.err, kMaxComplaintBytes);
    }
  }
  return true;
}

/// Waits for the process's end; at the deadline kills its group. Returns its wait status.
int reap(const Process& process, Time::time_point deadline) {
  int status = 0;
  while (::waitpid(process.pid, &status, WNOHANG) == 0) {
    if (Time::now() >= deadline) {
      ::kill(-process.pid, SIGKILL);
      while (::waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
      }
      break;
    }
    std::this_thread::sleep_for(kReapInterval);
  }
  return status;
}

absl::StatusOr<ExecCredential> parse(const std::string& output) {
  const absl::StatusOr<Json> answer = parse_json(output);
  if (!answer.ok() || text_at(*answer, {"kind"}) != "ExecCredential") {
    return absl::InvalidArgumentError("it did not print an ExecCredential");
  }
  ExecCredential credential;
  credential.token = text_at(*answer, {"status", "token"});
  credential.certificate = text_at(*answer, {"status", "clientCertificateData"});
  credential.key = text_at(*answer, {"status", "clientKeyData"});
  if (credential.token.empty() && (credential.certificate.empty() || credential.key.empty())) {
    return absl::InvalidArgumentError("it printed neither a token nor a certificate with its key");
  }
  const std::string_view expires = text_at(*answer, {"status", "expirationTimestamp"});
  absl::Time time;
  if (!expires.empty() && absl::ParseTime(absl::RFC3339_full, to_absl(expires), &time, nullptr)) {
    credential.expires = absl::ToChronoTime(time);
  }
  return credential;
}

}  // namespace

absl::StatusOr<ExecCredential> run_exec_plugin(const ExecPlugin& plugin,
                                               std::chrono::milliseconds limit) {
  const auto deadline = Time::now() + limit;
  Process process;
  if (absl::Status failed = spawn(plugin, process); !failed.ok()) {
    return failed;
  }
  const bool complete = read_outputs(process, deadline);
  const int status = reap(process, complete ? deadline : Time::now());
  if (!complete || (WIFSIGNALED(status) && Time::now() >= deadline)) {
    return absl::DeadlineExceededError(concat("exec plugin ", plugin.command,
                                              " did not answer within ", limit.count(),
                                              " ms and was killed"));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::UnauthenticatedError(
        concat("exec plugin ", plugin.command, " failed: ", process.err.text));
  }
  absl::StatusOr<ExecCredential> credential = parse(process.out.text);
  if (!credential.ok()) {
    return absl::UnauthenticatedError(
        concat("exec plugin ", plugin.command, ": ", credential.status().message()));
  }
  return credential;
}

}  // namespace holdfast::kube
