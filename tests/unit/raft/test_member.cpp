#include "tests/unit/raft/test_member.h"

#include <algorithm>
#include <string>
#include <utility>

#include "datastore/base/check.h"
#include "datastore/raft/configuration.h"

namespace holdfast::raft {

Bytes encode_change(ConfChangeType type, MemberId node) {
  return std::to_string(static_cast<int>(type)) + " " + std::to_string(node.value);
}

ConfChange decode_change(const Bytes& data) {
  return {.type = static_cast<ConfChangeType>(data.at(0) - '0'),
          .node = MemberId(std::stoull(data.substr(2)))};
}

TestMember::TestMember(const Options& options, ConfState conf) : options_(options) {
  if (!conf.voters.empty()) {
    disk_.conf = std::move(conf);
    disk_.hard_state = {kBootTerm, MemberId(), kBootIndex};
    disk_.applied = kBootIndex;
    disk_.applied_term = kBootTerm;
  }
  restart();
}

TestMember::Taken TestMember::take() {
  Taken taken;
  while (raft_->has_output()) {
    Output output = raft_->take_output();
    std::move(output.messages.begin(), output.messages.end(), std::back_inserter(taken.messages));
    std::move(output.reads.begin(), output.reads.end(), std::back_inserter(taken.reads));
    PendingWrite write;
    write.snapshot = std::move(output.snapshot);
    write.hard_state = output.hard_state;
    write.entries.assign(output.entries.begin(), output.entries.end());
    write.messages_after = std::move(output.messages_after_sync);
    if (!write.entries.empty()) {
      write.previous_term = raft_->log().term_at(Index(write.entries.front().index.value - 1));
    }
    const std::vector<Entry> committed(output.committed.begin(), output.committed.end());
    if (write.snapshot) on_restored(write.snapshot->metadata);
    for (const Entry& entry : committed) apply(entry);
    if (!committed.empty()) raft_->applied(committed.back().index);
    if (write.snapshot || write.hard_state || !write.entries.empty() ||
        !write.messages_after.empty()) {
      pending_.push_back(std::move(write));
    }
  }
  return taken;
}

void TestMember::apply(const Entry& entry) {
  on_applied(entry);
  if (entry.type != EntryType::kConfChange) return;
  ConfChange change = decode_change(entry.data);
  // The state machine's rules, as far as raft relies on them: a last voter stays, and no voter
  // becomes a learner.
  if (changed(raft_->conf(), change).voters.empty() ||
      (change.type == ConfChangeType::kAddLearner && is_voter(raft_->conf(), change.node))) {
    change.node = MemberId();
  }
  raft_->apply_conf_change(change);
}

std::vector<Message> TestMember::sync_one() {
  PendingWrite write = std::move(pending_.front());
  pending_.pop_front();
  make_durable(write);
  if (!write.entries.empty()) {
    raft_->persisted(write.entries.back().index, write.entries.back().term);
  }
  return std::move(write.messages_after);
}

void TestMember::make_durable(const PendingWrite& write) {
  if (write.snapshot) {
    disk_.applied = write.snapshot->metadata.index;
    disk_.applied_term = write.snapshot->metadata.term;
    disk_.conf = write.snapshot->metadata.conf;
    disk_.entries.clear();
  }
  if (!write.entries.empty()) on_durable(write.entries, write.previous_term);
  if (write.hard_state) disk_.hard_state = *write.hard_state;
  for (const Entry& entry : write.entries) {
    const auto at =
        std::lower_bound(disk_.entries.begin(), disk_.entries.end(), entry.index,
                         [](const Entry& present, Index index) { return present.index < index; });
    disk_.entries.erase(at, disk_.entries.end());
    HOLDFAST_CHECK(disk_.entries.empty() || disk_.entries.back().index.next() == entry.index);
    disk_.entries.push_back(entry);
  }
}

void TestMember::checkpoint(std::uint64_t keep) {
  // While a received state is on its way to the disk, the disk's own is not of the same log.
  for (const PendingWrite& write : pending_) {
    if (write.snapshot) return;
  }
  const Index applied = raft_->applied();
  if (applied <= disk_.applied) return;
  disk_.applied_term = raft_->log().term_at(applied);
  disk_.applied = applied;
  disk_.conf = raft_->conf();
  if (applied.value <= keep) return;
  const Index first_kept(applied.value - keep + 1);
  std::erase_if(disk_.entries, [&](const Entry& entry) { return entry.index < first_kept; });
  raft_->compact(Index(applied.value - keep));
}

void TestMember::crash(std::size_t survivors) {
  raft_.reset();
  for (std::size_t i = 0; i < survivors; ++i) make_durable(pending_[i]);
  pending_.clear();
}

void TestMember::restart() {
  InitialState initial{.hard_state = disk_.hard_state,
                       .conf = disk_.conf,
                       .snapshot_index = disk_.applied,
                       .snapshot_term = disk_.applied_term};
  for (const Entry& entry : disk_.entries) {
    if (entry.index > disk_.applied) initial.entries.push_back(entry);
  }
  raft_ = std::make_unique<Raft>(options_, std::move(initial));
}

}  // namespace holdfast::raft
