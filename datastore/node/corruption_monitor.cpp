#include "datastore/node/corruption_monitor.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/codec/internal_request.h"
#include "datastore/node/identity.h"

namespace holdfast::node {

namespace {

/// A round that takes longer has lost an answer.
constexpr Time kRoundTimeout = std::chrono::seconds(60);

class InPlaceMailbox final : public Mailbox {
 public:
  void post(absl::AnyInvocable<void()> work) override { work(); }
};

InPlaceMailbox& in_place() {
  static InPlaceMailbox mailbox;
  return mailbox;
}

}  // namespace

std::optional<MemberId> find_corrupt(MemberId self, const HashResult& own, const HashResult& later,
                                     const PeerHashes& peers) {
  if (own.hash_revision == later.hash_revision && own.compact_revision == later.compact_revision &&
      own.hash != later.hash) {
    return self;
  }
  for (const auto& [peer, hash] : peers) {
    if (!hash) continue;
    // Nobody may know what the leader does not, and the same history has one hash.
    if (hash->revision > later.revision || hash->compact_revision > later.compact_revision ||
        (hash->compact_revision == own.compact_revision && hash->hash != own.hash)) {
      return peer;
    }
  }
  return std::nullopt;
}

CompactionVerdict compare_compactions(MemberId self, const HashResult& own,
                                      const PeerHashes& peers) {
  std::map<std::uint32_t, std::vector<MemberId>> by_hash;
  by_hash[own.hash].push_back(self);
  CompactionVerdict verdict;
  verdict.is_final = true;
  for (const auto& [peer, hash] : peers) {
    if (hash && hash->compact_revision == own.compact_revision) {
      by_hash[hash->hash].push_back(peer);
    } else {
      verdict.is_final = false;
    }
  }
  if (by_hash.size() == 1) return verdict;
  const std::size_t quorum = (peers.size() + 1) / 2 + 1;
  const auto majority = std::find_if(by_hash.begin(), by_hash.end(),
                                     [quorum](const auto& m) { return m.second.size() >= quorum; });
  verdict.is_final = true;
  if (majority == by_hash.end()) {
    verdict.corrupt.push_back(MemberId());
    return verdict;
  }
  by_hash.erase(majority);
  for (const auto& [hash, members] : by_hash) {
    verdict.corrupt.insert(verdict.corrupt.end(), members.begin(), members.end());
  }
  std::sort(verdict.corrupt.begin(), verdict.corrupt.end());
  return verdict;
}

absl::Status check_before_serving(Node& node, Peers& peers, Time patience) {
  // Answers that come too late must still find their place.
  struct Answers {
    std::mutex mutex;
    std::condition_variable more;
    std::optional<absl::StatusOr<HashResult>> own;
    PeerHashes peers;
  };
  auto answers = std::make_shared<Answers>();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const auto put = [answers](auto store) {
    const std::lock_guard lock(answers->mutex);
    store();
    answers->more.notify_one();
  };
  node.hash_kv(
      0,
      [answers, put](absl::StatusOr<HashResult> own) {
        put([&] { answers->own = std::move(own); });
      },
      in_place());
  std::unique_lock lock(answers->mutex);
  if (!answers->more.wait_until(lock, deadline, [&] { return answers->own.has_value(); })) {
    return errors::timeout();
  }
  if (!answers->own->ok()) return answers->own->status();
  const HashResult own = **answers->own;
  lock.unlock();
  const std::shared_ptr<const ClusterInfo> cluster = node.cluster();
  std::size_t asked = 0;
  for (const MemberInfo& member : cluster->members) {
    if (member.id == cluster->self) continue;
    ++asked;
    peers.hash_kv(
        member.id, own.hash_revision,
        [answers, put, id = member.id](absl::StatusOr<HashResult> hash) {
          put([&] { answers->peers[id] = hash.ok() ? std::optional(*hash) : std::nullopt; });
        });
  }
  lock.lock();
  answers->more.wait_until(lock, deadline, [&] { return answers->peers.size() == asked; });
  for (const auto& [peer, hash] : answers->peers) {
    if (hash && hash->compact_revision == own.compact_revision && hash->hash != own.hash) {
      return absl::DataLossError(
          absl::StrCat("found data inconsistency with peers: at revision ", own.hash_revision.value,
                       " the store's hash is ", own.hash, ", but ", hash->hash, " on member ",
                       to_hex(peer.value),
                       ". Nothing was changed. Find out which of them the others agree with; "
                       "remove the other from "
                       "the cluster and add it anew with an empty data directory."));
    }
  }
  return absl::OkStatus();
}

/// One comparison. Its answers come on any thread; the last one ends it.
struct CorruptionMonitor::Round {
  bool of_compaction = false;
  Time began{0};

  std::mutex mutex;
  std::size_t outstanding = 0;
  bool is_over = false;
  std::optional<HashResult> own;
  std::optional<HashResult> later;
  PeerHashes peers;
  absl::Status failure;

  void fail(absl::Status why) {
    const std::lock_guard lock(mutex);
    failure = std::move(why);
    is_over = true;
  }
};

CorruptionMonitor::CorruptionMonitor(Node& node, Peers& peers, Options options, Time now)
    : node_(node),
      peers_(peers),
      options_(std::move(options)),
      next_periodic_(now + options_.period),
      next_compaction_(now + options_.compaction_period) {
}

CorruptionMonitor::~CorruptionMonitor() = default;

void CorruptionMonitor::tick(Time now) {
  if (round_ != nullptr) {
    bool is_over = false;
    {
      const std::lock_guard lock(round_->mutex);
      is_over = round_->is_over;
    }
    if (is_over) conclude(*round_);
    if (!is_over && now - round_->began < kRoundTimeout) return;
    round_.reset();
  }
  const std::shared_ptr<const ClusterInfo> cluster = node_.cluster();
  const bool leads = node_.status().leader == cluster->self;
  const bool has_peers = cluster->members.size() > 1;
  if (options_.period > Time(0) && now >= next_periodic_) {
    next_periodic_ = now + options_.period;
    if (leads && has_peers) return begin_periodic(now);
  }
  if (options_.compaction_period > Time(0) && now >= next_compaction_) {
    next_compaction_ = now + options_.compaction_period;
    if (leads && has_peers) begin_compaction(now);
  }
}

void CorruptionMonitor::begin_periodic(Time now) {
  round_ = std::make_shared<Round>();
  round_->began = now;
  node_.hash_kv(
      0,
      [this, round = round_](absl::StatusOr<HashResult> own) {
        if (!own.ok()) return round->fail(own.status());
        round->own = *own;
        ask_peers(round, own->hash_revision);
      },
      in_place());
}

void CorruptionMonitor::begin_compaction(Time now) {
  const Revision revision = node_.status().compact_revision;
  if (revision.value <= 0 || revision == checked_compaction_) return;
  round_ = std::make_shared<Round>();
  round_->of_compaction = true;
  round_->began = now;
  node_.hash_kv(
      revision.value,
      [this, round = round_](absl::StatusOr<HashResult> own) {
        if (!own.ok()) return round->fail(own.status());
        round->own = *own;
        ask_peers(round, own->hash_revision);
      },
      in_place());
}

void CorruptionMonitor::ask_peers(std::shared_ptr<Round> round, Revision revision) {
  const std::shared_ptr<const ClusterInfo> cluster = node_.cluster();
  std::vector<MemberId> others;
  for (const MemberInfo& member : cluster->members) {
    if (member.id != cluster->self) others.push_back(member.id);
  }
  {
    const std::lock_guard lock(round->mutex);
    round->outstanding = others.size();
    if (others.empty()) round->is_over = true;
  }
  const auto end = [this, round] {
    if (round->of_compaction) {
      const std::lock_guard lock(round->mutex);
      round->is_over = true;
      return;
    }
    // Whatever the followers answered, the leader has applied it after this.
    node_.read_index(
        [this, round](absl::Status status) {
          if (!status.ok()) return round->fail(std::move(status));
          node_.hash_kv(
              0,
              [round](absl::StatusOr<HashResult> later) {
                if (!later.ok()) return round->fail(later.status());
                const std::lock_guard lock(round->mutex);
                round->later = *later;
                round->is_over = true;
              },
              in_place());
        },
        in_place());
  };
  for (const MemberId peer : others) {
    peers_.hash_kv(peer, revision, [round, peer, end](absl::StatusOr<HashResult> hash) {
      bool is_last = false;
      {
        const std::lock_guard lock(round->mutex);
        round->peers[peer] = hash.ok() ? std::optional(*hash) : std::nullopt;
        is_last = --round->outstanding == 0;
      }
      if (is_last) end();
    });
  }
}

void CorruptionMonitor::conclude(Round& round) {
  if (!round.failure.ok()) {
    if (options_.on_failure) options_.on_failure(round.failure);
    return;
  }
  if (!round.own || round.peers.empty()) return;
  const MemberId self = node_.cluster()->self;
  if (round.of_compaction) {
    const CompactionVerdict verdict = compare_compactions(self, *round.own, round.peers);
    if (verdict.is_final) checked_compaction_ = round.own->hash_revision;
    for (const MemberId member : verdict.corrupt) alarm(member, *round.own);
  } else if (round.later) {
    const auto member = find_corrupt(self, *round.own, *round.later, round.peers);
    if (member) alarm(*member, *round.own);
  }
}

void CorruptionMonitor::alarm(MemberId member, const HashResult& own) {
  if (options_.on_corrupt) options_.on_corrupt(member, own);
  statemachine::AlarmRequest request;
  request.action = static_cast<std::int32_t>(statemachine::AlarmAction::kActivate);
  request.member = member;
  request.alarm = static_cast<std::int32_t>(statemachine::AlarmType::kCorrupt);
  std::vector<Proposal> proposals(1);
  proposals[0].id = node_.next_request_id();
  proposals[0].entry = codec::encode_internal(proposals[0].id, codec::CommandField::kAlarm,
                                              codec::encode_alarm(request));
  proposals[0].done = [](const Applied&) {};
  node_.propose(std::move(proposals), in_place());
}

}  // namespace holdfast::node
