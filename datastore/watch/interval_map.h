#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "datastore/base/bytes.h"
#include "datastore/base/prng.h"

namespace holdfast::watch {

/// Values on intervals [begin, end) of keys, found by a key inside: a treap ordered by begin, then
/// end, each node knowing the greatest end below it. An absent end is beyond every key. Adding and
/// removing are O(log n) expected; finding k intervals O(k log n). Its shape depends on nothing but
/// the calls made, so that a seed replays.
template <class Value>
class IntervalMap {
 public:
  struct Interval {
    Bytes begin;
    Bytes end;
    bool unbounded = false;
  };

  /// The value on exactly this interval, made if there is none. Valid until it is erased.
  Value& operator[](const Interval& interval) {
    if (Node* node = find(interval)) return node->value;
    auto fresh = std::make_unique<Node>(interval, prng_.next());
    Value& value = fresh->value;
    root_ = insert(std::move(root_), std::move(fresh));
    ++size_;
    return value;
  }

  /// Removes the interval, which must be there.
  void erase(const Interval& interval) {
    root_ = erase(std::move(root_), interval);
    --size_;
  }

  std::size_t size() const { return size_; }

  /// Calls `visit` with the value of every interval that holds `key`, in order.
  template <class Visit>
  void stab(BytesView key, Visit&& visit) {
    stab(root_.get(), key, visit);
  }

 private:
  struct Node;
  using Link = std::unique_ptr<Node>;
  struct Node {
    Node(const Interval& at, std::uint64_t heap_priority)
        : interval(at),
          max_end(interval.end),
          max_unbounded(interval.unbounded),
          priority(heap_priority) {}
    Interval interval;
    BytesView max_end;  // into this node's or a descendant's interval
    bool max_unbounded;
    std::uint64_t priority;
    Value value;
    Link left;
    Link right;
  };

  static int compare_ends(const Interval& a, const Interval& b) {
    if (a.unbounded || b.unbounded) return int{a.unbounded} - int{b.unbounded};
    return a.end.compare(b.end);
  }
  static int compare(const Interval& a, const Interval& b) {
    const int begins = a.begin.compare(b.begin);
    return begins != 0 ? begins : compare_ends(a, b);
  }

  Node* find(const Interval& interval) {
    Node* node = root_.get();
    while (node != nullptr) {
      const int order = compare(interval, node->interval);
      if (order == 0) return node;
      node = order < 0 ? node->left.get() : node->right.get();
    }
    return nullptr;
  }

  static void update(Node& node) {
    node.max_end = node.interval.end;
    node.max_unbounded = node.interval.unbounded;
    for (const Link* child : {&node.left, &node.right}) {
      if (!*child || node.max_unbounded) continue;
      node.max_unbounded = (*child)->max_unbounded;
      if ((*child)->max_end > node.max_end) node.max_end = (*child)->max_end;
    }
  }

  static Link rotate_right(Link node) {
    Link top = std::move(node->left);
    node->left = std::move(top->right);
    update(*node);
    top->right = std::move(node);
    update(*top);
    return top;
  }
  static Link rotate_left(Link node) {
    Link top = std::move(node->right);
    node->right = std::move(top->left);
    update(*node);
    top->left = std::move(node);
    update(*top);
    return top;
  }

  static Link insert(Link node, Link fresh) {
    if (!node) return fresh;
    if (compare(fresh->interval, node->interval) < 0) {
      node->left = insert(std::move(node->left), std::move(fresh));
      if (node->left->priority > node->priority) return rotate_right(std::move(node));
    } else {
      node->right = insert(std::move(node->right), std::move(fresh));
      if (node->right->priority > node->priority) return rotate_left(std::move(node));
    }
    update(*node);
    return node;
  }

  static Link join(Link left, Link right) {
    if (!left) return right;
    if (!right) return left;
    if (left->priority > right->priority) {
      left->right = join(std::move(left->right), std::move(right));
      update(*left);
      return left;
    }
    right->left = join(std::move(left), std::move(right->left));
    update(*right);
    return right;
  }

  static Link erase(Link node, const Interval& interval) {
    if (!node) return node;
    const int order = compare(interval, node->interval);
    if (order == 0) return join(std::move(node->left), std::move(node->right));
    Link& child = order < 0 ? node->left : node->right;
    child = erase(std::move(child), interval);
    update(*node);
    return node;
  }

  template <class Visit>
  static void stab(Node* node, BytesView key, Visit& visit) {
    while (node != nullptr) {
      if (!node->max_unbounded && node->max_end <= key) return;
      if (node->left) stab(node->left.get(), key, visit);
      if (node->interval.begin > key) return;
      if (node->interval.unbounded || node->interval.end > key) visit(node->value);
      node = node->right.get();
    }
  }

  Link root_;
  std::size_t size_ = 0;
  Prng prng_{0x686f6c6466617374ULL};
};

}  // namespace holdfast::watch
