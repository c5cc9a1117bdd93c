// Every operation on the disk is followed by crash images of it: what was synced must be in each,
// and nothing that was never appended.

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datastore/wal/format.h"
#include "datastore/wal/wal.h"
#include "gtest/gtest.h"
#include "tests/unit/wal/fault_disk.h"
#include "tests/unit/wal/nonce_ledger.h"

namespace holdfast::wal {
namespace {

const std::string kDirectory = "wal";
const Identity kIdentity{ClusterId(1), MemberId(2)};
constexpr std::uint64_t kSegmentBytes = 4096;
/// The most that an append may hold to stay one batch.
constexpr std::size_t kMaxAppendBytes = 3000;

enum class Sealing { kPlain, kSealed, kSealedLater };

Options options(bool sealed, bool seal_plain) {
  Options small;
  small.segment_bytes = kSegmentBytes;
  if (sealed) small.key = crypto::SealingKey{{}, crypto::Key256(Bytes(32, 'k'))};
  small.seal_plain = seal_plain;
  return small;
}

/// What the log should add up to after some append.
struct State {
  raft::HardState hard_state;
  raft::SnapshotMetadata snapshot;
  Index last;
  std::map<Index, raft::Entry> entries;

  void apply(const Batch& batch) {
    if (batch.hard_state) hard_state = *batch.hard_state;
    if (batch.snapshot) {
      snapshot = batch.snapshot->snapshot;
      if (batch.snapshot->replaces_log) {
        entries.clear();
        last = snapshot.index;
      }
    }
    for (const raft::Entry& entry : batch.entries) {
      entries.erase(entries.lower_bound(entry.index), entries.end());
      entries[entry.index] = entry;
      last = entry.index;
    }
  }

  /// The log may have been trimmed up to its snapshot.
  bool equals(const Recovered& found) const {
    if (found.hard_state != hard_state || found.snapshot != snapshot) return false;
    if (found.last_index != last) return false;
    if (found.entries.empty()) return snapshot.index == last;
    if (found.entries.front().index > snapshot.index.next()) return false;
    for (const raft::Entry& entry : found.entries) {
      const auto known = entries.find(entry.index);
      if (known == entries.end() || known->second != entry) return false;
    }
    return found.entries.back().index == last;
  }
};

/// A random append that raft could ask for.
struct Append {
  std::optional<SnapshotMarker> snapshot;
  std::optional<raft::HardState> hard_state;
  std::vector<raft::Entry> entries;
  Batch batch() const { return {snapshot, hard_state, entries}; }
};

Bytes random_data(Prng& dice) {
  Bytes data(dice.chance(1, 6) ? dice.below(1400) : dice.below(120), '\0');
  if (dice.chance(1, 8)) return data;  // zeros look like sectors that were never written
  for (char& byte : data) byte = static_cast<char>(dice.next());
  return data;
}

Append random_append(const State& state, Prng& dice) {
  Append made;
  Index next = state.last.next();
  if (dice.chance(1, 25)) {
    const Index index(state.last.value + dice.below(10));
    made.snapshot = SnapshotMarker{{{{MemberId(2)}, {}}, index, Term(3)}, true};
    next = index.next();
  } else if (dice.chance(1, 5) && state.last > state.snapshot.index) {
    const std::uint64_t distance = state.last.value - state.snapshot.index.value;
    const Index index(state.snapshot.index.value + dice.below(distance + 1));
    made.snapshot = SnapshotMarker{{{{MemberId(2)}, {MemberId(3)}}, index, Term(3)}, false};
  } else if (dice.chance(1, 8) && state.last > state.snapshot.index) {
    next = Index(state.last.value - dice.below(state.last.value - state.snapshot.index.value));
  }
  if (dice.chance(1, 3) || made.snapshot) {
    made.hard_state = raft::HardState{Term(dice.below(100)), MemberId(2), Index(dice.below(9))};
  }
  if (dice.chance(1, 30)) {  // larger than a segment
    const Bytes data(4000 + dice.below(6000), 'L');
    made.entries.push_back({Term(2), next, raft::EntryType::kNormal, data});
    return made;
  }
  std::size_t bytes = 0;
  for (std::uint64_t count = dice.below(6); count > 0; --count) {
    raft::Entry entry{Term(1 + dice.below(3)), next, raft::EntryType::kNormal, random_data(dice)};
    bytes += entry.data.size() + 32;
    if (bytes > kMaxAppendBytes) break;
    made.entries.push_back(std::move(entry));
    next = next.next();
  }
  return made;
}

/// A log under random appends, and all states that a crash may bring back.
class CrashRun {
 public:
  CrashRun(std::uint64_t seed, std::uint64_t images_per_change, Sealing sealing,
           NonceLedger& nonces)
      : seed_(seed),
        dice_(seed),
        images_per_change_(images_per_change),
        sealing_(sealing),
        sealed_(sealing == Sealing::kSealed),
        nonces_(nonces) {
    nonces_.watch(disk_);
  }

  void run(int appends) {
    disk_.on_change = [this] { check_images(); };
    // Every other log begins with entries, as that of a new cluster does.
    Append first;
    if (seed_ % 2 == 1) {
      first.hard_state = raft::HardState{Term(1), MemberId(), Index(2)};
      for (const std::uint64_t index : {1, 2}) {
        first.entries.push_back(
            {Term(1), Index(index), raft::EntryType::kConfChange, random_data(dice_)});
      }
    }
    possible_.back().apply(first.batch());
    auto made = Wal::create(
        disk_, kDirectory, kIdentity, 0xfeed + seed_,
        {.hard_state = first.hard_state.value_or(raft::HardState()), .entries = first.entries},
        options());
    ASSERT_TRUE(made.ok()) << made.status();
    wal_ = *std::move(made);
    created_ = true;
    for (int i = 0; i < appends && !::testing::Test::HasFailure(); ++i) step();
    disk_.on_change = nullptr;
  }

  std::uint64_t images() const { return images_; }
  std::uint64_t torn() const { return torn_; }

 private:
  void step() {
    const Append made = random_append(possible_.back(), dice_);
    State after = possible_.back();
    after.apply(made.batch());
    possible_.push_back(std::move(after));
    const bool sync = dice_.chance(2, 3);
    const absl::Status status = wal_->append(made.batch(), sync);
    ASSERT_TRUE(status.ok()) << status;
    if (sync) forget_older();
    if (dice_.chance(1, 6)) {
      ASSERT_TRUE(wal_->prepare_next_segment().ok());
    }
    if (dice_.chance(1, 12)) {
      ASSERT_TRUE(wal_->release_next_segment().ok());
    }
    if (dice_.chance(1, 4)) {
      ASSERT_TRUE(wal_->trim_before(possible_.back().snapshot.index.next()).ok());
    }
    if (dice_.chance(1, 20)) restart();
  }

  Options options() const { return wal::options(sealed_, sealing_ == Sealing::kSealedLater); }

  void restart() {
    wal_.reset();
    sealed_ = sealing_ != Sealing::kPlain;
    auto opened = Wal::open(disk_, kDirectory, options());
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE(possible_.back().equals(opened->recovered));
    wal_ = std::move(opened->wal);
    forget_older();
  }

  void forget_older() { possible_.erase(possible_.begin(), possible_.end() - 1); }

  void check_images() {
    for (std::uint64_t i = 0; i < images_per_change_; ++i) {
      const auto kind = static_cast<FaultDisk::Crash>(dice_.below(FaultDisk::kCrashKinds));
      const std::unique_ptr<FaultDisk> image = disk_.crash(kind, dice_);
      check_image(*image, static_cast<int>(kind));
      if (::testing::Test::HasFailure()) return;
    }
  }

  void check_image(FaultDisk& image, int kind) {
    ++images_;
    nonces_.watch(image);
    SCOPED_TRACE("seed " + std::to_string(seed_) + ", image " + std::to_string(images_) +
                 ", crash kind " + std::to_string(kind));
    if (dice_.chance(1, 10)) crash_during_recovery(image);
    auto opened = Wal::open(image, kDirectory, options());
    if (!created_ && absl::IsNotFound(opened.status())) return;
    ASSERT_TRUE(opened.ok()) << opened.status();
    if (opened->recovered.torn_tail.cut_bytes > 0) ++torn_;
    const State* found = find(opened->recovered);
    ASSERT_NE(found, nullptr) << "recovered last index " << opened->recovered.last_index;
    if (dice_.chance(1, 4)) go_on(image, *found, std::move(opened->wal));
  }

  /// Recovery itself may be cut short at any change that it makes.
  void crash_during_recovery(const FaultDisk& image) {
    const std::unique_ptr<FaultDisk> first = image.crash(FaultDisk::Crash::kProcess, dice_);
    nonces_.watch(*first);
    first->on_change = [&] {
      const auto kind = static_cast<FaultDisk::Crash>(dice_.below(FaultDisk::kCrashKinds));
      const std::unique_ptr<FaultDisk> second = first->crash(kind, dice_);
      const auto opened = Wal::open(*second, kDirectory, options());
      if (!created_ && absl::IsNotFound(opened.status())) return;
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_NE(find(opened->recovered), nullptr);
    };
    Wal::open(*first, kDirectory, options()).status().IgnoreError();
  }

  /// The recovered log takes appends and trims, and nothing that was cut comes back with them.
  void go_on(FaultDisk& image, State state, std::unique_ptr<Wal> wal) {
    if (dice_.chance(1, 2)) {
      ASSERT_TRUE(wal->trim_before(state.last.next()).ok());
    }
    for (std::uint64_t i = dice_.below(3); i > 0; --i) {
      const Append more = random_append(state, dice_);
      const absl::Status status = wal->append(more.batch());
      ASSERT_TRUE(status.ok()) << status;
      state.apply(more.batch());
    }
    const Append last = random_append(state, dice_);
    const absl::Status status = wal->append(last.batch(), /*sync=*/false);
    ASSERT_TRUE(status.ok()) << status;
    State after = state;
    after.apply(last.batch());

    const auto kind = static_cast<FaultDisk::Crash>(dice_.below(FaultDisk::kCrashKinds));
    const std::unique_ptr<FaultDisk> again = image.crash(kind, dice_);
    const auto opened = Wal::open(*again, kDirectory, options());
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE(state.equals(opened->recovered) || after.equals(opened->recovered));
  }

  const State* find(const Recovered& recovered) const {
    for (const State& state : possible_) {
      if (state.equals(recovered)) return &state;
    }
    return nullptr;
  }

  const std::uint64_t seed_;
  Prng dice_;
  const std::uint64_t images_per_change_;
  const Sealing sealing_;
  bool sealed_;
  NonceLedger& nonces_;
  FaultDisk disk_;
  std::unique_ptr<Wal> wal_;
  bool created_ = false;
  /// From the last synced state to the newest.
  std::vector<State> possible_{State()};
  std::uint64_t images_ = 0;
  std::uint64_t torn_ = 0;
};

/// HOLDFAST_SEED repeats one run; HOLDFAST_SEEDS asks for more of them.
std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void run_seeds(Sealing sealing, std::uint64_t otherwise) {
  NonceLedger nonces;
  const std::uint64_t first = from_environment("HOLDFAST_SEED", 1);
  const std::uint64_t count =
      from_environment("HOLDFAST_SEED", 0) != 0 ? 1 : from_environment("HOLDFAST_SEEDS", otherwise);
  std::uint64_t images = 0;
  std::uint64_t torn = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CrashRun run(seed, 3, sealing, nonces);
    run.run(100);
    images += run.images();
    torn += run.torn();
    if (::testing::Test::HasFailure()) break;
  }
  ::testing::Test::RecordProperty("images", static_cast<int>(images));
  std::printf("%llu crash images, %llu with a torn tail\n", static_cast<unsigned long long>(images),
              static_cast<unsigned long long>(torn));
  EXPECT_GT(images, 300 * count);
  EXPECT_GT(torn, 10 * count);
  EXPECT_EQ(nonces.size() > 0, sealing != Sealing::kPlain);
}

TEST(WalCrash, EveryImageHoldsWhatWasSyncedAndNothingElse) {
  run_seeds(Sealing::kPlain, 60);
}

TEST(WalCrash, EveryImageOfASealedLogDoesTooAndNoNonceIsUsedTwice) {
  run_seeds(Sealing::kSealed, 30);
}

TEST(WalCrash, SoDoesEveryImageOfALogThatIsSealedWhenItIsOpened) {
  run_seeds(Sealing::kSealedLater, 30);
}

}  // namespace
}  // namespace holdfast::wal
