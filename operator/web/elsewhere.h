#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "operator/kube/cancellation.h"
#include "operator/kube/client.h"
#include "operator/web/recent_events.h"
#include "operator/web/view.h"

namespace holdfast::web {

/// What is known of the clusters of another Kubernetes.
struct Elsewhere {
  std::string name;
  /// When its API last answered; none: never since we ask.
  std::optional<absl::Time> seen_at;
  /// Since when it has not, and what it says instead; none: the last answer was good, or nobody has
  /// asked yet.
  std::optional<absl::Time> failing_since;
  std::string why;
  /// As last seen. Members' own figures are not in it: only their own operator asks members.
  std::map<kube::ObjectKey, api::HoldfastCluster> clusters;
  std::map<kube::ObjectKey, std::vector<EventView>> events;
};

/// Reads one other Kubernetes: its HoldfastClusters and their events, listed while somebody looks,
/// once in kShortest at most and ever more rarely while it fails, on a thread of its own: one that
/// does not answer delays nothing. It changes nothing there. Any thread.
class OtherKubernetes {
 public:
  static constexpr std::chrono::seconds kShortest{10};
  static constexpr std::chrono::seconds kLongestAfterFailure{60};
  /// Of one call.
  static constexpr std::chrono::seconds kPatience{10};
  /// Nobody looks any more if nobody did for this long.
  static constexpr std::chrono::seconds kAttention{30};
  static constexpr std::size_t kMaxClusters = 1'000;
  static constexpr std::size_t kMaxWhyBytes = 300;

  /// Makes a client of what the kubeconfig says now. Called anew before each look: a file may
  /// change. The same client if it has not. Errors: what is wrong with it.
  using Connect = std::function<absl::StatusOr<std::shared_ptr<kube::Client>>()>;

  OtherKubernetes(std::string name, Connect connect);
  /// Ends what is under way, and joins.
  ~OtherKubernetes();
  OtherKubernetes(const OtherKubernetes&) = delete;
  OtherKubernetes& operator=(const OtherKubernetes&) = delete;

  /// Somebody looks.
  void look();
  /// Never null.
  std::shared_ptr<const Elsewhere> known() const;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  /// Waits until somebody looks and it is time; false once it is to end.
  bool await_attention();
  absl::StatusOr<Elsewhere> read();

  const std::string name_;
  const Connect connect_;
  kube::Cancellation cancellation_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool stopping_ = false;
  Clock::time_point looked_until_ = Clock::time_point::min();
  Clock::time_point next_ = Clock::time_point::min();
  int failures_ = 0;  ///< in a row
  std::shared_ptr<const Elsewhere> known_;
  std::thread thread_;  // last: it uses all of the above
};

/// All other Kubernetes clusters: one for each kubeconfig in a folder, by the file's name, as a
/// Secret is mounted. The folder is read again while somebody looks: files come and go, and change.
/// At most kMost, the first by name. Any thread.
class ElsewhereFolder {
 public:
  static constexpr std::size_t kMost = 32;
  static constexpr std::size_t kMaxNameBytes = 63;
  static constexpr std::chrono::seconds kReadAgain{10};

  using Connector = std::function<OtherKubernetes::Connect(const std::string& file)>;

  /// `folder` empty: there are none.
  ElsewhereFolder(std::string folder, Connector connector)
      : folder_(std::move(folder)), connector_(std::move(connector)) {}

  /// Whether a file was there when somebody last looked.
  bool has_any() const;
  /// Somebody looks at all.
  void look();
  /// By name.
  std::vector<std::shared_ptr<const Elsewhere>> known() const;
  /// Null if there is none of that name.
  std::shared_ptr<const Elsewhere> find(const std::string& name) const;

 private:
  void read_folder();

  const std::string folder_;
  const Connector connector_;
  mutable std::mutex mutex_;  // guards all below
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::time_point::min();
  std::map<std::string, std::shared_ptr<OtherKubernetes>> all_;
};

/// Connects by kubeconfig files: the client is made anew when the file has changed. What is passed
/// outlives what comes of it.
ElsewhereFolder::Connector connect_by_kubeconfig(telemetry::Logger& log,
                                                 kube::RequestMetrics& metrics);

}  // namespace holdfast::web
