#include "datastore/peer/stream_reader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "datastore/net/dialer.h"
#include "datastore/net/text.h"
#include "datastore/peer/inbox.h"
#include "datastore/peer/peer_headers.h"

namespace holdfast::peer {
namespace {

constexpr int kOk = 200;
constexpr int kGone = 410;
/// Of an error's text, what is worth repeating.
constexpr std::size_t kMaxRefusalTextBytes = 512;

}  // namespace

StreamReader::StreamReader(Context& context, Activity& activity, UrlPicker& urls, MemberId peer,
                           StreamKind kind)
    : context_(context),
      activity_(activity),
      urls_(urls),
      peer_(peer),
      kind_(kind),
      redial_timer_([](void* self) { static_cast<StreamReader*>(self)->dial(); }, this) {
}

void StreamReader::dial() {
  context_.loop.arm(redial_timer_, context_.options.redial_interval);
  net::Http1Client* const client = urls_.pick();
  if (client == nullptr) return;
  redial_timer_.cancel();
  dialled_at_ = context_.loop.now();
  client_ = client;
  refusal_ = absl::OkStatus();
  refusal_text_.clear();
  net::Http1Request request;
  request.target =
      absl::StrCat("/raft/stream/", stream_name(kind_), "/", to_hex(context_.options.self.value));
  request.headers = request_headers(context_.options, peer_);
  request.new_connection = true;
  net::Http1Limits limits;
  limits.dial = context_.dial_timeout();
  limits.read_idle = context_.options.read_timeout;
  limits.write_idle = context_.options.write_timeout;
  call_ = client->start(std::move(request), limits, *this);
}

absl::Status StreamReader::judge(const net::Http1Response& head) const {
  if (head.status != kOk) {
    return absl::FailedPreconditionError(absl::StrCat("the peer answered ", head.status));
  }
  if (!is_supported_version(head.header("x-server-version"))) {
    return absl::FailedPreconditionError(
        "the peer speaks a protocol older than 3.0, or is no etcd at all");
  }
  return absl::OkStatus();
}

void StreamReader::on_response(net::Http1Response head) {
  refusal_ = judge(head);
  if (refusal_.ok()) {
    decoder_.emplace(kind_, peer_, context_.options.self);
    activity_.succeeded();
    context_.observer.stream_established(peer_, kind_, Direction::kIncoming);
    return;
  }
  // Only a member of this very cluster is believed that we were removed.
  const bool same_cluster =
      head.header("x-etcd-cluster-id").value_or("") == to_hex(context_.options.cluster.value);
  if (head.status == kGone && same_cluster) context_.port->told_removed(peer_);
}

void StreamReader::on_body(BytesView piece) {
  if (!decoder_) {
    refusal_text_.append(piece.substr(0, kMaxRefusalTextBytes - refusal_text_.size()));
    if (refusal_text_.size() == kMaxRefusalTextBytes) end(refusal_);
    return;
  }
  context_.observer.received(peer_, piece.size());
  const absl::Status status = decoder_->feed(piece, &messages_);
  if (!messages_.empty()) deliver(context_, std::exchange(messages_, {}));
  if (status.ok()) return;
  context_.observer.receive_failed(peer_);
  end(status);
}

void StreamReader::on_done(absl::Status status) {
  if (!refusal_.ok()) {
    status = refusal_;
  } else if (status.ok()) {
    status = absl::UnavailableError("the peer has ended the stream");
  }
  end(status);
}

void StreamReader::end(const absl::Status& why) {
  call_.reset();
  activity_.failed(why);
  if (decoder_) {
    decoder_.reset();
    context_.observer.stream_lost(peer_, kind_, Direction::kIncoming, why);
  } else {
    urls_.failed(client_);
    if (net::was_refused(why) && !context_.stopping) context_.port->report_gone(peer_);
    const absl::string_view text = absl::StripAsciiWhitespace(refusal_text_);
    context_.observer.stream_refused(
        peer_, kind_,
        text.empty() ? why : absl::Status(why.code(), absl::StrCat(why.message(), ": ", text)));
  }
  // At once after a stream that stood for a while: whether the peer is gone is worth knowing soon.
  const auto next = dialled_at_ + context_.options.redial_interval;
  context_.loop.arm(redial_timer_, std::max<net::EventLoop::Clock::duration>(
                                       next - context_.loop.now(), std::chrono::milliseconds(1)));
}

}  // namespace holdfast::peer
