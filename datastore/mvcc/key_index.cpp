#include "datastore/mvcc/key_index.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "datastore/base/check.h"

namespace holdfast::mvcc {
namespace {

/// The 8 bytes of `key` after `prefix_size`, as a big-endian number, zero-padded: numbers order as
/// the bytes do, except that equal ones say nothing.
std::uint64_t head_of(BytesView key, std::size_t prefix_size) {
  if (key.size() >= prefix_size + 8) return load_be64(key.data() + prefix_size);
  if (key.size() <= prefix_size) return 0;
  char padded[8] = {};
  std::memcpy(padded, key.data() + prefix_size, key.size() - prefix_size);
  return load_be64(padded);
}

std::size_t common_prefix(BytesView a, BytesView b) {
  const std::size_t limit = std::min(a.size(), b.size());
  std::size_t i = 0;
  while (i < limit && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

IndexNode* IndexNode::child(std::size_t slot) const {
  return static_cast<const IndexInnerNode*>(this)->children_[slot];
}

std::size_t IndexNode::upper_bound(BytesView key) const {
  if (prefix_size_ != 0) {
    const int order =
        key.substr(0, prefix_size_).compare(entries_[0]->key().substr(0, prefix_size_));
    if (order < 0) return 0;
    if (order > 0) return count_;
  }
  return upper_bound_by_heads(key);
}

void IndexNode::prefetch() const {
  constexpr std::size_t kCacheLineBytes = 64;
  const char* line = reinterpret_cast<const char*>(this);
  for (std::size_t i = 0; i < sizeof(IndexNode); i += kCacheLineBytes) __builtin_prefetch(line + i);
}

std::size_t IndexNode::assumed_upper_bound(BytesView key) const {
  return upper_bound_by_heads(key);
}

std::size_t IndexNode::upper_bound_by_heads(BytesView key) const {
  const std::uint64_t head = head_of(key, prefix_size_);
  // Branch-free: the first slot with a head above ours.
  std::size_t base = 0;
  for (std::size_t length = count_; length > 1; length -= length / 2) {
    base += heads_[base + length / 2 - 1] <= head ? length / 2 : 0;
  }
  std::size_t above = base + (count_ != 0 && heads_[base] <= head ? 1 : 0);
  if (above == 0 || heads_[above - 1] != head) return above;
  // Equal heads: the entries decide.
  std::size_t low = above - 1;
  if (entries_[low]->key() <= key) return above;
  while (low > 0 && heads_[low - 1] == head) --low;
  const auto* first = entries_ + low;
  const auto* last = entries_ + above;
  return static_cast<std::size_t>(
      std::upper_bound(first, last, key,
                       [](BytesView k, const KeyEntry* entry) { return k < entry->key(); }) -
      entries_);
}

IndexIterator::IndexIterator(const IndexNode* root, BytesView from) {
  if (root == nullptr) return;
  for (const IndexNode* node = root;;) {
    HOLDFAST_CHECK(depth_ < kMaxDepth);
    const std::size_t bound = node->upper_bound(from);
    if (node->leaf()) {
      // upper_bound counts an equal key: step back onto it.
      const bool equal = bound > 0 && node->entry(bound - 1)->key() == from;
      path_[depth_++] = {node, equal ? bound - 1 : bound};
      break;
    }
    const std::size_t slot = bound == 0 ? 0 : bound - 1;
    path_[depth_++] = {node, slot};
    node = node->child(slot);
  }
  if (path_[depth_ - 1].slot == path_[depth_ - 1].node->count()) climb_to_next_leaf();
}

void IndexIterator::next() {
  constexpr std::size_t kPrefetchSlots = 8;
  Step& step = path_[depth_ - 1];
  if (++step.slot == step.node->count()) {
    climb_to_next_leaf();
  } else if (step.slot + kPrefetchSlots < step.node->count()) {
    step.node->entry(step.slot + kPrefetchSlots)->prefetch();
  }
}

void IndexIterator::climb_to_next_leaf() {
  --depth_;
  while (depth_ > 0 && path_[depth_ - 1].slot + 1 == path_[depth_ - 1].node->count()) --depth_;
  if (depth_ == 0) return;
  ++path_[depth_ - 1].slot;
  while (!path_[depth_ - 1].node->leaf()) {
    const Step& step = path_[depth_ - 1];
    path_[depth_] = {step.node->child(step.slot), 0};
    ++depth_;
  }
}

KeyEntry* find_entry(const IndexNode* root, BytesView key) {
  if (root == nullptr) return nullptr;
  // Most searches are for keys that are there: first without looking at prefixes, which would cost
  // a cache miss per level.
  const IndexNode* node = root;
  std::size_t bound = node->assumed_upper_bound(key);
  while (!node->leaf()) {
    node = node->child(bound == 0 ? 0 : bound - 1);
    node->prefetch();
    bound = node->assumed_upper_bound(key);
  }
  if (bound != 0 && node->entry(bound - 1)->key() == key) return node->entry(bound - 1);

  node = root;
  bound = node->upper_bound(key);
  while (!node->leaf()) {
    if (bound == 0) return nullptr;
    node = node->child(bound - 1);
    bound = node->upper_bound(key);
  }
  if (bound == 0) return nullptr;
  KeyEntry* entry = node->entry(bound - 1);
  return entry->key() == key ? entry : nullptr;
}

// ---- Nodes -------------------------------------------------------------------------------------

std::size_t KeyIndex::node_bytes(const IndexNode* node) {
  return node->leaf_ ? sizeof(IndexNode) : sizeof(IndexInnerNode);
}

IndexNode* KeyIndex::new_node(bool leaf) {
  if (leaf) return new (slab_.allocate(sizeof(IndexNode))) IndexNode(true, batch_);
  return new (slab_.allocate(sizeof(IndexInnerNode))) IndexInnerNode(batch_);
}

IndexNode* KeyIndex::copy_node(const IndexNode* node) {
  IndexNode* copy = new_node(node->leaf_);
  copy->count_ = node->count_;
  copy->prefix_size_ = node->prefix_size_;
  std::copy_n(node->heads_, node->count_, copy->heads_);
  std::copy_n(node->entries_, node->count_, copy->entries_);
  if (!node->leaf_) {
    std::copy_n(static_cast<const IndexInnerNode*>(node)->children_, node->count_,
                static_cast<IndexInnerNode*>(copy)->children_);
  }
  return copy;
}

void KeyIndex::retire(KeyEntry::Memory memory) {
  if (memory.memory != nullptr) retired_.push_back({last_view_, memory});
}

void KeyIndex::drop_node(IndexNode* node) {
  const std::size_t bytes = node_bytes(node);
  if (node->batch_ == batch_) {
    slab_.free(node, bytes);  // no reader has seen it
  } else {
    retire({node, bytes});
  }
}

void KeyIndex::drop_entry(KeyEntry* entry) {
  entry->for_each_memory([this](KeyEntry::Memory memory) { retire(memory); });
}

void KeyIndex::seal(std::uint64_t view_number) {
  last_view_ = view_number;
  ++batch_;
}

void KeyIndex::free_unreachable(std::uint64_t view_number) {
  while (!retired_.empty() && retired_.front().last_view <= view_number) {
    slab_.free(retired_.front().memory.memory, retired_.front().memory.bytes);
    retired_.pop_front();
  }
}

KeyIndex::~KeyIndex() {
  free_unreachable(last_view_);
  if (root_ != nullptr) free_tree(root_);
}

void KeyIndex::free_tree(IndexNode* node) {
  for (std::size_t i = 0; i < node->count_; ++i) {
    if (!node->leaf_) {
      free_tree(node->child(i));
      continue;
    }
    node->entries_[i]->for_each_memory(
        [this](KeyEntry::Memory memory) { slab_.free(memory.memory, memory.bytes); });
  }
  slab_.free(node, node_bytes(node));
}

// ---- Slots -------------------------------------------------------------------------------------

void KeyIndex::set_prefix(IndexNode* node, std::size_t prefix_size) {
  node->prefix_size_ = static_cast<std::uint32_t>(prefix_size);
  for (std::size_t i = 0; i < node->count_; ++i) node->entries_[i]->prefetch();
  for (std::size_t i = 0; i < node->count_; ++i) {
    node->heads_[i] = head_of(node->entries_[i]->key(), prefix_size);
  }
}

void KeyIndex::fit_prefix(IndexNode* node) {
  // Recomputing heads reads every key: only when it gains more than half a head.
  constexpr std::size_t kWorthwhileBytes = 4;
  const std::size_t common =
      common_prefix(node->entries_[0]->key(), node->entries_[node->count_ - 1U]->key());
  if (common > node->prefix_size_ + kWorthwhileBytes) set_prefix(node, common);
}

void KeyIndex::admit_to_prefix(IndexNode* node, BytesView key) {
  if (node->count_ == 0) {
    node->prefix_size_ = 0;
    return;
  }
  if (node->prefix_size_ == 0) return;
  const std::size_t common =
      common_prefix(key, node->entries_[0]->key().substr(0, node->prefix_size_));
  if (common < node->prefix_size_) set_prefix(node, common);
}

void KeyIndex::insert_slot(IndexNode* node, std::size_t slot, KeyEntry* entry, IndexNode* child) {
  HOLDFAST_CHECK(node->count_ < IndexNode::kCapacity);
  admit_to_prefix(node, entry->key());
  const std::size_t after = node->count_ - slot;
  std::memmove(node->heads_ + slot + 1, node->heads_ + slot, after * sizeof(node->heads_[0]));
  std::memmove(node->entries_ + slot + 1, node->entries_ + slot, after * sizeof(node->entries_[0]));
  node->heads_[slot] = head_of(entry->key(), node->prefix_size_);
  node->entries_[slot] = entry;
  if (!node->leaf_) {
    IndexNode** children = static_cast<IndexInnerNode*>(node)->children_;
    std::memmove(children + slot + 1, children + slot, after * sizeof(children[0]));
    children[slot] = child;
  }
  ++node->count_;
}

void KeyIndex::erase_slot(IndexNode* node, std::size_t slot) {
  const std::size_t after = node->count_ - slot - 1;
  std::memmove(node->heads_ + slot, node->heads_ + slot + 1, after * sizeof(node->heads_[0]));
  std::memmove(node->entries_ + slot, node->entries_ + slot + 1, after * sizeof(node->entries_[0]));
  if (!node->leaf_) {
    IndexNode** children = static_cast<IndexInnerNode*>(node)->children_;
    std::memmove(children + slot, children + slot + 1, after * sizeof(children[0]));
  }
  --node->count_;
}

void KeyIndex::set_entry(IndexNode* node, std::size_t slot, KeyEntry* entry) {
  // The slot's own key must not count for the prefix check when it is the one compared with.
  const bool same_key = node->entries_[slot]->key() == entry->key();
  if (!same_key) admit_to_prefix(node, entry->key());
  node->entries_[slot] = entry;
  if (!same_key) node->heads_[slot] = head_of(entry->key(), node->prefix_size_);
}

// ---- Paths -------------------------------------------------------------------------------------

KeyIndex::Path KeyIndex::path_to(BytesView key) const {
  Path path;
  for (IndexNode* node = root_;;) {
    HOLDFAST_CHECK(path.depth < path.steps.size());
    const std::size_t bound = node->upper_bound(key);
    if (node->leaf_) {
      path.steps[path.depth++] = {node, bound};
      return path;
    }
    const std::size_t slot = bound == 0 ? 0 : bound - 1;
    path.steps[path.depth++] = {node, slot};
    node = node->child(slot);
  }
}

void KeyIndex::make_writable(Path& path) {
  for (std::size_t level = 0; level < path.depth; ++level) {
    IndexNode* node = path[level].node;
    if (node->batch_ == batch_) continue;
    IndexNode* copy = copy_node(node);
    retire({node, node_bytes(node)});
    if (level == 0) {
      root_ = copy;
    } else {
      static_cast<IndexInnerNode*>(path[level - 1].node)->children_[path[level - 1].slot] = copy;
    }
    path[level].node = copy;
  }
}

void KeyIndex::first_entry_changed(Path& path, std::size_t level) {
  KeyEntry* first = path[level].node->entries_[0];
  while (level-- > 0) {
    set_entry(path[level].node, path[level].slot, first);
    if (path[level].slot != 0) return;
  }
}

// ---- Insertion ---------------------------------------------------------------------------------

void KeyIndex::insert(BytesView key, const HistoryItem& first) {
  KeyEntry* entry = KeyEntry::create(slab_, key, first);
  ++size_;
  live_keys_ += static_cast<std::size_t>(!first.tombstone);
  if (root_ == nullptr) {
    root_ = new_node(true);
    insert_slot(root_, 0, entry, nullptr);
    return;
  }
  Path path = path_to(key);
  make_writable(path);
  for (std::size_t level = path.depth; level-- > 0;) {
    if (path[level].node->count_ < IndexNode::kCapacity) break;
    split(path, level);
    // A split may have moved the slot to a new node, or made a new root: look again. Every node
    // on the way is already writable.
    path = path_to(key);
    level = path.depth;
  }
  insert_slot(path.back().node, path.back().slot, entry, nullptr);
  if (path.back().slot == 0) first_entry_changed(path, path.depth - 1);
}

void KeyIndex::split(Path& path, std::size_t level) {
  // Splits the topmost full node of the full ones above `level` first, so that each split finds
  // room in the parent.
  while (level > 0 && path[level - 1].node->count_ == IndexNode::kCapacity) --level;
  IndexNode* left = path[level].node;
  bool rightmost = path[level].slot + (left->leaf_ ? 0U : 1U) == left->count_;
  for (std::size_t above = 0; above < level; ++above) {
    rightmost = rightmost && path[above].slot + 1 == path[above].node->count_;
  }
  // Keys that arrive in ascending order would leave half-empty nodes behind: then the left node
  // stays (almost) full.
  const std::size_t kept = rightmost ? left->count_ - 1U : left->count_ / 2U;

  IndexNode* right = new_node(left->leaf_);
  right->prefix_size_ = left->prefix_size_;
  right->count_ = static_cast<std::uint16_t>(left->count_ - kept);
  std::copy_n(left->heads_ + kept, right->count_, right->heads_);
  std::copy_n(left->entries_ + kept, right->count_, right->entries_);
  if (!left->leaf_) {
    std::copy_n(static_cast<IndexInnerNode*>(left)->children_ + kept, right->count_,
                static_cast<IndexInnerNode*>(right)->children_);
  }
  left->count_ = static_cast<std::uint16_t>(kept);
  fit_prefix(left);
  fit_prefix(right);

  if (level == 0) {
    IndexNode* root = new_node(false);
    insert_slot(root, 0, left->entries_[0], left);
    insert_slot(root, 1, right->entries_[0], right);
    fit_prefix(root);
    root_ = root;
    return;
  }
  insert_slot(path[level - 1].node, path[level - 1].slot + 1, right->entries_[0], right);
}

// ---- Removal -----------------------------------------------------------------------------------

std::optional<Bytes> KeyIndex::prune(BytesView from, std::int64_t at, std::size_t max_entries) {
  if (root_ == nullptr) return std::nullopt;
  Bytes position(from);
  for (std::size_t visited = 0; visited < max_entries;) {
    IndexIterator at_leaf(root_, position);
    if (!at_leaf.valid()) return std::nullopt;
    Path path = path_to(at_leaf.entry().key());
    // path_to gives the slot behind an equal key.
    const std::size_t first_slot = path.back().slot - 1;
    path.back().slot = first_slot;
    const std::size_t end_slot =
        std::min<std::size_t>(path.back().node->count_, first_slot + (max_entries - visited));
    visited += end_slot - first_slot;
    position = path.back().node->entries_[end_slot - 1]->key();
    position.push_back('\0');
    prune_leaf(path, at, end_slot);
    if (root_ == nullptr) return std::nullopt;
  }
  return position;
}

void KeyIndex::prune_leaf(Path& path, std::int64_t at, std::size_t end_slot) {
  const std::size_t leaf_level = path.depth - 1;
  const IndexNode* before = path.back().node;
  std::size_t slot = path.back().slot;
  auto unchanged = [at](const KeyEntry* entry) {
    const History history = entry->history();
    return history.main_at(0) > at || first_after_prune(history, at) == 0;
  };
  while (slot < end_slot && unchanged(before->entries_[slot])) ++slot;
  if (slot == end_slot) return;

  make_writable(path);
  IndexNode* leaf = path.back().node;
  bool first_changed = false;
  for (std::size_t left = end_slot - slot; left > 0; --left) {
    KeyEntry* entry = leaf->entries_[slot];
    const std::size_t from = first_after_prune(entry->history(), at);
    if (from == 0) {
      ++slot;
      continue;
    }
    first_changed = first_changed || slot == 0;
    if (from == entry->history().size()) {
      erase_slot(leaf, slot);
      --size_;
    } else {
      set_entry(leaf, slot, entry->copy_from(slab_, from));
      ++slot;
    }
    drop_entry(entry);
  }
  if (first_changed && leaf->count_ != 0) first_entry_changed(path, leaf_level);
  after_removal(path, leaf_level);
}

void KeyIndex::after_removal(Path& path, std::size_t level) {
  for (;;) {
    IndexNode* node = path[level].node;
    if (level == 0) {
      shrink_root();
      return;
    }
    IndexNode* parent = path[level - 1].node;
    const std::size_t slot = path[level - 1].slot;
    if (node->count_ == 0) {
      erase_slot(parent, slot);
      drop_node(node);
      if (slot == 0 && parent->count_ != 0) first_entry_changed(path, level - 1);
    } else if (!merge_into_left(path, level)) {
      shrink_root();
      return;
    }
    --level;
  }
}

bool KeyIndex::merge_into_left(Path& path, std::size_t level) {
  constexpr std::size_t kSmall = IndexNode::kCapacity / 4;
  constexpr std::size_t kComfortable = IndexNode::kCapacity * 3 / 4;
  IndexNode* node = path[level].node;
  auto* parent = static_cast<IndexInnerNode*>(path[level - 1].node);
  const std::size_t slot = path[level - 1].slot;
  if (node->count_ > kSmall || slot == 0) return false;
  IndexNode* left = parent->children_[slot - 1];
  if (left->count_ + node->count_ > kComfortable) return false;

  if (left->batch_ != batch_) {
    IndexNode* copy = copy_node(left);
    retire({left, node_bytes(left)});
    parent->children_[slot - 1] = copy;
    left = copy;
  }
  for (std::size_t i = 0; i < node->count_; ++i) {
    insert_slot(left, left->count_, node->entries_[i], node->leaf_ ? nullptr : node->child(i));
  }
  erase_slot(parent, slot);
  drop_node(node);
  return true;
}

void KeyIndex::shrink_root() {
  while (!root_->leaf_ && root_->count_ == 1) {
    IndexNode* child = root_->child(0);
    drop_node(root_);
    root_ = child;
  }
  if (root_->count_ == 0) {
    drop_node(root_);
    root_ = nullptr;
  }
}

// ---- Bulk --------------------------------------------------------------------------------------

void KeyIndex::build(absl::Span<KeyEntry* const> sorted) {
  HOLDFAST_CHECK(root_ == nullptr);
  size_ = sorted.size();
  live_keys_ = static_cast<std::size_t>(std::count_if(
      sorted.begin(), sorted.end(), [](const KeyEntry* e) { return !e->newest().tombstone; }));
  // Full nodes split on the first insertion: leave a little room.
  constexpr std::size_t kFill = IndexNode::kCapacity * 7 / 8;
  std::vector<IndexNode*> level;
  for (std::size_t i = 0; i < sorted.size(); i += kFill) {
    IndexNode* leaf = new_node(true);
    leaf->count_ = static_cast<std::uint16_t>(std::min(kFill, sorted.size() - i));
    std::copy_n(sorted.data() + i, leaf->count_, leaf->entries_);
    set_prefix(leaf,
               common_prefix(leaf->entries_[0]->key(), leaf->entries_[leaf->count_ - 1U]->key()));
    level.push_back(leaf);
  }
  while (level.size() > 1) {
    std::vector<IndexNode*> above;
    for (std::size_t i = 0; i < level.size(); i += kFill) {
      IndexNode* inner = new_node(false);
      inner->count_ = static_cast<std::uint16_t>(std::min(kFill, level.size() - i));
      for (std::size_t slot = 0; slot < inner->count_; ++slot) {
        inner->entries_[slot] = level[i + slot]->entries_[0];
        static_cast<IndexInnerNode*>(inner)->children_[slot] = level[i + slot];
      }
      set_prefix(inner, common_prefix(inner->entries_[0]->key(),
                                      inner->entries_[inner->count_ - 1U]->key()));
      above.push_back(inner);
    }
    level = std::move(above);
  }
  if (!level.empty()) root_ = level.front();
}

}  // namespace holdfast::mvcc
