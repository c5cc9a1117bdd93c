// Authentication: who may run a command, and the commands about users and roles.

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/statemachine/permits.h"
#include "datastore/statemachine/statemachine.h"

namespace holdfast::statemachine {
namespace {

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

ports::Bucket bucket_of(auth::Write::Place place) {
  switch (place) {
    case auth::Write::Place::kUsers:
      return ports::Bucket::kAuthUsers;
    case auth::Write::Place::kRoles:
      return ports::Bucket::kAuthRoles;
    case auth::Write::Place::kAuth:
      break;
  }
  return ports::Bucket::kAuth;
}

template <class Named>
NamesOutcome names_of(const Named& all) {
  NamesOutcome outcome;
  for (const auto& [name, entry] : all) outcome.names.push_back(name);
  return outcome;
}

}  // namespace

// --- who may ------------------------------------------------------------------------------------

/// Grants, compactions, alarms and checkpoints are the door's to check (etcd-facts 3.10).
absl::Status StateMachine::authorize(const Command& command) const {
  const auth::Identity who{command.username, command.auth_revision};
  const Permits permits(auth_.current(), who, &lessor_);
  return std::visit(Overloaded{
                        [&](const RangeRequest& request) { return permits.check(request); },
                        [&](const PutRequest& request) { return permits.check(request); },
                        [&](const DeleteRangeRequest& request) { return permits.check(request); },
                        [&](const TxnRequest& request) { return permits.check(request); },
                        [&](const LeaseRevokeRequest& request) { return permits.check(request); },
                        [&](const AuthRequest& request) { return authorize(who, request); },
                        [](const auto&) { return absl::OkStatus(); },
                    },
                    command.body);
}

/// Users may ask about themselves and about roles they have; the rest is an administrator's.
absl::Status StateMachine::authorize(const auth::Identity& who, const AuthRequest& request) const {
  const auth::AuthState& state = auth_.current();
  const bool is_anybodys =
      std::visit(Overloaded{
                     [](const AuthenticateRequest&) { return true; },
                     [](const AuthStatusRequest&) { return true; },
                     [&](const UserGetRequest& get) { return get.name == who.name; },
                     [&](const RoleGetRequest& get) {
                       const auth::AuthState::UserEntry* user = state.find_user(who.name);
                       return user != nullptr && user->user.has_role(get.role);
                     },
                     [](const auto&) { return false; },
                 },
                 request.body);
  return is_anybodys ? absl::OkStatus() : state.check_admin(who);
}

// --- what is done -------------------------------------------------------------------------------

void StateMachine::persist(const auth::Writes& writes) {
  for (const auth::Write& write : writes) {
    store_->stage(bucket_of(write.place), write.key, write.value);
  }
}

absl::Status StateMachine::run(const AuthRequest& request, Outcome& outcome) {
  const absl::StatusOr<auth::Writes> changed = change(request);
  if (absl::IsUnimplemented(changed.status())) {
    return absl::UnimplementedError(absl::StrCat(
        "statemachine: the log's entry ", applied_index_.value, ": ", changed.status().message()));
  }
  outcome.status = changed.ok() ? answer(request, outcome.body) : changed.status();
  if (changed.ok()) persist(*changed);
  return absl::OkStatus();
}

/// What a command changes; nothing for those that only ask.
absl::StatusOr<auth::Writes> StateMachine::change(const AuthRequest& request) {
  using Changed = absl::StatusOr<auth::Writes>;
  return std::visit(
      Overloaded{
          [&](const AuthEnableRequest&) -> Changed { return auth_.enable(); },
          [&](const AuthDisableRequest&) -> Changed { return auth_.disable(); },
          [&](const UserAddRequest& r) -> Changed { return auth_.add_user(r.user); },
          [&](const UserDeleteRequest& r) -> Changed { return auth_.delete_user(r.name); },
          [&](const UserChangePasswordRequest& r) -> Changed {
            return auth_.change_password(r.name, r.password);
          },
          [&](const UserGrantRoleRequest& r) -> Changed {
            return auth_.grant_role(r.user, r.role);
          },
          [&](const UserRevokeRoleRequest& r) -> Changed {
            return auth_.revoke_role(r.user, r.role);
          },
          [&](const RoleAddRequest& r) -> Changed { return auth_.add_role(r.name); },
          [&](const RoleDeleteRequest& r) -> Changed { return auth_.delete_role(r.role); },
          [&](const RoleGrantPermissionRequest& r) -> Changed {
            return auth_.grant_permission(r.role, r.permission);
          },
          [&](const RoleRevokePermissionRequest& r) -> Changed {
            return auth_.revoke_permission(r.role, r.key, r.range_end);
          },
          [](const auto&) -> Changed { return auth::Writes(); },
      },
      request.body);
}

absl::Status StateMachine::answer(const AuthRequest& request, OutcomeBody& body) const {
  const std::shared_ptr<const auth::AuthState> state = auth_.state();
  if (std::holds_alternative<AuthStatusRequest>(request.body)) {
    body = AuthStatusOutcome{state->enabled(), state->revision()};
  } else if (const auto* login = std::get_if<AuthenticateRequest>(&request.body)) {
    if (!state->enabled()) return errors::auth_not_enabled();
    const auth::AuthState::UserEntry* found = state->find_user(login->name);
    if (found == nullptr || found->user.no_password.value_or(false)) return errors::auth_failed();
    AuthenticateOutcome outcome{.user = found->user.name, .auth_revision = state->revision()};
    // etcd's members name the token by the entry before, the newest they have finished with.
    if (!login->simple_token.empty()) {
      outcome.simple_token =
          absl::StrCat(Bytes(login->simple_token), ".", applied_index_.value - 1);
    }
    body = std::move(outcome);
  } else if (const auto* user = std::get_if<UserGetRequest>(&request.body)) {
    const auth::AuthState::UserEntry* found = state->find_user(user->name);
    if (found == nullptr) return errors::user_not_found();
    body = NamesOutcome{found->user.roles};
  } else if (std::holds_alternative<UserListRequest>(request.body)) {
    body = names_of(state->users());
  } else if (std::holds_alternative<RoleListRequest>(request.body)) {
    body = names_of(state->roles());
  } else if (const auto* role = std::get_if<RoleGetRequest>(&request.body)) {
    const auth::Role* found = state->find_role(role->role);
    if (found == nullptr) return errors::role_not_found();
    RoleGetOutcome outcome{found->permissions};
    if (found->name == auth::kRoot) {
      // Whatever was granted to it: it may everything.
      constexpr auto kBoth = static_cast<std::int32_t>(auth::PermissionType::kReadWrite);
      outcome.permissions = {{.type = kBoth, .key = {}, .range_end = Bytes(1, '\0')}};
    }
    body = std::move(outcome);
  }
  return absl::OkStatus();
}

}  // namespace holdfast::statemachine
