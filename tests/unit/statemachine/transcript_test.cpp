// Runs each file of tests/testdata/statemachine: blocks of commands (script.h), a line of dashes
// and what they answered. With HOLDFAST_REWRITE_TRANSCRIPTS set the answers are written anew;
// review the diff.
//
// Beside script.h's commands: conf add|learner|update|promote|remove ID [URL] changes the members,
// restart drains and opens anew, compactions carries compactions out, show prints the state.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "datastore/mvcc/key_value.h"
#include "tests/unit/statemachine/machine_fixture.h"
#include "tests/unit/statemachine/script.h"

namespace holdfast::statemachine {
namespace {

class Printer {
 public:
  void kv(const std::string& indent, BytesView bytes) {
    const auto kv = mvcc::parse_key_value(bytes);
    ASSERT_TRUE(kv.has_value());
    out_ << indent << kv->key << "=" << kv->value << " create " << kv->create_revision << " mod "
         << kv->mod_revision << " version " << kv->version;
    if (kv->lease != 0) out_ << " lease " << kv->lease;
    out_ << "\n";
  }
  void operator()(const RangeOutcome& range) {
    out_ << indent_ << "count " << range.count << (range.more ? " more" : "") << "\n";
    for (const Bytes& bytes : range.kvs) kv(indent_ + "  ", bytes);
  }
  void operator()(const PutOutcome& put) {
    out_ << indent_ << "put\n";
    if (put.prev_kv) kv(indent_ + "  previous ", *put.prev_kv);
  }
  void operator()(const DeleteRangeOutcome& deleted) {
    out_ << indent_ << "deleted " << deleted.deleted << "\n";
    for (const Bytes& bytes : deleted.prev_kvs) kv(indent_ + "  previous ", bytes);
  }
  void operator()(const TxnOutcome& txn) {
    out_ << indent_ << (txn.succeeded ? "then" : "else") << "\n";
    const std::string outer = indent_;
    indent_ += "  ";
    for (const OpOutcome& op : txn.responses) std::visit(*this, op);
    indent_ = outer;
  }
  void operator()(const std::unique_ptr<TxnOutcome>& txn) { (*this)(*txn); }
  void operator()(const CompactionOutcome&) { out_ << "compacted\n"; }
  void operator()(const LeaseGrantOutcome& lease) {
    out_ << "lease " << lease.id << " ttl " << lease.ttl_seconds << "\n";
  }
  void operator()(const AlarmOutcome& answer) {
    out_ << "alarms " << answer.alarms.size() << "\n";
    for (const auto& alarm : answer.alarms) {
      out_ << "  " << (alarm.type == AlarmType::kNoSpace ? "nospace" : "corrupt") << " member "
           << alarm.member << "\n";
    }
  }
  void operator()(const AuthStatusOutcome& status) {
    out_ << "auth " << (status.enabled ? "enabled" : "disabled") << " at " << status.revision
         << "\n";
  }
  void operator()(const AuthenticateOutcome& login) {
    out_ << "user " << login.user << " token " << login.simple_token << " at "
         << login.auth_revision << "\n";
  }
  void operator()(const NamesOutcome& answer) {
    out_ << "names";
    for (const Bytes& name : answer.names) out_ << " " << name;
    out_ << "\n";
  }
  void operator()(const RoleGetOutcome& role) {
    out_ << "permissions " << role.permissions.size() << "\n";
    for (const auth::Permission& each : role.permissions) {
      out_ << "  " << each.type << " " << shown(each.key) << " " << shown(each.range_end) << "\n";
    }
  }
  static Bytes shown(const Bytes& key) { return key == Bytes(1, '\0') ? "\\0" : key; }
  void operator()(std::monostate) { out_ << "ok\n"; }

  void outcome(const absl::StatusOr<Outcome>& outcome) {
    if (!outcome.ok()) {
      out_ << "STOP " << outcome.status().message() << "\n";
    } else if (!outcome->status.ok()) {
      out_ << "error " << outcome->status.message() << "\n";
    } else {
      out_ << "revision " << outcome->revision << " ";
      std::visit(*this, outcome->body);
    }
  }
  void events(const watch::EventBatch* batch) {
    if (batch == nullptr) return;
    for (const watch::Event& event : batch->events()) {
      out_ << "event " << (event.type == watch::EventType::kPut ? "put " : "delete ") << event.key
           << " at " << event.revision << "." << event.sub << (event.created ? " created" : "")
           << "\n";
    }
  }
  void state(MachineFixture& fixture) {
    StateMachine& machine = fixture.machine();
    out_ << "revision " << machine.store().revision() << " compacted "
         << machine.store().compact_revision() << " applied " << machine.applied_index() << "\n";
    for (const LeaseId id : machine.lessor().list()) {
      const auto record = machine.lessor().record_of(id);
      out_ << "lease " << id << " ttl " << record->ttl_seconds << " remaining "
           << record->remaining_ttl_seconds << " keys";
      for (const Bytes& key : machine.lessor().keys_of(id)) out_ << " " << key;
      out_ << "\n";
    }
    const auto cluster = machine.cluster();
    for (const auto& [id, member] : cluster->members) out_ << member_json(member) << "\n";
    for (const MemberId id : cluster->removed) out_ << "removed " << id << "\n";
    for (const auto& [type, member] : cluster->alarms) {
      out_ << "alarm " << static_cast<int>(type) << " member " << member << "\n";
    }
    out_ << "version " << cluster->version.value_or("none") << " downgrade "
         << downgrade_json(cluster->downgrade) << "\n";
    for (const char* name : {"confState", "storageVersion"}) {
      const auto value = machine.store().staged_or_stored(ports::Bucket::kMeta, name);
      if (value.ok()) out_ << name << " " << *value << "\n";
    }
  }
  std::string text() const { return out_.str(); }

 private:
  friend class Runner;
  std::ostringstream out_;
  std::string indent_;
};

class Runner {
 public:
  std::string run(const std::vector<std::string>& commands) {
    Printer printer;
    Script script(commands);
    while (!script.done()) step(script, printer);
    return printer.text();
  }

 private:
  void step(Script& script, Printer& printer) {
    std::istringstream words(script.line());
    std::string verb;
    words >> verb;
    if (verb == "restart") {
      script.skip();
      while (fixture_.drain()) {
      }
      fixture_.restart();
    } else if (verb == "compactions") {
      script.skip();
      fixture_.finish_compactions();
      fixture_.end_batch();
    } else if (verb == "show") {
      script.skip();
      printer.state(fixture_);
    } else if (verb == "conf") {
      script.skip();
      conf_change(words, printer);
    } else {
      printer.outcome(fixture_.apply(script.next()));
      printer.events(fixture_.events().get());
    }
  }

  void conf_change(std::istringstream& words, Printer& printer) {
    std::string kind;
    std::string url;
    std::uint64_t id = 0;
    words >> kind >> id >> url;
    ConfChange change{.node = MemberId(id)};
    if (kind == "remove") change.type = ConfChangeType::kRemoveNode;
    if (kind == "update") change.type = ConfChangeType::kUpdateNode;
    if (kind == "learner") change.type = ConfChangeType::kAddLearnerNode;
    const Bytes context =
        kind == "promote"
            ? "{\"id\":" + std::to_string(id) + ",\"peerURLs\":null,\"isPromote\":true}"
            : member_json(
                  {.id = MemberId(id), .peer_urls = {url}, .is_learner = kind == "learner"});
    if (kind != "remove") change.context = context;
    const auto outcome = fixture_.apply(change);
    printer.out_ << (outcome.ok() ? outcome->status.ok()
                                        ? "ok"
                                        : "error " + std::string(outcome->status.message())
                                  : "STOP " + std::string(outcome.status().message()))
                 << "\n";
  }

  MachineFixture fixture_;
};

constexpr char kDashes[] = "----";

/// The file as it should be: comments and commands as they stand, answers anew.
std::string rerun(std::istream& in) {
  Runner runner;
  std::ostringstream out;
  std::vector<std::string> commands;
  bool in_answer = false;
  for (std::string line; std::getline(in, line);) {
    if (in_answer) {
      if (line.empty()) {
        in_answer = false;
        out << "\n";
      }
      continue;
    }
    out << line << "\n";
    if (line == kDashes) {
      out << runner.run(commands);
      commands.clear();
      in_answer = true;
    } else if (!line.empty() && line[0] != '#') {
      commands.push_back(line);
    }
  }
  return out.str();
}

std::vector<std::filesystem::path> transcripts() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(HOLDFAST_TESTDATA "/statemachine")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(Transcripts, AreWhatTheMachineDoes) {
  for (const auto& path : transcripts()) {
    SCOPED_TRACE(path.filename());
    std::ifstream in(path);
    std::stringstream written;
    written << in.rdbuf();
    const std::string anew = rerun(written);
    if (std::getenv("HOLDFAST_REWRITE_TRANSCRIPTS") != nullptr) {
      std::ofstream(path) << anew;
    } else {
      EXPECT_EQ(anew, written.str());
    }
  }
}

}  // namespace
}  // namespace holdfast::statemachine
