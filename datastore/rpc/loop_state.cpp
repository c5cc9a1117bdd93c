#include "datastore/rpc/loop_state.h"

#include <utility>

#include "datastore/base/errors.h"
#include "datastore/rpc/key_feed.h"
#include "datastore/rpc/range_task.h"
#include "datastore/rpc/watch_hub.h"

namespace holdfast::rpc {
namespace {

using std::chrono::milliseconds;

/// A reader in use is renewed this often, an idle one released: neither pins pages for longer.
constexpr milliseconds kReaderAge{200};
constexpr milliseconds kStatusAge{100};
/// While long answers wait, the line is looked after this often.
constexpr milliseconds kLineInterval{50};

/// A token found good is asked about again after this long, which also keeps it from ending.
constexpr milliseconds kTokenAge{1000};
constexpr std::size_t kMaxKnownTokens = 4096;

/// Where clients put their token: etcd's own, and web clients by way of the gateway.
constexpr std::string_view kTokenHeader = "token";
constexpr std::string_view kAuthorizationHeader = "authorization";
constexpr BytesView kBearer = "Bearer ";
/// What a gRPC gateway adds to the calls it makes for others.
constexpr std::string_view kGatewayHeader = "grpcgateway-accept";

}  // namespace

LoopState::LoopState(net::EventLoop& loop, node::Node& node, const Options& options,
                     Observer& observer, std::shared_ptr<ListGate> lists,
                     std::shared_ptr<SmallReads> small_reads)
    : loop_(loop),
      node_(node),
      options_(options),
      observer_(observer),
      reader_(node.views()),
      reader_timer_([](void* self) { static_cast<LoopState*>(self)->tend_reader(); }, this),
      lists_(std::move(lists)),
      small_reads_(std::move(small_reads)),
      line_timer_([](void* self) { static_cast<LoopState*>(self)->tend_line(); }, this) {
  const auto cluster = node.cluster();
  cluster_ = cluster->cluster;
  self_ = cluster->self;
  watches_ = std::make_unique<WatchHub>(*this);
  key_feed_ = std::make_unique<KeyFeed>(*this);
  loop_.on_turn_end([this] { end_turn(); });
}

LoopState::~LoopState() = default;

codec::ResponseHeader LoopState::header(Revision revision) const {
  return header(revision, node_.term());
}

codec::ResponseHeader LoopState::header(Revision revision, Term term) const {
  return {.cluster = cluster_, .member = self_, .revision = revision, .raft_term = term};
}

Revision LoopState::newest_revision() const {
  const auto view = node_.views().get();
  return view == nullptr ? Revision() : view->revision;
}

codec::ResponseHeader LoopState::header_now() const {
  return header(newest_revision());
}

absl::StatusOr<mvcc::Reader*> LoopState::reader() {
  if (absl::Status status = reader_.refresh(); !status.ok()) return status;
  reader_used_ = true;
  if (!reader_timer_.armed()) loop_.arm(reader_timer_, kReaderAge);
  return &reader_;
}

void LoopState::tend_reader() {
  if (!std::exchange(reader_used_, false)) return reader_.release();
  // An error leaves the reader empty; the next reader() reports it.
  if (reader_.renew().ok()) loop_.arm(reader_timer_, kReaderAge);
}

std::shared_ptr<ListGate::Place> LoopState::enter_line(const net::GrpcCall& call, MemoryUse use,
                                                       std::size_t size_bytes,
                                                       ListGate::Ready ready) {
  const ListGate::Request request = {
      .client = call.peer(),
      .use = use,
      .size_bytes = size_bytes,
      .deadline = call.deadline().value_or(ListGate::Clock::time_point::max())};
  auto place = lists_->enter(request, loop_.now(), *this, std::move(ready));
  if (!line_timer_.armed() && lists_->waiting() > 0) loop_.arm(line_timer_, kLineInterval);
  return place;
}

void LoopState::tend_line() {
  lists_->tick(loop_.now());
  if (lists_->waiting() > 0) loop_.arm(line_timer_, kLineInterval);
}

// --- authentication -----------------------------------------------------------------------------

const auth::AuthState& LoopState::auth() {
  // The version first: a state newer than its number is only fetched once more.
  const std::uint64_t version = node_.auth().version();
  if (auth_ == nullptr || version != auth_version_) {
    auth_ = node_.auth().get();
    auth_version_ = version;
    known_tokens_.clear();
  }
  return *auth_;
}

std::optional<BytesView> LoopState::token_of(const net::GrpcCall& call) {
  std::optional<BytesView> token = call.metadata_view(kTokenHeader);
  if (!token) token = call.metadata_view(kAuthorizationHeader);
  if (token && token->starts_with(kBearer)) token->remove_prefix(kBearer.size());
  return token;
}

const LoopState::KnownToken* LoopState::known_token(BytesView token) {
  const auth::AuthState& newest = auth();
  const auto found = known_tokens_.find(absl::string_view(token.data(), token.size()));
  if (found != known_tokens_.end() && loop_.now() - found->second.asked_at < kTokenAge) {
    return &found->second;
  }
  crypto::Tokens* const tokens = options_.login.tokens;
  auto owner = tokens == nullptr ? std::nullopt : tokens->find(token);
  if (!owner) {
    if (found != known_tokens_.end()) known_tokens_.erase(found);
    return nullptr;
  }
  if (known_tokens_.size() >= kMaxKnownTokens) known_tokens_.clear();
  const std::uint64_t revision = owner->auth_revision.value_or(newest.revision());
  KnownToken& known = known_tokens_[Bytes(token)];
  known = {.caller = {std::move(owner->user), revision}, .asked_at = loop_.now()};
  return &known;
}

absl::StatusOr<Caller> LoopState::caller(const net::GrpcCall& call) {
  if (const std::optional<BytesView> token = token_of(call)) {
    const KnownToken* known = known_token(*token);
    if (known == nullptr) return errors::invalid_auth_token();
    return known->caller;
  }
  if (!options_.login.certificates_name_users) return Caller{};
  // A gateway's certificate is not that of whoever calls through it.
  std::optional<std::string> name = call.client_common_name();
  if (!name || call.metadata_view(kGatewayHeader)) return Caller{};
  return Caller{*std::move(name), auth().revision()};
}

bool LoopState::is_ahead(const net::GrpcCall& call) {
  crypto::Tokens* const tokens = options_.login.tokens;
  const std::optional<BytesView> token = token_of(call);
  if (!token || tokens == nullptr || tokens->are_signed()) return false;
  if (known_token(*token) != nullptr) return false;
  const std::optional<std::uint64_t> index = crypto::token_index(*token);
  const auto view = node_.views().get();
  return index && (view == nullptr || *index >= view->applied_index.value);
}

absl::Status LoopState::authorize(const net::GrpcCall& call, Access access) {
  if (access == Access::kAnybody || !auth_enabled()) return absl::OkStatus();
  const absl::StatusOr<Caller> who = caller(call);
  if (!who.ok()) return who.status();
  if (access == Access::kAdministrators) return auth().check_admin(who->identity());
  return who->is_known() ? absl::OkStatus() : errors::user_empty();
}

absl::Status LoopState::check_read(const net::GrpcCall& call, BytesView key, BytesView range_end) {
  if (!auth_enabled()) return absl::OkStatus();
  const absl::StatusOr<Caller> who = caller(call);
  return who.ok() ? auth().check_read(who->identity(), key, range_end) : who.status();
}

absl::Status LoopState::check_same_auth(std::uint64_t version) const {
  if (!auth_enabled() || node_.auth().version() == version) return absl::OkStatus();
  return errors::auth_old_revision();
}

// --- proposals ----------------------------------------------------------------------------------

absl::StatusOr<Caller> LoopState::sender(const net::GrpcCall& call, codec::CommandField field) {
  // A login is nobody's yet.
  if (!auth_enabled() || field == codec::CommandField::kAuthenticate) return Caller{};
  return caller(call);
}

absl::StatusOr<Bytes> LoopState::make_entry(const absl::StatusOr<Caller>& who, std::uint64_t id,
                                            codec::CommandField field, BytesView request) {
  absl::Status status = who.status();
  if (status.ok()) {
    const codec::Sender sender = {who->user, who->auth_revision};
    if (codec::internal_size_bytes(id, field, request.size(), sender) <=
        options_.max_request_bytes) {
      return codec::encode_internal(id, field, request, sender);
    }
    status = errors::request_too_large();
  }
  report_proposal(field, loop_.now(), false);
  return status;
}

void LoopState::report_proposal(codec::CommandField field, net::EventLoop::Clock::time_point since,
                                bool applied) {
  observer_.proposal_finished(loop_.index(), field, loop_.now() - since, applied);
}

void LoopState::propose(net::CallRef call, codec::CommandField field, BytesView request,
                        Encode encode, AnswerBound bound) {
  const std::uint64_t id = node_.next_request_id();
  absl::StatusOr<Bytes> entry = make_entry(sender(*call, field), id, field, request);
  if (!entry.ok()) return call->finish(entry.status());
  proposals_.push_back(
      {.id = id,
       .entry = *std::move(entry),
       .done =
           [this, call = std::move(call), encode, field, since = loop_.now(),
            held = std::move(bound.held), until_taken = bound.until_taken](node::Applied applied) {
             report_proposal(field, since, applied.index.value != 0);
             if (!applied.outcome.status.ok()) {
               return call->finish(applied.outcome.status);
             }
             if (!call->active()) return;
             net::Message message = encode(*this, applied);
             if (until_taken) message = hold(message.take_head(), held);
             call->send_and_finish(std::move(message));
           },
       .max_answer_bytes = bound.max_pair_bytes});
}

void LoopState::propose(net::CallRef call, codec::CommandField field, BytesView request,
                        Done done) {
  const absl::StatusOr<Caller> who = sender(*call, field);
  submit(who, field, request,
         [call = std::move(call), done = std::move(done)](node::Applied applied) mutable {
           if (!applied.outcome.status.ok()) return call->finish(applied.outcome.status);
           done(std::move(call), std::move(applied));
         });
}

void LoopState::submit(const absl::StatusOr<Caller>& who, codec::CommandField field,
                       BytesView request, node::ProposalDone done) {
  const std::uint64_t id = node_.next_request_id();
  absl::StatusOr<Bytes> entry = make_entry(who, id, field, request);
  if (!entry.ok()) {
    node::Applied refused;
    refused.outcome.status = entry.status();
    return done(std::move(refused));
  }
  proposals_.push_back({.id = id,
                        .entry = *std::move(entry),
                        .done = [this, done = std::move(done), field,
                                 since = loop_.now()](node::Applied applied) mutable {
                          report_proposal(field, since, applied.index.value != 0);
                          done(std::move(applied));
                        }});
}

LeaseId LoopState::choose_lease_id() {
  std::int64_t id = 0;
  while (id == 0) id = static_cast<std::int64_t>(node_.next_request_id() & INT64_MAX);
  return LeaseId(id);
}

bool LoopState::is_readable_now(bool serializable) {
  const auto current = reader();
  const std::uint64_t enough =
      node::Node::kViewIsLinearizable | (serializable ? node::Node::kViewHasState : 0);
  return current.ok() && ((*current)->view().flags & enough) != 0;
}

void LoopState::when_linearizable(absl::AnyInvocable<void(absl::Status)> ready) {
  when_readable(/*serializable=*/false, std::move(ready));
}

void LoopState::when_readable(bool serializable, absl::AnyInvocable<void(absl::Status)> ready) {
  if (is_readable_now(serializable)) return ready(absl::OkStatus());
  waiting_reads_.push_back(std::move(ready));
}

void LoopState::end_turn() {
  if (!proposals_.empty()) node_.propose(std::exchange(proposals_, {}), *this);
  if (waiting_reads_.empty()) return;
  node_.read_index(
      [batch = std::exchange(waiting_reads_, {})](absl::Status status) mutable {
        for (auto& ready : batch) ready(status);
      },
      *this);
}

bool LoopState::has_leader() {
  look_at_status(kStatusAge);
  if (!status_.leader) look_at_status({});
  return static_cast<bool>(status_.leader);
}

bool LoopState::is_learner() {
  look_at_status(kStatusAge);
  if (status_.is_learner) look_at_status({});
  return status_.is_learner;
}

void LoopState::look_at_status(net::EventLoop::Clock::duration max_age) {
  const bool seen = status_at_ != net::EventLoop::Clock::time_point{};
  if (seen && loop_.now() - status_at_ < max_age) return;
  status_ = node_.status();
  status_at_ = loop_.now();
}

}  // namespace holdfast::rpc
