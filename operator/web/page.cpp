#include "operator/web/page.h"

#include <httplib.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "operator/web/assets.h"

namespace holdfast::web {

namespace {

using kube::Json;
using std::chrono::steady_clock;

constexpr std::size_t kThreads = 8;
constexpr std::size_t kMaxRequestBytes = 64 * 1024;
constexpr std::size_t kWorthPacking = 1024;
constexpr int kSeconds = 10;
constexpr std::size_t kMaxRequestsPerConnection = 1000;

/// Nothing but our own files runs, is loaded, is framed or is sent anywhere.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

void set_headers(httplib::Response& response) {
  response.set_header("Content-Security-Policy", kPolicy);
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("X-Frame-Options", "DENY");
  response.set_header("Referrer-Policy", "no-referrer");
  response.set_header("Cross-Origin-Opener-Policy", "same-origin");
  response.set_header("Cross-Origin-Resource-Policy", "same-origin");
  response.set_header("Cache-Control", "no-store");
}

/// `text` as a gzip member; empty if zlib fails. Lightly: a figure is looked at once.
std::string gzip(std::string_view text) {
  constexpr int kLevel = 3;
  constexpr int kGzipWindow = 15 + 16;
  constexpr int kMemoryLevel = 8;
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return "";
  }
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  packed.resize(whole ? stream.total_out : 0);
  deflateEnd(&stream);
  return packed;
}

/// The library would compress as hard as it can, which takes most of a second for a large fleet.
/// What comes from a provider it leaves alone.
void answer(const httplib::Request& request, int status, std::string text, const char* type,
            httplib::Response& response) {
  response.status = status;
  if (text.size() >= kWorthPacking &&
      absl::StrContains(request.get_header_value("Accept-Encoding"), "gzip")) {
    if (std::string packed = gzip(text); !packed.empty()) {
      text = std::move(packed);
      response.set_header("Content-Encoding", "gzip");
    }
  }
  response.set_header("Vary", "Accept-Encoding");
  const auto body = std::make_shared<const std::string>(std::move(text));
  response.set_content_provider(
      body->size(), type, [body](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
        return sink.write(body->data() + offset, length);
      });
}

void answer_asset(const httplib::Request& request, const Asset& asset,
                  httplib::Response& response) {
  answer(request, 200, std::string(asset.content), asset.content_type, response);
}

void answer_json(const httplib::Request& request, int status, const Json& json,
                 httplib::Response& response) {
  answer(request, status, kube::to_text(json), "application/json", response);
}

void answer_error(const httplib::Request& request, int status, std::string_view message,
                  httplib::Response& response) {
  answer_json(request, status, {{"error", message}}, response);
}

std::string token_of(const httplib::Request& request) {
  for (const char* header : {"Holdfast-Authorization", "Authorization"}) {
    const std::string value = request.get_header_value(header);
    absl::string_view rest = value;
    if (absl::ConsumePrefix(&rest, "Bearer ")) {
      return std::string(absl::StripAsciiWhitespace(rest));
    }
  }
  return "";
}

/// A person who follows a link, rather than the page's own script or a program.
bool is_navigation(const httplib::Request& request) {
  return absl::StrContains(request.get_header_value("Accept"), "text/html");
}

/// The page's files lie above; how far depends on what was asked for.
void answer_sign_in(const httplib::Request& request, httplib::Response& response) {
  const auto slashes = std::count(request.path.begin(), request.path.end(), '/');
  std::string up;
  for (std::ptrdiff_t i = 1; i < slashes; ++i) up += "../";
  const std::string text = absl::StrCat(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sign in</title>"
      "<p>This needs a Kubernetes token. <a href=\"",
      up, "\">The fleet page</a> asks for one.</p></html>");
  answer(request, 401, text, "text/html; charset=utf-8", response);
}

Json events_json(const std::vector<EventView>& events) {
  Json json = Json::array();
  for (const EventView& event : events) {
    json.push_back({{"at", time_text(event.at)},
                    {"warning", event.warning},
                    {"reason", event.reason},
                    {"note", event.note},
                    {"count", event.count}});
  }
  return json;
}

/// How one Kubernetes stands: what is not reached is said, with since when and why.
Json kubernetes_json(const Elsewhere& other) {
  const auto time = [](const std::optional<absl::Time>& at) {
    return at ? Json(time_text(*at)) : Json(nullptr);
  };
  return {{"name", other.name},
          {"reached", other.seen_at.has_value() && !other.failing_since.has_value()},
          {"seenAt", time(other.seen_at)},
          {"failingSince", time(other.failing_since)},
          {"why", other.why}};
}

}  // namespace

struct FleetPage::Server {
  Server(Sources from, Access& who, RecentEvents& what)
      : sources(std::move(from)), access(who), events(what) {
    http.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    http.set_payload_max_length(kMaxRequestBytes);
    http.set_read_timeout(kSeconds, 0);
    http.set_write_timeout(kSeconds, 0);
    http.set_keep_alive_max_count(kMaxRequestsPerConnection);
    http.set_keep_alive_timeout(kSeconds);
    for (const Asset* asset : {&kPage, &kStyle, &kScript, &kIcon}) {
      http.Get(std::string(asset->path), [asset](const auto& request, auto& response) {
        answer_asset(request, *asset, response);
      });
    }
    http.Get("/api/v1/clusters",
             [this](const auto& request, auto& response) { list(request, response); });
    http.Get(R"(/api/v1/clusters/([a-z0-9-]{1,63})/([a-z0-9.-]{1,253}))",
             [this](const auto& request, auto& response) { show(request, response); });
    http.Get(R"(/api/v1/clusters/([a-z0-9.-]{1,63})/([a-z0-9-]{1,63})/([a-z0-9.-]{1,253}))",
             [this](const auto& request, auto& response) { show_of(request, response); });
    http.set_post_routing_handler([](const auto&, auto& response) { set_headers(response); });
    http.set_error_handler([](const auto& request, auto& response) {
      const bool answered = !response.body.empty() || response.content_length_ > 0;
      if (!answered) answer_error(request, response.status, "there is no such page", response);
    });
  }

  struct Visitor {
    std::string name;
    Sight sight;
  };

  /// Who asks, and what that user may see; nothing once the request is answered with an error.
  std::optional<Visitor> admit(const httplib::Request& request, httplib::Response& response) {
    const auto now = steady_clock::now();
    const std::string token = token_of(request);
    const absl::StatusOr<User> user = access.identify(token, now);
    if (absl::IsUnauthenticated(user.status())) {
      response.set_header("WWW-Authenticate", "Bearer realm=\"Kubernetes\"");
      if (is_navigation(request)) {
        answer_sign_in(request, response);
      } else {
        answer_error(request, 401, std::string(user.status().message()), response);
      }
      return std::nullopt;
    }
    std::set<std::string> namespaces;
    for (const kube::ObjectKey& cluster : sources.clusters()) namespaces.insert(cluster.ns);
    absl::StatusOr<Sight> sight =
        user.ok() ? access.sight_of(token, *user, namespaces, now) : user.status();
    if (!sight.ok()) {
      answer_error(request, 503,
                   absl::StrCat("Kubernetes cannot be asked who you are or what you may see: ",
                                sight.status().message()),
                   response);
      return std::nullopt;
    }
    return Visitor{user->name, *std::move(sight)};
  }

  void list(const httplib::Request& request, httplib::Response& response) {
    const std::optional<Visitor> visitor = admit(request, response);
    if (!visitor) return;
    sources.look(std::nullopt);
    if (visitor->sight.everything && sources.elsewhere != nullptr) sources.elsewhere->look();
    Json clusters = Json::array();
    for (const kube::ObjectKey& key : sources.clusters()) {
      if (!visitor->sight.covers(key.ns)) continue;
      if (const auto view = cluster_here(key)) clusters.push_back(to_json(*view));
    }
    Json kubernetes = Json::array();
    if (sees_elsewhere(*visitor)) add_elsewhere(clusters, kubernetes);
    answer_json(request, 200,
                {{"release", sources.release},
                 {"user", visitor->name},
                 {"now", time_text(absl::Now())},
                 {"everything", visitor->sight.everything},
                 {"kubernetes", std::move(kubernetes)},
                 {"clusters", std::move(clusters)}},
                response);
  }

  bool has_elsewhere() const {
    return sources.elsewhere != nullptr && sources.elsewhere->has_any();
  }
  bool sees_elsewhere(const Visitor& visitor) const {
    return has_elsewhere() && visitor.sight.everything;
  }

  std::optional<ClusterView> cluster_here(const kube::ObjectKey& key) const {
    auto view = sources.cluster(key);
    if (view && has_elsewhere()) view->kubernetes = sources.name;
    return view;
  }

  static ClusterView view_elsewhere(const Elsewhere& other, const api::HoldfastCluster& cluster) {
    ClusterView view = view_of(cluster, std::nullopt, absl::Now());
    view.kubernetes = other.name;
    return view;
  }

  void add_elsewhere(Json& clusters, Json& kubernetes) {
    kubernetes.push_back(kubernetes_json({.name = sources.name, .seen_at = absl::Now()}));
    for (const auto& other : sources.elsewhere->known()) {
      kubernetes.push_back(kubernetes_json(*other));
      for (const auto& [key, cluster] : other->clusters) {
        clusters.push_back(to_json(view_elsewhere(*other, cluster)));
      }
    }
  }

  void show(const httplib::Request& request, httplib::Response& response) {
    const std::optional<Visitor> visitor = admit(request, response);
    if (!visitor) return;
    show_here(request, *visitor, {request.matches[1].str(), request.matches[2].str()}, response);
  }

  /// One of a Kubernetes that is named.
  void show_of(const httplib::Request& request, httplib::Response& response) {
    const std::optional<Visitor> visitor = admit(request, response);
    if (!visitor) return;
    const std::string kubernetes = request.matches[1].str();
    const kube::ObjectKey key{request.matches[2].str(), request.matches[3].str()};
    if (has_elsewhere() && kubernetes == sources.name) {
      return show_here(request, *visitor, key, response);
    }
    const auto other = sees_elsewhere(*visitor) ? sources.elsewhere->find(kubernetes) : nullptr;
    const auto cluster = other ? other->clusters.find(key) : decltype(other->clusters.end()){};
    if (!other || cluster == other->clusters.end()) return answer_absent(request, response);
    sources.elsewhere->look();
    Json json = to_json(view_elsewhere(*other, cluster->second));
    const auto told = other->events.find(key);
    json["events"] =
        events_json(told == other->events.end() ? std::vector<EventView>() : told->second);
    answer_json(request, 200, json, response);
  }

  static void answer_absent(const httplib::Request& request, httplib::Response& response) {
    answer_error(request, 404, "there is no such cluster, or you may not see it", response);
  }

  void show_here(const httplib::Request& request, const Visitor& visitor,
                 const kube::ObjectKey& key, httplib::Response& response) {
    const auto view = visitor.sight.covers(key.ns) ? cluster_here(key) : std::nullopt;
    if (!view) return answer_absent(request, response);
    sources.look(key);
    events.refresh(steady_clock::now());
    Json json = to_json(*view);
    json["events"] = events_json(events.of(key));
    answer_json(request, 200, json, response);
  }

  const Sources sources;
  Access& access;
  RecentEvents& events;
  httplib::Server http;
};

FleetPage::FleetPage(Sources sources, Access& access, RecentEvents& events)
    : server_(std::make_unique<Server>(std::move(sources), access, events)) {
}

FleetPage::~FleetPage() {
  stop();
}

absl::Status FleetPage::start(const std::string& host, int port) {
  const auto bind = [&](const std::string& address) {
    if (port == 0) {
      port_ = server_->http.bind_to_any_port(address);
      return port_ > 0;
    }
    port_ = port;
    return server_->http.bind_to_port(address, port);
  };
  // IPv4 only machines have no "::".
  if (!bind(host) && !(host == "::" && bind("0.0.0.0"))) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", host, " port ", port, "; see --fleet-page"));
  }
  thread_ = std::thread([this] { server_->http.listen_after_bind(); });
  return absl::OkStatus();
}

void FleetPage::stop() {
  if (!thread_.joinable()) return;
  server_->http.stop();
  thread_.join();
}

}  // namespace holdfast::web
