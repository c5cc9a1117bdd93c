#include "datastore/raft/raft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::raft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr MemberId kSelf{1};

InitialState fresh() {
  InitialState initial;
  initial.conf.voters = {kSelf};
  return initial;
}

std::vector<std::uint64_t> indexes(absl::Span<const Entry> entries) {
  std::vector<std::uint64_t> out;
  for (const Entry& entry : entries) out.push_back(entry.index.value);
  return out;
}

/// Makes everything durable and applied, as an owner with an instant disk would.
std::vector<std::uint64_t> settle(Raft& raft) {
  std::vector<std::uint64_t> applied;
  while (raft.has_output()) {
    const Output output = raft.take_output();
    for (const Entry& entry : output.committed) applied.push_back(entry.index.value);
    if (!output.committed.empty()) raft.applied(output.committed.back().index);
    if (!output.entries.empty()) raft.persisted(output.entries.back().index);
  }
  return applied;
}

TEST(Raft, SoleVoterElectsItselfWithAnEmptyEntry) {
  Raft raft({kSelf}, fresh());
  EXPECT_EQ(raft.role(), Role::kFollower);
  raft.tick();
  EXPECT_EQ(raft.role(), Role::kLeader);
  EXPECT_EQ(raft.term(), Term(1));
  const Output output = raft.take_output();
  ASSERT_TRUE(output.hard_state.has_value());
  EXPECT_EQ(output.hard_state->vote, kSelf);
  EXPECT_TRUE(output.must_sync);
  EXPECT_THAT(indexes(output.entries), ElementsAre(1));
  EXPECT_TRUE(output.entries[0].data.empty());
}

TEST(Raft, NothingCommitsBeforeItIsPersisted) {
  Raft raft({kSelf}, fresh());
  raft.tick();
  ASSERT_TRUE(raft.propose("x").ok());
  Output output = raft.take_output();
  EXPECT_THAT(output.committed, IsEmpty());
  EXPECT_FALSE(raft.has_output());
  raft.persisted(Index(1));
  output = raft.take_output();
  EXPECT_THAT(indexes(output.committed), ElementsAre(1));
  raft.persisted(Index(2));
  output = raft.take_output();
  EXPECT_THAT(indexes(output.committed), ElementsAre(2));
  EXPECT_FALSE(output.must_sync) << "a commit index alone may be lost";
}

TEST(Raft, LeaderDoesNotCommitPriorTermByCount) {
  InitialState initial = fresh();
  initial.hard_state = {Term(3), kSelf, Index(1)};
  initial.entries = {{Term(2), Index(1)}, {Term(3), Index(2)}};
  Raft raft({kSelf}, initial);
  EXPECT_THAT(indexes(raft.take_output().committed), ElementsAre(1));
  raft.tick();
  raft.take_output();
  raft.persisted(Index(2));
  EXPECT_EQ(raft.committed(), Index(1));
  raft.persisted(Index(3));
  EXPECT_EQ(raft.committed(), Index(3));
}

TEST(Raft, ProposalsWithoutALeaderAreRefused) {
  Raft raft({kSelf}, fresh());
  EXPECT_EQ(raft.propose("x").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(raft.read_index(1).code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(raft.has_output());
}

TEST(Raft, ReadsWaitForTheFirstCommitOfTheTerm) {
  Raft raft({kSelf}, fresh());
  raft.tick();
  ASSERT_TRUE(raft.read_index(7).ok());
  EXPECT_THAT(raft.take_output().reads, IsEmpty());
  raft.persisted(Index(1));
  const Output output = raft.take_output();
  ASSERT_EQ(output.reads.size(), 1U);
  EXPECT_EQ(output.reads[0].index, Index(1));
  EXPECT_EQ(output.reads[0].request, 7U);
}

TEST(Raft, SecondVoterStopsCommitsUntilItAcknowledges) {
  Raft raft({kSelf}, fresh());
  raft.tick();
  settle(raft);
  raft.apply_conf_change({.type = ConfChangeType::kAddVoter, .node = MemberId(2)});
  ASSERT_TRUE(raft.propose("x").ok());
  EXPECT_THAT(settle(raft), IsEmpty());
  raft.apply_conf_change({.type = ConfChangeType::kRemove, .node = MemberId(2)});
  EXPECT_THAT(settle(raft), ElementsAre(2));
}

TEST(Raft, LearnerTakesNoPartInTheQuorum) {
  Raft raft({kSelf}, fresh());
  raft.tick();
  settle(raft);
  raft.apply_conf_change({.type = ConfChangeType::kAddLearner, .node = MemberId(2)});
  ASSERT_TRUE(raft.propose("x").ok());
  EXPECT_THAT(settle(raft), ElementsAre(2));
}

TEST(Raft, OneConfigurationChangeAtATime) {
  Raft raft({kSelf}, fresh());
  raft.tick();
  settle(raft);
  ASSERT_TRUE(raft.propose_conf_change("a").ok());
  EXPECT_EQ(raft.propose_conf_change("b").status().code(), absl::StatusCode::kFailedPrecondition);
  settle(raft);
  EXPECT_TRUE(raft.propose_conf_change("b").ok());
}

TEST(Raft, RestartAppliesOnlyWhatTheStateLacks) {
  InitialState initial = fresh();
  initial.hard_state = {Term(1), kSelf, Index(4)};
  initial.snapshot_index = Index(2);
  initial.snapshot_term = Term(1);
  initial.entries = {{Term(1), Index(3)}, {Term(1), Index(4)}, {Term(1), Index(5)}};
  Raft raft({kSelf}, initial);
  EXPECT_THAT(settle(raft), ElementsAre(3, 4));
  raft.tick();
  EXPECT_THAT(settle(raft), ElementsAre(5, 6));
}

TEST(Raft, CommittedEntriesComeInBoundedPieces) {
  Raft raft({.id = kSelf, .max_committed_bytes_per_output = 10}, fresh());
  raft.tick();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(raft.propose(Bytes(6, 'x')).ok());
  raft.take_output();
  raft.persisted(Index(4));
  EXPECT_THAT(indexes(raft.take_output().committed), ElementsAre(1, 2));
  EXPECT_TRUE(raft.has_output());
  EXPECT_THAT(indexes(raft.take_output().committed), ElementsAre(3));
}

TEST(Log, CompactionKeepsTermsAndIndexes) {
  Log log(Index(10), Term(2));
  for (std::uint64_t i = 11; i <= 30; ++i) log.append({Term(i <= 15 ? 2 : 3), Index(i), {}, "abc"});
  log.compact(Index(15));
  EXPECT_EQ(log.first_index(), Index(16));
  EXPECT_EQ(log.term_at(Index(15)), Term(2));
  EXPECT_EQ(log.slice(Index(16), Index(30), 100).front().index, Index(16));
  log.compact(Index(29));
  EXPECT_EQ(log.last_index(), Index(30));
  EXPECT_EQ(log.data_bytes(), 3U);
  log.compact(Index(30));
  EXPECT_EQ(log.last_term(), Term(3));
}

}  // namespace
}  // namespace holdfast::raft
