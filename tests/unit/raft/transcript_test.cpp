#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/unit/raft/test_member.h"

/// Plays testdata/raft/*.txt: each command (a line that does not begin with a blank) is followed by
/// what happened, indented. HOLDFAST_REWRITE_TRANSCRIPTS=1 writes that anew; the diff is then for a
/// person to judge.
///
///   members N [no-check-quorum] [window=MESSAGES] [append=BYTES]   N voters; election 3 ticks,
///   heartbeat 1 joiner ID                    one more, with nothing, outside the configuration
///   tick ID [N]                  N ticks of ID's clock
///   campaign ID                  ticks until it campaigns
///   propose ID VALUE             conf ID add|learner|remove NODE
///   read ID REQUEST              transfer ID TO          timeout-now ID FROM
///   hold ID / release ID         its disk's writes wait / become durable
///   deliver [FROM->TO] [TYPE]    deliver the messages under way now (those that match)
///   drop [FROM->TO] [TYPE]       lose them            repeat FROM->TO   deliver, and keep a copy
///   settle                       deliver until nothing is under way
///   cut A B / heal               messages between A and B are lost / nothing is
///   unreachable ID PEER          snapshot-report ID PEER ok|failed
///   compact ID KEEP              crash ID   restart ID   show
///
/// A message prints as FROM->TO TYPE tTERM with, where they matter, index/log term, the entries'
/// terms, commit, and for an answer its rejection and hint. "after sync" waits for the disk.
namespace holdfast::raft {
namespace {

constexpr int kMaxRounds = 100;

const std::map<MessageType, const char*>& type_names() {
  static const std::map<MessageType, const char*> names = {
      {MessageType::kProp, "Prop"},
      {MessageType::kApp, "App"},
      {MessageType::kAppResp, "AppResp"},
      {MessageType::kVote, "Vote"},
      {MessageType::kVoteResp, "VoteResp"},
      {MessageType::kSnap, "Snap"},
      {MessageType::kHeartbeat, "Heartbeat"},
      {MessageType::kHeartbeatResp, "HeartbeatResp"},
      {MessageType::kTransferLeader, "TransferLeader"},
      {MessageType::kTimeoutNow, "TimeoutNow"},
      {MessageType::kReadIndex, "ReadIndex"},
      {MessageType::kReadIndexResp, "ReadIndexResp"},
      {MessageType::kPreVote, "PreVote"},
      {MessageType::kPreVoteResp, "PreVoteResp"}};
  return names;
}

std::string link_of(const Message& message) {
  return std::to_string(message.from.value) + "->" + std::to_string(message.to.value);
}

std::string text(const Message& message) {
  std::ostringstream out;
  out << link_of(message) << " " << type_names().at(message.type) << " t" << message.term;
  switch (message.type) {
    case MessageType::kApp:
      out << " after " << message.index << "/t" << message.log_term << " [";
      for (const Entry& entry : message.entries) {
        out << (entry.index == message.index.next() ? "" : " ") << entry.index << "/t" << entry.term
            << (entry.data.empty() ? "" : "=") << entry.data;
      }
      out << "] commit " << message.commit;
      break;
    case MessageType::kAppResp:
      out << " index " << message.index;
      if (message.reject) {
        out << " REJECT hint " << message.reject_hint << "/t" << message.log_term;
      }
      break;
    case MessageType::kVote:
    case MessageType::kPreVote:
      out << " last " << message.index << "/t" << message.log_term;
      if (!message.context.empty()) out << " " << message.context;
      break;
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      out << (message.reject ? " REJECT" : " granted");
      break;
    case MessageType::kSnap:
      out << " state of " << message.snapshot.index << "/t" << message.snapshot.term;
      break;
    case MessageType::kHeartbeat:
      out << " commit " << message.commit;
      [[fallthrough]];
    case MessageType::kHeartbeatResp:
      if (!message.context.empty()) out << " round " << load_le64(message.context.data());
      break;
    case MessageType::kReadIndexResp:
      out << " index " << message.index;
      break;
    default:
      break;
  }
  return out.str();
}

class Player {
 public:
  std::string play(const std::string& line) {
    std::istringstream words(line);
    words_.clear();
    for (std::string word; words >> word;) words_.push_back(word);
    out_.str("");
    run();
    return out_.str();
  }

 private:
  struct Known {
    Role role = Role::kFollower;
    Term term;
    Index commit;
    friend bool operator==(const Known&, const Known&) = default;
  };
  struct Seat {
    std::unique_ptr<TestMember> member;
    bool holds = false;
    Known known;
  };

  std::string word(std::size_t i) const { return i < words_.size() ? words_[i] : ""; }
  std::uint64_t number(std::size_t i) const { return std::strtoull(word(i).c_str(), nullptr, 10); }
  MemberId id(std::size_t i) const { return MemberId(number(i)); }
  Raft& raft(std::size_t i) { return seats_.at(id(i)).member->raft(); }
  bool has(const std::string& flag) const {
    return std::find(words_.begin(), words_.end(), flag) != words_.end();
  }

  void run() {
    const std::string command = word(0);
    if (command == "members") return begin();
    if (command == "joiner") return add(id(1), ConfState());
    if (command == "deliver" || command == "drop" || command == "repeat") return move_messages();
    if (command == "settle") return settle();
    if (command == "heal") return cuts_.clear();
    if (command == "cut") {
      cuts_.insert({id(1), id(2)});
      cuts_.insert({id(2), id(1)});
      return;
    }
    if (command == "show") return show();
    Seat& seat = seats_.at(id(1));
    if (command == "crash") return seat.member->crash(0);
    if (command == "restart") {
      seat.member->restart();
    } else if (command == "hold") {
      seat.holds = true;
    } else if (command == "release") {
      seat.holds = false;
    } else if (command == "compact") {
      seat.member->checkpoint(number(2));
    } else {
      act(command);
    }
    collect(id(1));
  }

  void act(const std::string& command) {
    Raft& member = raft(1);
    if (command == "tick") {
      for (std::uint64_t i = 0; i < std::max<std::uint64_t>(number(2), 1); ++i) member.tick();
    } else if (command == "campaign") {
      while (member.role() == Role::kFollower) member.tick();
    } else if (command == "propose") {
      report(member.propose(word(2)).status());
    } else if (command == "conf") {
      const ConfChangeType type = word(2) == "add"      ? ConfChangeType::kAddVoter
                                  : word(2) == "remove" ? ConfChangeType::kRemove
                                                        : ConfChangeType::kAddLearner;
      report(member.propose_conf_change(encode_change(type, id(3))).status());
    } else if (command == "read") {
      report(member.read_index(number(2)));
    } else if (command == "transfer") {
      report(member.transfer_leadership(id(2)));
    } else if (command == "timeout-now") {
      report(member.step(
          {.type = MessageType::kTimeoutNow, .to = id(1), .from = id(2), .term = member.term()}));
    } else if (command == "unreachable") {
      member.report_unreachable(id(2));
    } else if (command == "snapshot-report") {
      member.report_snapshot(id(2), word(3) == "ok");
    } else {
      out_ << "  unknown command\n";
    }
  }

  void begin() {
    ConfState conf;
    for (std::uint64_t i = 1; i <= number(1); ++i) conf.voters.push_back(MemberId(i));
    options_.election_ticks = 3;
    options_.check_quorum = !has("no-check-quorum");
    for (const std::string& word : words_) {
      if (word.starts_with("append=")) options_.max_append_bytes = std::stoull(word.substr(7));
      if (word.starts_with("window=")) options_.max_inflight_appends = std::stoull(word.substr(7));
    }
    for (const MemberId voter : conf.voters) add(voter, conf);
  }

  void add(MemberId id, const ConfState& conf) {
    options_.id = id;
    Seat& seat = seats_[id];
    seat.member = std::make_unique<TestMember>(options_, conf);
    seat.member->on_applied = [this, id](const Entry& entry) {
      out_ << "  " << id << " applies " << entry.index << "/t" << entry.term
           << (entry.type == EntryType::kConfChange ? " change " : " ")
           << (entry.data.empty() ? "(empty)" : entry.data) << "\n";
    };
    seat.member->on_restored = [this, id](const SnapshotMetadata& snapshot) {
      out_ << "  " << id << " installs the state of " << snapshot.index << "/t" << snapshot.term
           << "\n";
    };
    seat.known = {Role::kFollower, seat.member->raft().term(), seat.member->raft().committed()};
  }

  void report(const absl::Status& status) {
    if (!status.ok()) out_ << "  refused: " << status.message() << "\n";
  }

  void post(std::vector<Message> messages) {
    for (Message& message : messages) {
      out_ << "  sends " << text(message) << "\n";
      network_.push_back(std::move(message));
    }
  }

  /// Lets the owner do its duty and prints what changed.
  void collect(MemberId id) {
    Seat& seat = seats_.at(id);
    note(id, seat);
    bool more = true;
    while (more) {
      TestMember::Taken taken = seat.member->take();
      note(id, seat);
      post(std::move(taken.messages));
      for (const ReadState& read : taken.reads) {
        out_ << "  " << id << " may answer read " << read.request << " at " << read.index << "\n";
      }
      more = seat.member->has_pending_write() && !seat.holds;
      if (more) post(seat.member->sync_one());
    }
    note(id, seat);
  }

  void note(MemberId id, Seat& seat) {
    const Raft& raft = seat.member->raft();
    const Known now{raft.role(), raft.term(), raft.committed()};
    if (now == seat.known) return;
    constexpr const char* kRoles[] = {"follower", "pre-candidate", "candidate", "leader"};
    out_ << "  " << id << " is " << kRoles[static_cast<int>(now.role)] << " t" << now.term
         << " commit " << now.commit << "\n";
    seat.known = now;
  }

  bool chosen(const Message& message) const {
    for (std::size_t i = 1; i < words_.size(); ++i) {
      const bool is_link = words_[i].find("->") != std::string::npos;
      if (words_[i] != (is_link ? link_of(message) : type_names().at(message.type))) return false;
    }
    return true;
  }

  void move_messages() {
    std::vector<Message> now;
    std::vector<Message> later;
    for (Message& message : network_) (chosen(message) ? now : later).push_back(message);
    network_ = std::move(later);
    if (now.empty()) out_ << "  nothing is under way\n";
    for (Message& message : now) {
      if (word(0) == "drop") {
        out_ << "  lost " << text(message) << "\n";
        continue;
      }
      if (word(0) == "repeat") network_.push_back(message);
      deliver(std::move(message));
    }
  }

  void deliver(Message message) {
    Seat& seat = seats_.at(message.to);
    if (!seat.member->is_up() || cuts_.contains({message.from, message.to})) {
      out_ << "  lost " << text(message) << "\n";
      return;
    }
    const MemberId to = message.to;
    report(seat.member->raft().step(std::move(message)));
    collect(to);
  }

  void settle() {
    for (int round = 0; round < kMaxRounds && !network_.empty(); ++round) {
      for (Message& message : std::exchange(network_, {})) deliver(std::move(message));
    }
    if (!network_.empty()) out_ << "  does not settle\n";
  }

  void show() {
    for (const auto& [id, seat] : seats_) {
      out_ << "  " << id;
      if (!seat.member->is_up()) {
        out_ << " down\n";
        continue;
      }
      const Raft& raft = seat.member->raft();
      const Log& log = raft.log();
      out_ << (raft.role() == Role::kLeader ? " leads" : "") << " t" << raft.term() << " commit "
           << raft.committed() << " log " << log.snapshot_index() << "|";
      for (Index i = log.first_index(); i <= log.last_index(); i = i.next()) {
        out_ << " " << i << "/t" << log.term_at(i);
      }
      out_ << " voters";
      for (const MemberId voter : raft.conf().voters) out_ << " " << voter;
      if (!raft.conf().learners.empty()) out_ << " learners";
      for (const MemberId learner : raft.conf().learners) out_ << " " << learner;
      for (const auto& [peer, other] : seats_) {
        const Progress* progress = raft.progress(peer);
        if (progress == nullptr) continue;
        constexpr const char* kStates[] = {"probe", "replicate", "await snapshot"};
        out_ << "; " << peer << " " << kStates[progress->state().index()] << " match "
             << progress->match << " next " << progress->next;
      }
      out_ << "\n";
    }
  }

  Options options_;
  std::map<MemberId, Seat> seats_;
  std::vector<Message> network_;
  std::set<std::pair<MemberId, MemberId>> cuts_;
  std::vector<std::string> words_;
  std::ostringstream out_;
};

class Transcript : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Transcript, Holds) {
  std::ifstream file(GetParam());
  std::string expected;
  std::string actual;
  Player player;
  for (std::string line; std::getline(file, line);) {
    expected += line + "\n";
    if (line.starts_with(" ")) continue;
    actual += line + "\n";
    if (!line.empty() && line[0] != '#') actual += player.play(line);
  }
  if (std::getenv("HOLDFAST_REWRITE_TRANSCRIPTS") != nullptr) {
    std::ofstream(GetParam()) << actual;
    return;
  }
  EXPECT_EQ(expected, actual);
}

std::vector<std::filesystem::path> files() {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(HOLDFAST_TESTDATA "/raft")) {
    out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

INSTANTIATE_TEST_SUITE_P(Files, Transcript, testing::ValuesIn(files()),
                         [](const auto& info) { return info.param.stem().string(); });

}  // namespace
}  // namespace holdfast::raft
