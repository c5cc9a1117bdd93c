#include <string>

#include "operator/member/client.h"
#include "operator/member/connection.h"

/// Calls to etcd's Auth service.
namespace holdfast::member {

namespace {

constexpr char kRoot[] = "root";

absl::Status unless(const absl::Status& status, std::string_view already_so) {
  return says(status, already_so) ? absl::OkStatus() : status;
}

/// One call of a change: method of the stub, its request.
template <class Request, class Response>
absl::Status ask(const Client::Connection& to,
                 grpc::Status (pb::Auth::Stub::*method)(grpc::ClientContext*, const Request&,
                                                        Response*),
                 const Request& request) {
  return to.change(to.timeouts.change, [&](const Line& line, auto* context) {
    Response response;
    return (line.auth.get()->*method)(context, request, &response);
  });
}

absl::Status add_root(const Client::Connection& to, const std::string& password) {
  pb::AuthUserAddRequest request;
  request.set_name(kRoot);
  request.set_password(password);
  return ask(to, &pb::Auth::Stub::UserAdd, request);
}

absl::Status add_role(const Client::Connection& to) {
  pb::AuthRoleAddRequest request;
  request.set_name(kRoot);
  return unless(ask(to, &pb::Auth::Stub::RoleAdd, request), "etcdserver: role name already exists");
}

absl::Status grant_role(const Client::Connection& to) {
  pb::AuthUserGrantRoleRequest request;
  request.set_user(kRoot);
  request.set_role(kRoot);
  return ask(to, &pb::Auth::Stub::UserGrantRole, request);
}

}  // namespace

absl::Status Client::prepare_root(const std::string& password) const {
  absl::Status status = add_root(*connection_, password);
  if (says(status, "etcdserver: user name already exists")) status = change_root_password(password);
  if (status.ok()) status = add_role(*connection_);
  if (status.ok()) status = grant_role(*connection_);
  return status;
}

absl::Status Client::change_root_password(const std::string& password) const {
  pb::AuthUserChangePasswordRequest request;
  request.set_name(kRoot);
  request.set_password(password);
  return ask(*connection_, &pb::Auth::Stub::UserChangePassword, request);
}

absl::Status Client::enable_auth() const {
  return ask(*connection_, &pb::Auth::Stub::AuthEnable, pb::AuthEnableRequest());
}

absl::Status Client::disable_auth() const {
  return ask(*connection_, &pb::Auth::Stub::AuthDisable, pb::AuthDisableRequest());
}

}  // namespace holdfast::member
