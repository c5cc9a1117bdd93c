#include "datastore/net/grpc_services.h"

#include <algorithm>

#include "datastore/base/check.h"
#include "datastore/net/grpc_wire.h"
#include "datastore/net/text.h"

namespace holdfast::net {

MethodInfo& GrpcServices::add(std::string_view path, MethodKind kind) {
  const std::size_t slash = path.rfind('/');
  HOLDFAST_CHECK(path.size() > 1 && path.front() == '/' && slash != 0 && slash != path.npos);
  auto info = std::make_unique<MethodInfo>();
  info->service = path.substr(1, slash - 1);
  info->name = path.substr(slash + 1);
  info->path = path;
  info->kind = kind;
  services_.insert(info->service);
  const auto [entry, inserted] = methods_.try_emplace(info->path, std::move(info));
  HOLDFAST_CHECK(inserted);
  return *entry->second;
}

MethodInfo& GrpcServices::unary(std::string_view path, UnaryHandler handler) {
  MethodInfo& info = add(path, MethodKind::kUnary);
  info.unary = std::move(handler);
  return info;
}

MethodInfo& GrpcServices::stream(std::string_view path, MethodKind kind, HandlerFactory factory) {
  HOLDFAST_CHECK(kind != MethodKind::kUnary);
  MethodInfo& info = add(path, kind);
  info.factory = std::move(factory);
  return info;
}

const MethodInfo* GrpcServices::find(std::string_view path) const {
  const auto found = methods_.find(path);
  return found == methods_.end() ? nullptr : found->second.get();
}

absl::Status GrpcServices::unknown(std::string_view path) const {
  const std::size_t slash = path.rfind('/');
  if (path.empty() || path.front() != '/' || slash == 0) {
    return absl::UnimplementedError(concat("malformed method name: ", go_quote(path)));
  }
  const std::string_view service = path.substr(1, slash - 1);
  if (!services_.contains(service)) {
    return absl::UnimplementedError(concat("unknown service ", service));
  }
  return absl::UnimplementedError(
      concat("unknown method ", path.substr(slash + 1), " for service ", service));
}

std::vector<std::string> GrpcServices::service_names() const {
  std::vector<std::string> names(services_.begin(), services_.end());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace holdfast::net
