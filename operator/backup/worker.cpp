#include "operator/backup/worker.h"

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "datastore/telemetry/log.h"
#include "operator/api/text.h"
#include "operator/backup/archiver.h"
#include "operator/backup/check.h"
#include "operator/backup/exchange.h"
#include "operator/backup/fetch.h"
#include "operator/backup/fetch_archive.h"
#include "operator/backup/file.h"
#include "operator/backup/proof_token.h"
#include "operator/backup/take.h"
#include "operator/member/session.h"
#include "operator/observe/auth.h"

namespace holdfast::backup {
namespace {

constexpr std::size_t kMaxPemBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxKeyBytes = 4096;
constexpr int kMaxKeys = 64;

std::atomic<bool> stopping{false};

void on_signal(int /*signal*/) {
  stopping = true;
}

/// Everything that the command line can say; each command reads what it needs.
struct Arguments {
  RcloneOptions target;
  std::string verdict_file = "/dev/termination-log";
  TakeRequest take;
  FetchRequest fetch;
  CheckRequest check;
  Exchange exchange;
  member::Endpoint endpoint;
  std::string tls_folder;
  std::string credentials_folder;
  std::string key_folder;
  std::string object;
  ArchiveRequest archive;
  FetchArchiveRequest fetch_archive;
};

/// The certificates of a member's client: ca.crt, tls.crt, tls.key.
absl::StatusOr<member::TlsMaterial> read_tls(const std::string& folder) {
  member::TlsMaterial tls;
  for (const auto& [name, text] :
       {std::pair("ca.crt", &tls.ca_bundle_pem), std::pair("tls.crt", &tls.certificate_pem),
        std::pair("tls.key", &tls.private_key_pem)}) {
    absl::StatusOr<Bytes> read = read_file(api::str_cat(folder, "/", name), kMaxPemBytes);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  return tls;
}

/// Root's passwords as the operator keeps them, of which one is taken; nobody's if there are none.
std::shared_ptr<member::Session> read_credentials(const std::string& folder) {
  auto session = std::make_shared<member::Session>();
  std::vector<member::Credentials> credentials;
  for (const std::string_view key :
       {observe::credentials_key::kPassword, observe::credentials_key::kNextPassword}) {
    const auto password = read_file(api::str_cat(folder, "/", key), kMaxKeyBytes);
    if (password.ok()) credentials.push_back({std::string(observe::kRootUser), *password});
  }
  session->offer(std::move(credentials));
  return session;
}

absl::StatusOr<SealingKey> read_key(const std::string& path) {
  const absl::StatusOr<Bytes> text = read_file(path, kMaxKeyBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<SealingKey> key = SealingKey::parse(*text);
  if (!key.ok()) return absl::FailedPreconditionError(key.status().message());
  return key;
}

/// Every file of a mounted Secret, but for what Kubernetes adds (names that begin with two dots).
/// What is no key is passed over: the one that an object names is missed later, by its ID.
std::vector<SealingKey> read_keys(const std::string& folder) {
  std::vector<SealingKey> keys;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().filename().string().starts_with("..")) continue;
    auto key = read_key(entry->path().string());
    if (key.ok() && keys.size() < kMaxKeys) keys.push_back(*std::move(key));
  }
  return keys;
}

/// A SAS token is a part of an address for rclone; in the Secret it stands alone. And rclone cannot
/// do with the variable by which others name a CA: its own is RCLONE_CA_CERT.
void complete_environment() {
  ::unsetenv("AWS_CA_BUNDLE");
  const char* container = std::getenv("HOLDFAST_AZURE_CONTAINER_URL");
  const char* token = std::getenv("HOLDFAST_AZURE_SAS_TOKEN");
  if (container == nullptr || token == nullptr) return;
  std::string_view query(token);
  if (query.starts_with('?')) query.remove_prefix(1);
  ::setenv("RCLONE_CONFIG_TARGET_SAS_URL", api::str_cat(container, "?", query).c_str(), 1);
}

Verdict refused(const absl::Status& status, std::string_view reason) {
  return {.reason = std::string(reason), .message = std::string(status.message())};
}

/// What a member's client needs, and who seals what it stores. The refusal, if it can't be had.
std::optional<Verdict> read_client(const Arguments& arguments, member::Endpoint& endpoint,
                                   std::optional<SealingKey>& key) {
  endpoint = arguments.endpoint;
  if (!arguments.tls_folder.empty()) {
    auto tls = read_tls(arguments.tls_folder);
    if (!tls.ok()) return refused(tls.status(), "CertificatesMissing");
    endpoint.tls = *std::move(tls);
  }
  endpoint.session = read_credentials(arguments.credentials_folder);
  if (arguments.key_folder.empty()) return std::nullopt;
  auto read = read_key(api::str_cat(arguments.key_folder, "/key"));
  if (!read.ok()) return refused(read.status(), "KeyUnusable");
  key = *std::move(read);
  return std::nullopt;
}

Verdict run_take(Arguments& arguments, telemetry::Logger& log) {
  arguments.take.object = arguments.object;
  if (auto refusal = read_client(arguments, arguments.take.endpoint, arguments.take.key)) {
    return *refusal;
  }
  return take(arguments.target, arguments.take, stopping, log);
}

Verdict run_archive(Arguments& arguments, telemetry::Logger& log) {
  arguments.archive.folder = arguments.object;
  if (auto refusal = read_client(arguments, arguments.archive.endpoint, arguments.archive.key)) {
    return *refusal;
  }
  return archive(arguments.target, arguments.archive, stopping, log);
}

Verdict run_fetch_archive(Arguments& arguments, telemetry::Logger& log) {
  arguments.fetch_archive.folder = arguments.object;
  if (!arguments.key_folder.empty()) {
    arguments.fetch_archive.keys = read_keys(arguments.key_folder);
  }
  return fetch_archive(arguments.target, arguments.fetch_archive, log);
}

Verdict run_fetch(Arguments& arguments, telemetry::Logger& log) {
  arguments.fetch.object = arguments.object;
  if (!arguments.key_folder.empty()) arguments.fetch.keys = read_keys(arguments.key_folder);
  return fetch(arguments.target, arguments.fetch, log);
}

/// The cluster itself, if it is to be asked.
std::optional<Verdict> read_live(Arguments& arguments) {
  std::optional<member::Endpoint>& live = arguments.check.live;
  if (live->address.empty()) {
    live.reset();
    return std::nullopt;
  }
  if (!arguments.tls_folder.empty()) {
    auto tls = read_tls(arguments.tls_folder);
    if (!tls.ok()) return refused(tls.status(), "CertificatesMissing");
    live->tls = *std::move(tls);
  }
  live->session = read_credentials(arguments.credentials_folder);
  return std::nullopt;
}

Verdict run_check(Arguments& arguments, telemetry::Logger& log) {
  arguments.check.endpoint = arguments.endpoint;
  const absl::StatusOr<std::string> token = sign_root_token(arguments.check.folder);
  if (!token.ok()) return refused(token.status(), "TokenKeyUnusable");
  arguments.check.endpoint.session = std::make_shared<member::Session>(*token);
  if (auto refusal = read_live(arguments)) return *refusal;
  return check(arguments.check, stopping, log);
}

Verdict run_exchange(const std::string& command, const Exchange& exchange, telemetry::Logger& log) {
  absl::Status status;
  if (command == kPutAsideCommand) status = put_aside(exchange);
  if (command == kBringBackCommand) status = bring_back(exchange);
  if (command == kDiscardCommand) status = discard(exchange);
  Verdict verdict;
  verdict.succeeded = status.ok();
  verdict.retryable = absl::IsUnavailable(status);
  verdict.reason = status.ok()                          ? "Done"
                   : absl::IsResourceExhausted(status)  ? "VolumeTooSmall"
                   : absl::IsFailedPrecondition(status) ? "NotPossible"
                                                        : "VolumeFailed";
  verdict.message = status.ok() ? command : std::string(status.message());
  log.info("data of a restore", {{"command", command}, {"outcome", verdict.message}});
  return verdict;
}

void add_target(CLI::App& app, Arguments& arguments) {
  app.add_option("--remote", arguments.target.remote,
                 "Where objects are: target:bucket/prefix, or a folder")
      ->required();
  app.add_option("--object", arguments.object, "The object's name below the remote")->required();
  app.add_option("--rclone", arguments.target.program, "The program that moves objects")
      ->capture_default_str();
}

void add_member(CLI::App& app, Arguments& arguments) {
  app.add_option("--address", arguments.endpoint.address, "The member's host or address")
      ->required();
  app.add_option("--port", arguments.endpoint.port, "Its client port")->capture_default_str();
}

/// Of a cluster's own member, and of what seals what is stored of it.
void add_client(CLI::App& app, Arguments& arguments) {
  add_member(app, arguments);
  app.add_option("--tls", arguments.tls_folder, "Folder with ca.crt, tls.crt and tls.key");
  app.add_option("--credentials", arguments.credentials_folder,
                 "Folder with root's password, where the cluster has auth on");
  app.add_option("--keys", arguments.key_folder, "Folder of a sealing key, in its file \"key\"");
}

void add_take(CLI::App& app, Arguments& arguments) {
  CLI::App* take = app.add_subcommand("take", "Stores a snapshot of a member");
  add_target(*take, arguments);
  add_client(*take, arguments);
  take->add_option("--namespace", arguments.take.about.ns, "The cluster's namespace");
  take->add_option("--cluster", arguments.take.about.cluster, "The cluster's name");
  take->add_option("--member", arguments.take.about.member, "The member's name");
  take->add_option("--member-version", arguments.take.about.version, "The member's release");
}

void add_fetch(CLI::App& app, Arguments& arguments) {
  CLI::App* fetch = app.add_subcommand("fetch", "Gets a stored backup, proved and opened");
  add_target(*fetch, arguments);
  fetch->add_option("--folder", arguments.fetch.folder, "Where to put it")->required();
  fetch->add_option("--unless-exists", arguments.fetch.unless_exists,
                    "Do nothing if this path exists");
  fetch->add_option("--sha256", arguments.fetch.sha256, "Refuse an object with another digest");
  fetch->add_flag("--may-lack-manifest", arguments.fetch.may_lack_manifest,
                  "Take an object without a manifest, such as etcdctl's");
  fetch->add_flag("--token-key", arguments.fetch.makes_token_key,
                  "Make a key for the tokens of a member that the snapshot is proved with");
  fetch->add_option("--keys", arguments.key_folder, "Folder of sealing keys, one a file");
  fetch
      ->add_option_function<std::int64_t>(
          "--until-revision",
          [&arguments](std::int64_t revision) {
            arguments.fetch.until.revision = revision;
            arguments.fetch.with_log = WithLog::kUntil;
          },
          "Get the archived log after it too, for a replay up to this revision")
      ->check(CLI::PositiveNumber);
  fetch->add_option_function<std::string>(
      "--until-time",
      [&arguments](const std::string& text) {
        absl::Time time;
        std::string error;
        if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
          throw CLI::ValidationError("--until-time", error);
        }
        arguments.fetch.until.time = time;
        arguments.fetch.with_log = WithLog::kUntil;
      },
      "The same, up to this moment");
  fetch->add_flag_callback(
      "--with-log", [&arguments] { arguments.fetch.with_log = WithLog::kProof; },
      "Get all of the archived log after it too, if there is one, and refuse a damaged one");
}

void add_check(CLI::App& app, Arguments& arguments) {
  CLI::App* check = app.add_subcommand("check", "Compares a restored member with its manifest");
  add_member(*check, arguments);
  check->add_option("--folder", arguments.check.folder, "What fetch was given")->required();
  check->add_option("--live-address", arguments.check.live.emplace().address,
                    "A member of the cluster itself, whose hash is compared");
  check->add_option("--tls", arguments.tls_folder, "Its ca.crt, tls.crt and tls.key");
  check->add_option("--credentials", arguments.credentials_folder,
                    "Folder with root's password, where the cluster has auth on");
  check->add_flag("--replayed", arguments.check.replayed, "The archived log was replayed on it");
}

void add_exchanges(CLI::App& app, Arguments& arguments) {
  const auto add = [&](std::string_view command, const std::string& description) {
    CLI::App* exchange = app.add_subcommand(std::string(command), description);
    exchange->add_option("--volume", arguments.exchange.volume, "Where the volume is mounted")
        ->required();
    exchange->add_option("--restore", arguments.exchange.uid, "The HoldfastRestore's UID")
        ->required();
    return exchange;
  };
  add(kPutAsideCommand, "Puts a member's data aside for a restore")
      ->add_option("--needed-bytes", arguments.exchange.needed_bytes, "What must be free for it");
  add(kBringBackCommand, "Puts what was put aside back");
  add(kDiscardCommand, "Removes what was put aside");
}

void add_archive(CLI::App& app, Arguments& arguments) {
  CLI::App* archive = app.add_subcommand("archive", "Stores a member's log as it grows");
  add_target(*archive, arguments);
  add_client(*archive, arguments);
  archive
      ->add_option_function<int>(
          "--interval-seconds",
          [&arguments](int seconds) { arguments.archive.interval = std::chrono::seconds(seconds); },
          "The age at which entries are stored")
      ->check(CLI::Range(1, 3600));
  archive->add_option("--after-index", arguments.archive.after_index,
                      "The log's entry that the newest backup is of");
  archive->add_option("--page-port", arguments.archive.page_port, "Where to tell how far it is")
      ->check(CLI::Range(0, 65535));
}

void add_fetch_archive(CLI::App& app, Arguments& arguments) {
  CLI::App* fetch = app.add_subcommand("fetch-archive", "Gets a stored log, proved and opened");
  add_target(*fetch, arguments);
  fetch->add_option("--folder", arguments.fetch_archive.into, "Where to put it")->required();
  fetch->add_option("--keys", arguments.key_folder, "Folder of sealing keys, one a file");
}

void handle_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

bool is_worker(int argc, char** argv) {
  return argc > 1 && std::string_view(argv[1]) == kWorkerCommand;
}

int run_worker(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Moves backups between members and where they are stored.");
  app.add_option("--verdict-file", arguments.verdict_file, "Where to say how it went, as JSON")
      ->capture_default_str();
  app.require_subcommand(1);
  add_take(app, arguments);
  add_fetch(app, arguments);
  add_check(app, arguments);
  add_exchanges(app, arguments);
  add_archive(app, arguments);
  add_fetch_archive(app, arguments);
  CLI::App* removal = app.add_subcommand("remove", "Removes a stored backup");
  add_target(*removal, arguments);
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  handle_signals();
  complete_environment();
  arguments.target.stopping = &stopping;
  const auto log = telemetry::Logger::open({});
  if (!log.ok()) return 1;
  const std::string command = app.get_subcommands().front()->get_name();
  Verdict verdict;
  if (!arguments.exchange.uid.empty()) {
    verdict = run_exchange(command, arguments.exchange, **log);
  }
  if (command == "take") verdict = run_take(arguments, **log);
  if (command == "fetch") verdict = run_fetch(arguments, **log);
  if (command == "archive") verdict = run_archive(arguments, **log);
  if (command == "fetch-archive") verdict = run_fetch_archive(arguments, **log);
  if (command == "check") verdict = run_check(arguments, **log);
  if (command == "remove") verdict = remove(arguments.target, arguments.object, **log);
  const std::string text = write_verdict(verdict);
  if (const absl::Status status = write_file(arguments.verdict_file, text); !status.ok()) {
    (*log)->error("the verdict cannot be written", {telemetry::Field(status)});
  }
  return verdict.succeeded ? 0 : 1;
}

}  // namespace holdfast::backup
