#include "datastore/node/linearizable_reads.h"

#include <iterator>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/base/mutants.h"

namespace holdfast::node {

namespace {
constexpr std::size_t kMaxReads = 1 << 17;
/// The question or its answer may be lost. Source: etcd-facts 2.3.
constexpr Time kAskAgainAfter = std::chrono::milliseconds(500);
}  // namespace

bool LinearizableReads::add(Done& done, Mailbox* mailbox, Time deadline) {
  if (size_ >= kMaxReads) return false;
  ++size_;
  gathered_.push_back({std::move(done), mailbox, deadline});
  return true;
}

void LinearizableReads::ask(raft::Raft& raft, RequestIds& ids, Time now) {
  if (gathered_.empty() || !raft.leader()) return;
  const std::uint64_t id = ids.next();
  if (planted(Mutant::kReadWithoutIndex)) {
    rounds_.emplace(id, Round{std::exchange(gathered_, {}), now, Index()});
    return;
  }
  if (!raft.read_index(id).ok()) return;  // too many rounds: with the next one
  rounds_.emplace(id, Round{std::exchange(gathered_, {}), now, std::nullopt});
}

void LinearizableReads::answered(const raft::ReadState& read) {
  const auto it = rounds_.find(read.request);
  if (it != rounds_.end()) it->second.index = read.index;
}

void LinearizableReads::release(Index applied) {
  for (auto it = rounds_.begin(); it != rounds_.end();) {
    const bool is_applied = planted(Mutant::kReadBeforeApplied) || it->second.index <= applied;
    if (!it->second.index || !is_applied) {
      ++it;
      continue;
    }
    for (Read& read : it->second.reads) finish(std::move(read), absl::OkStatus());
    it = rounds_.erase(it);
  }
}

void LinearizableReads::tick(Time now) {
  for (auto it = rounds_.begin(); it != rounds_.end();) {
    Round& round = it->second;
    expire(round.reads, now);
    const bool lost = !round.index && now - round.asked_at >= kAskAgainAfter;
    if (lost) {
      std::move(round.reads.begin(), round.reads.end(), std::back_inserter(gathered_));
    }
    it = lost || round.reads.empty() ? rounds_.erase(it) : std::next(it);
  }
  expire(gathered_, now);
}

void LinearizableReads::fail_all(const absl::Status& why) {
  for (auto& [id, round] : std::exchange(rounds_, {})) {
    for (Read& read : round.reads) finish(std::move(read), why);
  }
  for (Read& read : std::exchange(gathered_, {})) finish(std::move(read), why);
}

void LinearizableReads::finish(Read read, const absl::Status& status) {
  --size_;
  if (read.mailbox == nullptr) return read.done(status);
  read.mailbox->post([done = std::move(read.done), status]() mutable { done(status); });
}

void LinearizableReads::expire(std::vector<Read>& reads, Time now) {
  std::erase_if(reads, [&](Read& read) {
    if (read.deadline > now) return false;
    finish(std::move(read), errors::timeout());
    return true;
  });
}

}  // namespace holdfast::node
