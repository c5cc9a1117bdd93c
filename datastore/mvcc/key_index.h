#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/mvcc/key_entry.h"
#include "datastore/mvcc/slab.h"

/// The ordered index of keys: a copy-on-write B+tree of pointers to KeyEntry.
///
///   inner   [low entry of child 0 | low 1 | low 2 …]   low = the smallest entry under that child
///   leaf    [entry | entry | entry …]
///
/// A reader that holds a root sees that tree for ever. Nodes made since the last seal() are the
/// writer's alone and change in place; older ones are copied before they change, and the old ones
/// retire. Keys are compared by 8-byte heads kept in the node, taken after a prefix common to all
/// the node's keys, so that a search touches few entries.
namespace holdfast::mvcc {

class IndexNode {
 public:
  static constexpr std::size_t kCapacity = 64;

  std::size_t count() const { return count_; }
  bool leaf() const { return leaf_; }
  KeyEntry* entry(std::size_t slot) const { return entries_[slot]; }
  IndexNode* child(std::size_t slot) const;

  /// Asks for all of the node's cache lines at once: the search then waits for one, not for each in
  /// turn.
  void prefetch() const;

  /// Number of slots whose key is <= `key`; exact.
  std::size_t upper_bound(BytesView key) const;
  /// The same if `key` starts with the node's common prefix, which it does not check: whoever asks
  /// compares with the entry found in the end.
  std::size_t assumed_upper_bound(BytesView key) const;

 protected:
  friend class KeyIndex;
  IndexNode(bool leaf, std::uint64_t batch) : batch_(batch), leaf_(leaf) {}

  std::size_t upper_bound_by_heads(BytesView key) const;

  /// Made in this batch; in place changes are allowed while it is the current one.
  std::uint64_t batch_;
  std::uint16_t count_ = 0;
  bool leaf_;
  /// All keys here start with the same this many bytes. Not always the longest such prefix.
  std::uint32_t prefix_size_ = 0;
  std::uint64_t heads_[kCapacity];
  KeyEntry* entries_[kCapacity];
};

/// A node whose slot i leads to the entries from entry(i) up to entry(i + 1).
class IndexInnerNode : public IndexNode {
 private:
  friend class IndexNode;
  friend class KeyIndex;
  explicit IndexInnerNode(std::uint64_t batch) : IndexNode(false, batch) {}
  IndexNode* children_[kCapacity];
};

/// Walks entries in key order from a root that stays put.
class IndexIterator {
 public:
  /// At the first entry with key >= `from`. `root` may be null: an empty index.
  IndexIterator(const IndexNode* root, BytesView from);

  bool valid() const { return depth_ != 0; }
  const KeyEntry& entry() const { return *mutable_entry(); }
  /// For the writer, which may append to the entry without moving the tree.
  KeyEntry* mutable_entry() const { return path_[depth_ - 1].node->entry(path_[depth_ - 1].slot); }
  void next();

 private:
  struct Step {
    const IndexNode* node;
    std::size_t slot;
  };
  void climb_to_next_leaf();

  static constexpr std::size_t kMaxDepth = 12;  // 32^12 keys
  std::array<Step, kMaxDepth> path_;
  std::size_t depth_ = 0;
};

/// The entry of `key`, or null.
KeyEntry* find_entry(const IndexNode* root, BytesView key);

/// The tree's writer. One thread; readers use roots.
class KeyIndex {
 public:
  KeyIndex() = default;
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  const IndexNode* root() const { return root_; }
  std::size_t size() const { return size_; }
  /// Keys whose newest revision is a put.
  std::size_t live_keys() const { return live_keys_; }
  std::size_t used_bytes() const { return slab_.used_bytes(); }
  Slab& slab() { return slab_; }

  /// Builds the tree from entries of slab() in strictly ascending key order. Requires an empty one.
  void build(absl::Span<KeyEntry* const> sorted);

  KeyEntry* find(BytesView key) const { return find_entry(root_, key); }

  /// Adds a key that is not there.
  void insert(BytesView key, const HistoryItem& first);

  /// Appends to the history of `entry`, which find() returned.
  void append(KeyEntry* entry, const HistoryItem& item) {
    live_keys_ += static_cast<std::size_t>(entry->newest().tombstone);
    live_keys_ -= static_cast<std::size_t>(item.tombstone);
    retire(entry->append(slab_, item));
  }

  /// Drops from the histories of up to `max_entries` keys, from `from` on, what a compaction at
  /// `at` makes unreadable, and forgets keys that have nothing left. Returns where to go on, or
  /// nothing at the end. Older roots keep what they had.
  std::optional<Bytes> prune(BytesView from, std::int64_t at, std::size_t max_entries);

  /// The tree so far is shown to readers as part of view `view_number`: from here on its nodes are
  /// copied before they change.
  void seal(std::uint64_t view_number);

  /// Frees what only views up to `view_number` could reach.
  void free_unreachable(std::uint64_t view_number);

 private:
  struct Retired {
    std::uint64_t last_view;
    KeyEntry::Memory memory;
  };
  struct Step {
    IndexNode* node;
    std::size_t slot;
  };
  /// Root first; the last step is in a leaf.
  struct Path {
    std::array<Step, 12> steps;
    std::size_t depth = 0;
    Step& operator[](std::size_t level) { return steps[level]; }
    Step& back() { return steps[depth - 1]; }
  };

  Path path_to(BytesView key) const;
  void make_writable(Path& path);
  IndexNode* new_node(bool leaf);
  IndexNode* copy_node(const IndexNode* node);
  void retire(KeyEntry::Memory memory);
  void drop_node(IndexNode* node);
  void drop_entry(KeyEntry* entry);
  static std::size_t node_bytes(const IndexNode* node);

  void insert_slot(IndexNode* node, std::size_t slot, KeyEntry* entry, IndexNode* child);
  void erase_slot(IndexNode* node, std::size_t slot);
  void set_entry(IndexNode* node, std::size_t slot, KeyEntry* entry);
  static void set_prefix(IndexNode* node, std::size_t prefix_size);
  static void fit_prefix(IndexNode* node);
  static void admit_to_prefix(IndexNode* node, BytesView key);

  void split(Path& path, std::size_t level);
  void first_entry_changed(Path& path, std::size_t level);
  void after_removal(Path& path, std::size_t level);
  bool merge_into_left(Path& path, std::size_t level);
  void shrink_root();
  void prune_leaf(Path& path, std::int64_t at, std::size_t end_slot);
  void free_tree(IndexNode* node);

  Slab slab_;
  IndexNode* root_ = nullptr;
  std::size_t size_ = 0;
  std::size_t live_keys_ = 0;
  std::uint64_t batch_ = 1;
  std::uint64_t last_view_ = 0;
  std::deque<Retired> retired_;
};

}  // namespace holdfast::mvcc
