#include "operator/web/elsewhere.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "operator/api/condition.h"
#include "operator/kube/config.h"
#include "operator/kube/rest_client.h"

namespace holdfast::web {

namespace {

const kube::Resource kClusters{"holdfast.dev", "v1alpha1", "holdfastclusters"};

/// A file's name as that of a Kubernetes: what a Secret's key may be, and an address can hold.
bool is_name(const std::string& name) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= ElsewhereFolder::kMaxNameBytes && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), fine);
}

}  // namespace

OtherKubernetes::OtherKubernetes(std::string name, Connect connect)
    : name_(std::move(name)), connect_(std::move(connect)) {
  Elsewhere nothing;
  nothing.name = name_;
  known_ = std::make_shared<const Elsewhere>(std::move(nothing));
  thread_ = std::thread([this] { run(); });
}

OtherKubernetes::~OtherKubernetes() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  cancellation_.cancel();
  thread_.join();
}

void OtherKubernetes::look() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    looked_until_ = Clock::now() + kAttention;
  }
  changed_.notify_all();
}

std::shared_ptr<const Elsewhere> OtherKubernetes::known() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return known_;
}

bool OtherKubernetes::await_attention() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    const auto now = Clock::now();
    if (now >= looked_until_) {
      changed_.wait(lock);
    } else if (now < next_) {
      changed_.wait_until(lock, std::min(next_, looked_until_));
    } else {
      return true;
    }
  }
  return false;
}

void OtherKubernetes::run() {
  while (await_attention()) {
    absl::StatusOr<Elsewhere> read_now = read();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (read_now.ok()) {
      failures_ = 0;
      known_ = std::make_shared<const Elsewhere>(*std::move(read_now));
    } else {
      failures_ = std::min(failures_ + 1, 8);
      Elsewhere failing = *known_;
      if (!failing.failing_since) failing.failing_since = absl::Now();
      failing.why = api::clamp_text(
          std::string_view(read_now.status().message().data(), read_now.status().message().size()),
          kMaxWhyBytes);
      known_ = std::make_shared<const Elsewhere>(std::move(failing));
    }
    const auto pause = kShortest * (1 << std::max(failures_ - 1, 0));
    next_ = Clock::now() + std::min<std::chrono::seconds>(pause, kLongestAfterFailure);
  }
}

absl::StatusOr<Elsewhere> OtherKubernetes::read() {
  const absl::StatusOr<std::shared_ptr<kube::Client>> client = connect_();
  if (!client.ok()) return client.status();
  kube::ListOptions options;
  options.call.timeout = kPatience;
  options.call.cancellation = &cancellation_;
  const auto page = (*client)->list(kClusters, options, kMaxClusters);
  if (!page.ok()) return page.status();
  Elsewhere seen;
  seen.name = name_;
  for (const kube::Json& object : page->items) {
    auto cluster = api::read<api::HoldfastCluster>(object);
    if (!cluster.ok()) continue;  // its own operator tells its owner so
    const kube::ObjectKey key{cluster->metadata.ns, cluster->metadata.name};
    seen.clusters.emplace(key, *std::move(cluster));
  }
  // Events are good to have: who may not list them sees the clusters all the same.
  RecentEvents events(**client, {});
  events.refresh(Clock::now(), &cancellation_);
  for (const auto& [key, cluster] : seen.clusters) seen.events[key] = events.of(key);
  seen.seen_at = absl::Now();
  return seen;
}

void ElsewhereFolder::read_folder() {
  std::map<std::string, std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (is_name(name)) files.emplace(name, entry->path().string());
  }
  if (error) return;  // what is known stays
  while (files.size() > kMost) files.erase(std::prev(files.end()));
  std::vector<std::shared_ptr<OtherKubernetes>> gone;  // end after the lock is let go
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto each = all_.begin(); each != all_.end();) {
    if (files.contains(each->first)) {
      ++each;
      continue;
    }
    gone.push_back(std::move(each->second));
    each = all_.erase(each);
  }
  for (const auto& [name, file] : files) {
    if (all_.contains(name)) continue;
    all_.emplace(name, std::make_shared<OtherKubernetes>(name, connector_(file)));
  }
}

void ElsewhereFolder::look() {
  if (folder_.empty()) return;
  bool is_time = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    is_time = now >= next_;
    if (is_time) next_ = now + kReadAgain;
  }
  if (is_time) read_folder();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [name, other] : all_) other->look();
}

bool ElsewhereFolder::has_any() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !all_.empty();
}

std::vector<std::shared_ptr<const Elsewhere>> ElsewhereFolder::known() const {
  std::vector<std::shared_ptr<const Elsewhere>> all;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [name, other] : all_) all.push_back(other->known());
  return all;
}

std::shared_ptr<const Elsewhere> ElsewhereFolder::find(const std::string& name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = all_.find(name);
  return found == all_.end() ? nullptr : found->second->known();
}

ElsewhereFolder::Connector connect_by_kubeconfig(telemetry::Logger& log,
                                                 kube::RequestMetrics& metrics) {
  return [&log, &metrics](const std::string& file) -> OtherKubernetes::Connect {
    struct Kept {
      std::string text;
      std::shared_ptr<kube::Client> client;
    };
    const auto kept = std::make_shared<Kept>();
    return [&log, &metrics, file, kept]() -> absl::StatusOr<std::shared_ptr<kube::Client>> {
      absl::StatusOr<std::string> text = kube::read_small_file(file);
      if (!text.ok()) return text.status();
      if (kept->client && *text == kept->text) return kept->client;
      absl::StatusOr<kube::Config> config = kube::kubeconfig_config(file);
      if (!config.ok()) return config.status();
      kube::RestClientOptions options;
      options.requests_per_second = 5;
      options.burst = 10;
      options.max_attempts = 1;
      options.max_body_bytes = std::size_t{32} << 20;
      auto client = kube::RestClient::open(*std::move(config), options, log, metrics);
      if (!client.ok()) return client.status();
      kept->client = *std::move(client);
      kept->text = *std::move(text);
      return kept->client;
    };
  };
}

}  // namespace holdfast::web
