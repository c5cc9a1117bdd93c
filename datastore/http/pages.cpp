#include "datastore/http/pages.h"

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

void Pages::on_request(net::HttpRequest request, net::HttpResponderRef responder) {
  ReplyDone done = answer_on_loop(std::move(responder));
  if (options_.metrics_only) {
    serve(request, std::move(done));
    return;
  }
  if (std::optional<Reply> stopped = access_.stop(request)) {
    if (stopped->status != 200) {
      log_.warn(limiter_, "rejecting HTTP request to prevent DNS rebinding attacks",
                {{"host", request.header("host").value_or("")}, {"remote-addr", request.peer}});
    } else {
      access_.allow_origin(request, *stopped);
    }
    done(*std::move(stopped));
    return;
  }
  Reply origin_headers;
  access_.allow_origin(request, origin_headers);
  serve(request,
        [done = std::move(done), headers = std::move(origin_headers.headers)](Reply reply) mutable {
          reply.headers.insert(reply.headers.end(), headers.begin(), headers.end());
          done(std::move(reply));
        });
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
  } else if (options_.gateway != nullptr && Gateway::owns(path)) {
    options_.gateway->serve(request, std::move(done));
  } else if (path == "/debug/vars") {
    done(text_error(404, "holdfast has no Go runtime whose variables it could show; see /metrics"));
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
