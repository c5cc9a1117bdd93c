#include "datastore/raft/configuration.h"

#include <algorithm>

namespace holdfast::raft {

namespace {

void insert_member(std::vector<MemberId>& members, MemberId member) {
  const auto at = std::lower_bound(members.begin(), members.end(), member);
  if (at == members.end() || *at != member) members.insert(at, member);
}

}  // namespace

bool is_voter(const ConfState& conf, MemberId member) {
  return std::binary_search(conf.voters.begin(), conf.voters.end(), member);
}

bool is_learner(const ConfState& conf, MemberId member) {
  return std::binary_search(conf.learners.begin(), conf.learners.end(), member);
}

ConfState changed(ConfState conf, const ConfChange& change) {
  if (!change.node) return conf;
  switch (change.type) {
    case ConfChangeType::kAddVoter:
      std::erase(conf.learners, change.node);
      insert_member(conf.voters, change.node);
      break;
    case ConfChangeType::kAddLearner:
      std::erase(conf.voters, change.node);
      insert_member(conf.learners, change.node);
      break;
    case ConfChangeType::kRemove:
      std::erase(conf.voters, change.node);
      std::erase(conf.learners, change.node);
      break;
    case ConfChangeType::kUpdate:
      break;
  }
  return conf;
}

}  // namespace holdfast::raft
