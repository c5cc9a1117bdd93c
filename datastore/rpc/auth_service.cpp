#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "datastore/base/errors.h"
#include "datastore/codec/auth_requests.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using codec::CommandField;
using node::Applied;

codec::ResponseHeader header_of(const LoopState& state, const Applied& applied) {
  return state.header(applied.outcome.revision, applied.term);
}

// --- what is asked and answered as it is --------------------------------------------------------

net::Message encode_header_only(LoopState& state, const Applied& applied) {
  return codec::encode_header_only(header_of(state, applied));
}

net::Message encode_status(LoopState& state, const Applied& applied) {
  const auto& status = std::get<statemachine::AuthStatusOutcome>(applied.outcome.body);
  etcdserverpb::AuthStatusResponse response;
  fill(header_of(state, applied), response.mutable_header());
  response.set_enabled(status.enabled);
  response.set_authrevision(status.revision);
  return response.SerializeAsString();
}

/// Users, roles, or one user's roles: the messages differ by name alone.
net::Message encode_names(LoopState& state, const Applied& applied) {
  const auto& answer = std::get<statemachine::NamesOutcome>(applied.outcome.body);
  etcdserverpb::AuthRoleListResponse response;
  fill(header_of(state, applied), response.mutable_header());
  for (const Bytes& name : answer.names) response.add_roles(name);
  return response.SerializeAsString();
}

net::Message encode_role(LoopState& state, const Applied& applied) {
  const auto& role = std::get<statemachine::RoleGetOutcome>(applied.outcome.body);
  etcdserverpb::AuthRoleGetResponse response;
  fill(header_of(state, applied), response.mutable_header());
  for (const auth::Permission& each : role.permissions) {
    auto* permission = response.add_perm();
    permission->set_permtype(static_cast<authpb::Permission_Type>(each.type));
    permission->set_key(each.key);
    permission->set_range_end(each.range_end);
  }
  return response.SerializeAsString();
}

/// A method whose request goes into the log as it came. It is parsed first: names that are not
/// UTF-8 stop members of etcd's.
template <class Request>
void add_logged(net::GrpcServices& services, Loops& loops, std::string_view path,
                CommandField field, LoopState::Encode encode) {
  add_parsed<Request>(services, loops, path,
                      [field, encode](LoopState& state, net::CallRef call, const Request& request) {
                        state.propose(std::move(call), field, request.SerializeAsString(), encode);
                      });
}

// --- passwords ----------------------------------------------------------------------------------

/// Runs `work` on the pool for what takes long; the call is refused if too many wait there.
void compute(LoopState& state, const net::CallRef& call, absl::AnyInvocable<void()> work) {
  crypto::PasswordPool* const pool = state.options().login.passwords;
  if (pool == nullptr || !pool->submit(std::move(work))) {
    call->finish(errors::too_many_requests());
  }
}

/// Puts the hash in the place of the request's password, and the request into the log.
template <class Request>
void hash_and_propose(LoopState& state, net::CallRef call, CommandField field, Request request) {
  crypto::Tokens* const tokens = state.options().login.tokens;
  if (tokens == nullptr) return call->finish(errors::too_many_requests());
  auto shared = std::make_shared<Request>(std::move(request));
  const net::CallRef waiting = call;
  compute(state, waiting,
          [&state, field, shared, salt = tokens->new_salt(), call = std::move(call)] {
            auto hash =
                crypto::hash_password(shared->password(), state.options().login.bcrypt_cost, salt);
            state.post([&state, field, shared, call, hash = std::move(hash)] {
              if (!call->active()) return;
              if (!hash.ok()) return call->finish(hash.status());
              shared->set_hashedpassword(absl::Base64Escape(*hash));
              shared->clear_password();
              state.propose(call, field, shared->SerializeAsString(), encode_header_only);
            });
          });
}

/// Whoever may not is told before anything is computed for them; apply asks again.
void add_user(LoopState& state, net::CallRef call, etcdserverpb::AuthUserAddRequest request) {
  if (!request.options().no_password()) {
    return hash_and_propose(state, std::move(call), CommandField::kUserAdd, std::move(request));
  }
  request.clear_password();  // it would only lie in the log
  state.propose(std::move(call), CommandField::kUserAdd, request.SerializeAsString(),
                encode_header_only);
}

void change_password(LoopState& state, net::CallRef call,
                     etcdserverpb::AuthUserChangePasswordRequest request) {
  if (!request.password().empty()) {
    return hash_and_propose(state, std::move(call), CommandField::kUserChangePassword,
                            std::move(request));
  }
  state.propose(std::move(call), CommandField::kUserChangePassword, request.SerializeAsString(),
                encode_header_only);
}

// --- logging in ---------------------------------------------------------------------------------

/// One login: the password is checked here, and the log then gives the token to every member. If
/// users changed in between, the password may be another: it is checked again.
class Login : public std::enable_shared_from_this<Login> {
 public:
  Login(LoopState& state, net::CallRef call, etcdserverpb::AuthenticateRequest request)
      : state_(state), call_(std::move(call)), request_(std::move(request)) {}

  void start() {
    state_.when_linearizable([self = shared_from_this()](absl::Status status) {
      if (!status.ok()) return self->call_->finish(status);
      self->check();
    });
  }

 private:
  static constexpr int kMaxAttempts = 8;

  void check() {
    if (!call_->active()) return;
    if (++attempts_ > kMaxAttempts) return call_->finish(errors::auth_old_revision());
    const auth::AuthState& auth = state_.auth();
    if (!auth.enabled()) return call_->finish(errors::auth_not_enabled());
    const auth::AuthState::UserEntry* found = auth.find_user(request_.name());
    if (found == nullptr) return refuse(errors::auth_failed());
    if (found->user.no_password.value_or(false)) return refuse(errors::no_password_user());
    checked_revision_ = auth.revision();
    compute(state_, call_, [self = shared_from_this(), hash = found->user.password_hash] {
      const bool fits = crypto::check_password(self->request_.password(), hash);
      self->state_.post([self, fits] {
        if (!fits) return self->refuse(errors::auth_failed());
        self->propose();
      });
    });
  }

  void refuse(const absl::Status& why) {
    state_.observer().login_refused(request_.name(), why);
    call_->finish(why);
  }

  void propose() {
    if (!call_->active()) return;
    const Bytes prefix = state_.options().login.tokens->new_prefix();
    const Bytes entry =
        codec::encode_authenticate({.name = request_.name(), .simple_token = prefix});
    state_.propose(call_, CommandField::kAuthenticate, entry,
                   [self = shared_from_this()](net::CallRef, Applied applied) {
                     if (self->call_->active()) self->on_applied(std::move(applied));
                   });
  }

  void on_applied(Applied applied) {
    auto& login = std::get<statemachine::AuthenticateOutcome>(applied.outcome.body);
    // etcd compares with the newest revision, which may be a later one still.
    if (state_.auth().revision() != checked_revision_) return check();
    const codec::ResponseHeader header = header_of(state_, applied);
    crypto::Tokens* const tokens = state_.options().login.tokens;
    if (!tokens->are_signed()) return answer(header, login.simple_token);
    compute(state_, call_, [self = shared_from_this(), tokens, header, login = std::move(login)] {
      auto token = tokens->sign({.user = login.user, .auth_revision = login.auth_revision});
      self->state_.post([self, header, token = std::move(token)] {
        if (!token.ok()) return self->call_->finish(token.status());
        self->answer(header, *token);
      });
    });
  }

  void answer(const codec::ResponseHeader& header, const Bytes& token) {
    etcdserverpb::AuthenticateResponse response;
    fill(header, response.mutable_header());
    response.set_token(token);
    send_and_finish(call_, response);
  }

  LoopState& state_;
  const net::CallRef call_;
  const etcdserverpb::AuthenticateRequest request_;
  std::uint64_t checked_revision_ = 0;
  int attempts_ = 0;
};

void authenticate(LoopState& state, net::CallRef call,
                  const etcdserverpb::AuthenticateRequest& request) {
  if (state.options().login.tokens == nullptr) return call->finish(errors::auth_not_enabled());
  std::make_shared<Login>(state, std::move(call), request)->start();
}

}  // namespace

void register_auth(net::GrpcServices& services, Loops& loops) {
  namespace pb = etcdserverpb;
  const auto logged = [&]<class Request>(std::type_identity<Request>, std::string_view path,
                                         CommandField field, LoopState::Encode encode) {
    add_logged<Request>(services, loops, path, field, encode);
  };
  constexpr auto kDone = encode_header_only;
  logged(std::type_identity<pb::AuthEnableRequest>(), "/etcdserverpb.Auth/AuthEnable",
         CommandField::kAuthEnable, kDone);
  logged(std::type_identity<pb::AuthDisableRequest>(), "/etcdserverpb.Auth/AuthDisable",
         CommandField::kAuthDisable, kDone);
  logged(std::type_identity<pb::AuthStatusRequest>(), "/etcdserverpb.Auth/AuthStatus",
         CommandField::kAuthStatus, encode_status);
  add_parsed<pb::AuthenticateRequest>(services, loops, "/etcdserverpb.Auth/Authenticate",
                                      authenticate);
  add_parsed<pb::AuthUserAddRequest>(services, loops, "/etcdserverpb.Auth/UserAdd", add_user,
                                     Learners::kRefuse, Access::kAdministrators);
  logged(std::type_identity<pb::AuthUserGetRequest>(), "/etcdserverpb.Auth/UserGet",
         CommandField::kUserGet, encode_names);
  logged(std::type_identity<pb::AuthUserListRequest>(), "/etcdserverpb.Auth/UserList",
         CommandField::kUserList, encode_names);
  logged(std::type_identity<pb::AuthUserDeleteRequest>(), "/etcdserverpb.Auth/UserDelete",
         CommandField::kUserDelete, kDone);
  add_parsed<pb::AuthUserChangePasswordRequest>(
      services, loops, "/etcdserverpb.Auth/UserChangePassword", change_password, Learners::kRefuse,
      Access::kAdministrators);
  logged(std::type_identity<pb::AuthUserGrantRoleRequest>(), "/etcdserverpb.Auth/UserGrantRole",
         CommandField::kUserGrantRole, kDone);
  logged(std::type_identity<pb::AuthUserRevokeRoleRequest>(), "/etcdserverpb.Auth/UserRevokeRole",
         CommandField::kUserRevokeRole, kDone);
  logged(std::type_identity<pb::AuthRoleAddRequest>(), "/etcdserverpb.Auth/RoleAdd",
         CommandField::kRoleAdd, kDone);
  logged(std::type_identity<pb::AuthRoleGetRequest>(), "/etcdserverpb.Auth/RoleGet",
         CommandField::kRoleGet, encode_role);
  logged(std::type_identity<pb::AuthRoleListRequest>(), "/etcdserverpb.Auth/RoleList",
         CommandField::kRoleList, encode_names);
  logged(std::type_identity<pb::AuthRoleDeleteRequest>(), "/etcdserverpb.Auth/RoleDelete",
         CommandField::kRoleDelete, kDone);
  logged(std::type_identity<pb::AuthRoleGrantPermissionRequest>(),
         "/etcdserverpb.Auth/RoleGrantPermission", CommandField::kRoleGrantPermission, kDone);
  logged(std::type_identity<pb::AuthRoleRevokePermissionRequest>(),
         "/etcdserverpb.Auth/RoleRevokePermission", CommandField::kRoleRevokePermission, kDone);
}

}  // namespace holdfast::rpc
