#pragma once

#include "datastore/http/health.h"
#include "datastore/node/node.h"

namespace holdfast::http {

/// The health of a node, through its façade. Outlived by the node.
class NodeHealth final : public HealthSource {
 public:
  explicit NodeHealth(node::Node& node) : node_(node) {}

  std::vector<std::string> alarms() override;
  bool has_leader() override;
  bool is_learner() override;
  void read(bool serializable, absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  /// Answers that only post to an event loop may run where they arise.
  class InPlace final : public node::Mailbox {
   public:
    void post(absl::AnyInvocable<void()> work) override { work(); }
  };

  void read_locally(absl::AnyInvocable<void(absl::Status)> done);

  node::Node& node_;
  InPlace in_place_;
};

}  // namespace holdfast::http
