#include "datastore/http/pages.h"

#include <utility>

#include "absl/strings/str_replace.h"
#include "datastore/net/web_socket.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace holdfast::http {
namespace {

void send(net::HttpResponder& responder, Reply reply) {
  responder.respond(reply.status, std::move(reply.headers), std::move(reply.body));
}

// Hands a reply back to the loop of its request, from whatever thread it comes.
ReplyDone answer_on_loop(net::HttpResponderRef responder) {
  return [responder = std::move(responder)](Reply reply) mutable {
    net::EventLoop& loop = responder->loop();
    if (loop.in_loop_thread()) {
      send(*responder, std::move(reply));
      return;
    }
    loop.post([responder = std::move(responder), reply = std::move(reply)]() mutable {
      send(*responder, std::move(reply));
    });
  };
}

std::string html_text(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&#34;"}, {"'", "&#39;"}});
}

/// As Go's ServeMux sends on those who leave out the last slash.
Reply gateway_root(const net::HttpRequest& request) {
  const std::string to = request.query.empty() ? "/v3/" : "/v3/?" + request.query;
  Reply reply{307, {{"location", to}}, ""};
  if (request.method != "GET" && request.method != "HEAD") return reply;
  reply.headers.emplace_back("content-type", "text/html; charset=utf-8");
  reply.body = fmt::format("<a href=\"{}\">Temporary Redirect</a>.\n\n", html_text(to));
  return reply;
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

}  // namespace

Pages::Pages(PagesOptions options, HealthSource& health, telemetry::Metrics& metrics,
             telemetry::Logger& log)
    : options_(std::move(options)),
      access_(options_.cors, options_.host_whitelist),
      health_(health, metrics, log),
      metrics_(metrics),
      log_(log) {
}

bool Pages::is_api(const net::HttpRequest& request) const {
  return options_.gateway != nullptr && Gateway::owns(request.path);
}

std::optional<Reply> Pages::stop(const net::HttpRequest& request) {
  if (request.secure && is_api(request) && !request.client_common_name.value_or("").empty() &&
      options_.certificates_name_users != nullptr && options_.certificates_name_users()) {
    return text_error(400,
                      "CommonName of client sending a request against gateway will be ignored and "
                      "not used as expected");
  }
  std::optional<Reply> stopped = access_.stop(request);
  if (!stopped) return stopped;
  if (stopped->status != 200) {
    log_.warn(limiter_, "rejecting HTTP request to prevent DNS rebinding attacks",
              {{"host", request.header("host").value_or("")}, {"remote-addr", request.peer}});
  } else {
    access_.allow_origin(request, *stopped);
  }
  return stopped;
}

void Pages::on_request(net::HttpRequest request, net::HttpResponderRef responder) {
  if (options_.metrics_only) return serve(request, answer_on_loop(std::move(responder)));
  if (std::optional<Reply> stopped = stop(request)) return send(*responder, *std::move(stopped));
  Reply origin_headers;
  access_.allow_origin(request, origin_headers);
  if (is_api(request)) {
    options_.gateway->serve(request, {std::move(responder), std::move(origin_headers.headers)});
    return;
  }
  serve(request, [done = answer_on_loop(std::move(responder)),
                  headers = std::move(origin_headers.headers)](Reply reply) mutable {
    reply.headers.insert(reply.headers.end(), headers.begin(), headers.end());
    done(std::move(reply));
  });
}

bool Pages::takes_upgrade(const net::HttpRequest& request) const {
  return !options_.metrics_only && is_api(request) && net::wants_web_socket(request);
}

std::unique_ptr<net::HttpUpload> Pages::on_upload(const net::HttpRequest& request,
                                                  const net::HttpResponderRef& responder) {
  std::optional<Reply> stopped = stop(request);
  // A browser asks nobody before it opens a WebSocket for a page from elsewhere.
  Reply origin_headers;
  access_.allow_origin(request, origin_headers);
  if (!stopped && request.header("origin") && origin_headers.headers.empty()) {
    stopped = text_error(403, "Forbidden");
  }
  if (stopped) {
    send(*responder, *std::move(stopped));
    return nullptr;
  }
  return options_.gateway->converse(request, {responder, std::move(origin_headers.headers)});
}

void Pages::serve(const net::HttpRequest& request, ReplyDone done) {
  const std::string_view path = request.path;
  if (health_.serve(request.method, path, Query(request.query), done)) {
    return;
  }
  if (path == "/metrics") {
    done(metrics_page());
  } else if (options_.metrics_only) {
    done(not_found());
  } else if (path == "/version") {
    done(version(request));
  } else if (path == "/debug/vars") {
    done(text_error(404, "holdfast has no Go runtime whose variables it could show; see /metrics"));
  } else if (path == "/v3" && options_.gateway != nullptr) {
    done(gateway_root(request));
  } else {
    done(not_found());
  }
}

Reply Pages::version(const net::HttpRequest& request) const {
  if (request.method != "GET") {
    return only_get();
  }
  const Versions versions = options_.versions();
  return json_reply(
      200,
      fmt::format(R"({{"etcdserver":{},"etcdcluster":{},"storage":{}}})", quoted(versions.server),
                  quoted(versions.cluster.empty() ? "not_decided" : versions.cluster),
                  quoted(versions.storage.empty() ? "unknown" : versions.storage)));
}

Reply Pages::metrics_page() const {
  return {200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_.text()};
}

}  // namespace holdfast::http
