#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "datastore/statemachine/cluster_state.h"
#include "datastore/statemachine/command.h"

namespace holdfast::statemachine {

/// Commands as a person writes them, a line each; `txn` goes on to its `end`:
///
///   put KEY VALUE [lease=N] [prev] [ignore_value] [ignore_lease]
///   del KEY [END] [prev]           END \0: everything from KEY on; "" is the empty string
///   range KEY [END] [rev=N] [limit=N] [order=N] [target=N] [count] [keys]
///   txn / if TARGET KEY[..END] OP OPERAND / then / OPS / else / OPS / end
///   compact N · grant ID TTL · revoke ID · checkpoint ID TTL
///   alarm get|on|off TYPE MEMBER · version V · downgrade on|off [V] · attrs ID NAME URL
///   auth enable|disable|status · login NAME [PREFIX] · user add NAME [HASH] · user addcert NAME
///   user get|delete NAME · user list · user passwd NAME HASH · user grant|revoke NAME ROLE
///   role add|get|delete NAME · role list · role grant NAME read|write|both|odd KEY [END] ·
///   role grantnothing NAME · role revoke NAME KEY [END]
///
/// `as USER@REVISION COMMAND` is a command of that user's.
class Script {
 public:
  explicit Script(std::vector<std::string> lines) : lines_(std::move(lines)) {}

  bool done() const { return at_ == lines_.size(); }
  const std::string& line() const { return lines_[at_]; }
  void skip() { ++at_; }

  /// The command at the current line, which it passes. Its views live as long as the script.
  Command next() {
    Command command;
    if (const Words words = split(line()); words[0] == "as") {
      const std::size_t at = words.at(1).find('@');
      command.username = keep(words[1].substr(0, at));
      command.auth_revision = std::stoull(words[1].substr(at + 1));
      lines_[at_].erase(0, lines_[at_].find(words[1]) + words[1].size() + 1);
    }
    RequestOp op = next_op();
    if (auto* range = std::get_if<RangeRequest>(&op)) {
      command.body = *range;
    } else if (auto* put = std::get_if<PutRequest>(&op)) {
      command.body = *put;
    } else if (auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
      command.body = *erase;
    } else if (auto* txn = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
      command.body = std::move(**txn);
    } else {
      command.body = other();
    }
    return command;
  }

 private:
  using Words = std::vector<std::string>;

  static Words split(const std::string& line) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
  }

  BytesView keep(const std::string& word) {
    if (word == "\"\"") return "";
    if (word == "\\0") return keep_.emplace_back(1, '\0');
    return keep_.emplace_back(word);
  }

  static std::optional<std::int64_t> option(const Words& words, const std::string& name) {
    for (const std::string& word : words) {
      if (word.rfind(name + "=", 0) == 0) return std::stoll(word.substr(name.size() + 1));
    }
    return std::nullopt;
  }
  static bool flag(const Words& words, const std::string& name) {
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (words[i] == name) return true;
    }
    return false;
  }
  static bool is_option(const std::string& word) {
    static const char* const flags[] = {"prev", "ignore_value", "ignore_lease", "count", "keys"};
    for (const char* name : flags) {
      if (word == name) return true;
    }
    return word.find('=') != std::string::npos;
  }

  KeyRange range(const Words& words) {
    KeyRange range{.key = keep(words.at(1)), .end = {}};
    if (words.size() > 2 && !is_option(words[2])) range.end = keep(words[2]);
    return range;
  }

  /// monostate for a command that is no operation of a transaction; it is not passed then.
  RequestOp next_op() {
    const Words words = split(line());
    if (words[0] == "put") {
      skip();
      return PutRequest{.key = keep(words.at(1)),
                        .value = keep(words.at(2)),
                        .lease = LeaseId(option(words, "lease").value_or(0)),
                        .prev_kv = flag(words, "prev"),
                        .ignore_value = flag(words, "ignore_value"),
                        .ignore_lease = flag(words, "ignore_lease")};
    }
    if (words[0] == "del") {
      skip();
      return DeleteRangeRequest{.range = range(words), .prev_kv = flag(words, "prev")};
    }
    if (words[0] == "range") {
      skip();
      return RangeRequest{
          .range = range(words),
          .limit = option(words, "limit").value_or(0),
          .revision = option(words, "rev").value_or(0),
          .sort_order = static_cast<std::int32_t>(option(words, "order").value_or(0)),
          .sort_target = static_cast<std::int32_t>(option(words, "target").value_or(0)),
          .keys_only = flag(words, "keys"),
          .count_only = flag(words, "count")};
    }
    if (words[0] == "txn") return txn();
    return std::monostate();
  }

  RequestOp txn() {
    auto txn = std::make_unique<TxnRequest>();
    std::vector<RequestOp>* branch = &txn->success;
    for (skip(); split(line())[0] != "end";) {
      const Words words = split(line());
      if (words[0] == "if") {
        txn->compare.push_back(compare(words));
        skip();
      } else if (words[0] == "then" || words[0] == "else") {
        branch = words[0] == "then" ? &txn->success : &txn->failure;
        skip();
      } else {
        branch->push_back(next_op());
      }
    }
    skip();
    return txn;
  }

  Compare compare(const Words& words) {
    static const std::vector<std::string> targets = {"version", "create", "mod", "value", "lease"};
    static const std::vector<std::string> results = {"=", ">", "<", "!="};
    Compare compare;
    compare.target = index_of(targets, words.at(1));
    compare.result = index_of(results, words.at(3));
    compare.operand_field = compare.target + 4;
    const std::size_t dots = words.at(2).find("..");
    compare.range.key = keep(words[2].substr(0, dots));
    if (dots != std::string::npos) compare.range.end = keep(words[2].substr(dots + 2));
    if (words[1] == "value") {
      compare.value = keep(words.at(4));
    } else {
      compare.number = std::stoll(words.at(4));
    }
    return compare;
  }

  static std::int32_t index_of(const std::vector<std::string>& names, const std::string& name) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) return static_cast<std::int32_t>(i);
    }
    throw std::invalid_argument("script: no such word: " + name);
  }

  CommandBody other() {
    const Words words = split(line());
    const auto number = [&](std::size_t i) { return std::stoll(words.at(i)); };
    skip();
    if (words[0] == "compact") return CompactionRequest{.revision = number(1)};
    if (words[0] == "grant") {
      return LeaseGrantRequest{.ttl_seconds = number(2), .id = LeaseId(number(1))};
    }
    if (words[0] == "revoke") return LeaseRevokeRequest{.id = LeaseId(number(1))};
    if (words[0] == "checkpoint") {
      return LeaseCheckpointRequest{
          .checkpoints = {{.id = LeaseId(number(1)), .remaining_ttl_seconds = number(2)}}};
    }
    if (words[0] == "alarm") {
      return AlarmRequest{.action = index_of({"get", "on", "off"}, words.at(1)),
                          .member = MemberId(static_cast<std::uint64_t>(number(3))),
                          .alarm = index_of({"none", "nospace", "corrupt"}, words.at(2))};
    }
    if (words[0] == "version") return ClusterVersionSetRequest{.version = keep(words.at(1))};
    if (words[0] == "downgrade") {
      return DowngradeInfoSetRequest{.enabled = words.at(1) == "on",
                                     .version = words.size() > 2 ? keep(words[2]) : BytesView()};
    }
    if (words[0] == "attrs") {
      return MemberAttributesSetRequest{.member = MemberId(static_cast<std::uint64_t>(number(1))),
                                        .name = keep(words.at(2)),
                                        .client_urls = {keep(words.at(3))}};
    }
    const auto text = [&](std::size_t i) {
      return i < words.size() ? keep(words[i]) : BytesView();
    };
    if (words[0] == "auth") {
      if (words.at(1) == "enable") return AuthRequest{AuthEnableRequest{}};
      if (words.at(1) == "disable") return AuthRequest{AuthDisableRequest{}};
      return AuthRequest{AuthStatusRequest{}};
    }
    if (words[0] == "login") {
      return AuthRequest{AuthenticateRequest{.name = text(1), .simple_token = text(2)}};
    }
    if (words[0] == "user") return user(words.at(1), text(2), text(3));
    if (words[0] == "role") return role(words.at(1), text(2), words);
    if (words[0] == "unsupported") {
      return UnsupportedRequest{.field = static_cast<std::uint32_t>(number(1))};
    }
    throw std::invalid_argument("script: no such command: " + words[0]);
  }

  static AuthRequest user(const std::string& what, BytesView name, BytesView second) {
    if (what == "add") {
      return {UserAddRequest{{.name = name, .password = {.clear = {}, .hashed = second}}}};
    }
    if (what == "addcert") return {UserAddRequest{{.name = name, .no_password = true}}};
    if (what == "get") return {UserGetRequest{name}};
    if (what == "list") return {UserListRequest{}};
    if (what == "delete") return {UserDeleteRequest{name}};
    if (what == "passwd") return {UserChangePasswordRequest{name, {.clear = {}, .hashed = second}}};
    if (what == "grant") return {UserGrantRoleRequest{name, second}};
    return {UserRevokeRoleRequest{name, second}};
  }

  AuthRequest role(const std::string& what, BytesView name, const Words& words) {
    if (what == "add") return {RoleAddRequest{name}};
    if (what == "get") return {RoleGetRequest{name}};
    if (what == "list") return {RoleListRequest{}};
    if (what == "delete") return {RoleDeleteRequest{name}};
    if (what == "grantnothing") return {RoleGrantPermissionRequest{name, std::nullopt}};
    const auto text = [&](std::size_t i) {
      return i < words.size() ? keep(words[i]) : BytesView();
    };
    if (what == "revoke") return {RoleRevokePermissionRequest{name, text(3), text(4)}};
    auth::Permission permission{.type = index_of({"read", "write", "both", "odd"}, words.at(3)),
                                .key = Bytes(text(4)),
                                .range_end = Bytes(text(5))};
    return {RoleGrantPermissionRequest{name, std::move(permission)}};
  }

  std::vector<std::string> lines_;
  std::size_t at_ = 0;
  std::deque<Bytes> keep_;
};

}  // namespace holdfast::statemachine
