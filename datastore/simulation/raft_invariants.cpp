#include "datastore/simulation/raft_invariants.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"

namespace holdfast::simulation {

void RaftInvariants::observe(MemberId member, const raft::Raft& raft, Term durable_term,
                             const std::string& who) {
  Seen& seen = seen_[member];
  if (raft.log().last_term() <= durable_term) check_log(seen, raft.log(), who);
  check_committed(seen, raft, who);
  if (raft.role() == raft::Role::kLeader) check_leader(member, raft, who);
}

RaftInvariants::Fingerprint RaftInvariants::fingerprint(const raft::Log& log, Index index) {
  const raft::Entry& entry = log.slice(index, index, 0).front();
  const std::uint64_t type = static_cast<std::uint64_t>(entry.type);
  return {entry.term, type << 32 | crc32c(0, entry.data)};
}

/// Election safety; then leader completeness, once at the beginning of each leader's time.
void RaftInvariants::check_leader(MemberId member, const raft::Raft& raft, const std::string& who) {
  const auto [leader, is_new] = leaders_.try_emplace(raft.term(), member);
  judge_.demand(leader->second == member, [&] {
    return absl::StrCat(who, " leads in term ", raft.term().value, ", in which member ",
                        leader->second.value, " led");
  });
  if (!is_new || committed_.empty()) return;
  const Index last(committed_.size());
  const raft::Log& log = raft.log();
  if (!judge_.demand(log.last_index() >= last, [&] {
        return absl::StrCat(who, " leads in term ", raft.term().value, " with a log up to ",
                            log.last_index().value, ", but ", last.value, " is committed");
      })) {
    return;
  }
  if (last < log.first_index()) return;
  judge_.demand(fingerprint(log, last) == committed_.back(), [&] {
    return absl::StrCat(who, " leads in term ", raft.term().value, " without the committed entry ",
                        last.value);
  });
}

void RaftInvariants::check_log(Seen& seen, const raft::Log& log, const std::string& who) {
  const Index last = log.last_index();
  seen.terms.resize(last.value + 1);
  for (Index at = last; at >= log.first_index() && seen.terms[at.value] != log.term_at(at);
       at = Index(at.value - 1)) {
    const Fingerprint print = fingerprint(log, at);
    seen.terms[at.value] = print.term;
    const Term previous = log.term_at(Index(at.value - 1));
    const auto [known, is_new] =
        entries_.try_emplace({at, print.term}, Known{print.checksum, previous});
    judge_.demand(
        known->second.checksum == print.checksum && known->second.previous_term == previous, [&] {
          return absl::StrCat(who, " has another entry ", at.value, " of term ", print.term.value,
                              " than another member, or another one before it");
        });
  }
}

void RaftInvariants::check_committed(Seen& seen, const raft::Raft& raft, const std::string& who) {
  const raft::Log& log = raft.log();
  judge_.demand(raft.committed() >= seen.committed, [&] {
    return absl::StrCat(who, "'s commit index fell from ", seen.committed.value, " to ",
                        raft.committed().value);
  });
  const Index first = std::max(seen.committed.next(), log.first_index());
  for (Index at = first; at <= raft.committed(); at = at.next()) {
    const Fingerprint print = fingerprint(log, at);
    // Trimmed before anybody looked: nothing to compare it with.
    while (committed_.size() + 1 < at.value) committed_.emplace_back();
    if (committed_.size() < at.value) {
      committed_.push_back(print);
      continue;
    }
    const Fingerprint& known = committed_[at.value - 1];
    judge_.demand(!known.term || known == print, [&] {
      return absl::StrCat(who, " holds entry ", at.value, " committed in term ", print.term.value,
                          ", where another of term ", known.term.value, " was committed");
    });
  }
  seen.committed = raft.committed();
}

}  // namespace holdfast::simulation
