#pragma once

#include <utility>

#include "datastore/node/node.h"

namespace holdfast::node {

/// Runs `done(value)` in `mailbox`.
template <class Done, class Value>
void post_answer(Mailbox& mailbox, Done done, Value value) {
  mailbox.post(
      [done = std::move(done), value = std::move(value)]() mutable { done(std::move(value)); });
}

}  // namespace holdfast::node
