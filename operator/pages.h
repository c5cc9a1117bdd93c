#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace holdfast {

/// /healthz, /readyz and /metrics over plain HTTP, on threads of its own.
class Pages {
 public:
  struct Sources {
    std::function<absl::Status()> health;     ///< not ok: restart this process
    std::function<absl::Status()> readiness;  ///< not ok: it cannot do its work yet
    std::function<std::string()> metrics;
  };

  explicit Pages(Sources sources);
  /// Stops.
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  /// Errors: Unavailable if the address cannot be listened on.
  absl::Status start(const std::string& host, int port);
  void stop();

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

/// Asks a page of ours, `url` http://host:port/path, until it answers 200 or half a minute is over,
/// and prints what it last said. Returns the code to exit with: what `helm test` runs, in an image
/// that has nothing else.
int probe(const std::string& url);

}  // namespace holdfast
