#include "datastore/codec/member_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace holdfast::codec {
namespace {

using nlohmann::json;

/// A JSON string as Go's encoder writes it: <, > and & are escaped too, invalid UTF-8 replaced.
std::string quote(const std::string& text) {
  const std::string plain = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  std::string out;
  for (char c : plain) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string quote_list(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& element : list) {
    if (out.size() > 1) out += ',';
    out += quote(element);
  }
  return out + "]";
}

absl::Status bad_member(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("member JSON: ", why));
}

absl::StatusOr<json> parse(BytesView text) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return bad_member("not an object");
  return parsed;
}

absl::Status read_list(const json& object, const char* name, std::vector<std::string>* out) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return absl::OkStatus();
  if (!found->is_array()) return bad_member(absl::StrCat(name, " is not a list"));
  for (const json& element : *found) {
    if (!element.is_string()) return bad_member(absl::StrCat(name, " holds a non-string"));
    out->push_back(element.get<std::string>());
  }
  return absl::OkStatus();
}

}  // namespace

Bytes encode_member_json(const Member& member) {
  std::string out = absl::StrCat("{\"id\":", member.id.value, ",\"peerURLs\":",
                                 member.peer_urls.empty() ? "null" : quote_list(member.peer_urls));
  if (member.is_learner) out += ",\"isLearner\":true";
  if (!member.name.empty()) absl::StrAppend(&out, ",\"name\":", quote(member.name));
  if (!member.client_urls.empty()) {
    absl::StrAppend(&out, ",\"clientURLs\":", quote_list(member.client_urls));
  }
  return out + "}";
}

absl::StatusOr<Member> decode_member_json(BytesView text) {
  absl::StatusOr<json> object = parse(text);
  if (!object.ok()) return object.status();
  Member member;
  const auto id = object->find("id");
  if (id == object->end() || !id->is_number_unsigned()) return bad_member("no numeric id");
  member.id = MemberId(id->get<std::uint64_t>());
  if (absl::Status s = read_list(*object, "peerURLs", &member.peer_urls); !s.ok()) return s;
  if (absl::Status s = read_list(*object, "clientURLs", &member.client_urls); !s.ok()) return s;
  if (const auto name = object->find("name"); name != object->end() && name->is_string()) {
    member.name = name->get<std::string>();
  }
  const auto learner = object->find("isLearner");
  member.is_learner = learner != object->end() && learner->is_boolean() && learner->get<bool>();
  return member;
}

Bytes encode_promotion_json(MemberId id) {
  return absl::StrCat("{\"id\":", id.value, ",\"peerURLs\":null,\"isPromote\":true}");
}

absl::StatusOr<bool> is_promotion_json(BytesView text) {
  absl::StatusOr<json> object = parse(text);
  if (!object.ok()) return object.status();
  const auto promote = object->find("isPromote");
  return promote != object->end() && promote->is_boolean() && promote->get<bool>();
}

}  // namespace holdfast::codec
