#include "datastore/crypto/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace holdfast::crypto {

std::optional<std::string> address_bytes(std::string_view text) {
  const std::string copy(text);
  in_addr v4{};
  if (::inet_pton(AF_INET, copy.c_str(), &v4) == 1) {
    return std::string(reinterpret_cast<const char*>(&v4), sizeof v4);
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, copy.c_str(), &v6) == 1) {
    return std::string(reinterpret_cast<const char*>(&v6), sizeof v6);
  }
  return std::nullopt;
}

std::string address_text(std::string_view bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  if (bytes.size() == sizeof(in_addr)) return ::inet_ntop(AF_INET, bytes.data(), text, sizeof text);
  if (bytes.size() == sizeof(in6_addr)) {
    return ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  }
  return "";
}

}  // namespace holdfast::crypto
