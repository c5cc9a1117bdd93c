#include "datastore/crypto/simple_tokens.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::crypto {
namespace {

constexpr std::size_t kPrefixLetters = 16;
constexpr BytesView kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Old tokens are looked for so often in the time of one's life.
constexpr int kSweepsPerTtl = 4;

}  // namespace

Bytes new_token_prefix(ports::Random& random) {
  // Of each number only what is below the largest multiple of the letters counts: all are as
  // likely.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % kLetters.size();
  Bytes prefix;
  while (prefix.size() < kPrefixLetters) {
    const std::uint64_t dice = random.next();
    if (dice < limit) prefix.push_back(kLetters[dice % kLetters.size()]);
  }
  return prefix;
}

std::optional<std::uint64_t> token_index(BytesView token) {
  const std::size_t dot = token.find('.');
  if (dot == BytesView::npos || dot + 1 == token.size()) return std::nullopt;
  std::uint64_t index = 0;
  const char* const end = token.data() + token.size();
  const auto [at, error] = std::from_chars(token.data() + dot + 1, end, index);
  if (error != std::errc() || at != end) return std::nullopt;
  return index;
}

void SimpleTokens::keep(Bytes token, Bytes user) {
  const auto now = clock_.monotonic();
  const std::lock_guard lock(mutex_);
  drop_old(now);
  tokens_.insert_or_assign(std::move(token), Entry{std::move(user), now + ttl_});
}

void SimpleTokens::drop_old(std::chrono::nanoseconds now) {
  if (now >= next_sweep_) {
    next_sweep_ = now + ttl_ / kSweepsPerTtl;
    absl::erase_if(tokens_, [&](const auto& each) { return each.second.ends < now; });
  }
  if (tokens_.size() < kMaxTokens) return;
  tokens_.erase(std::min_element(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) {
    return a.second.ends < b.second.ends;
  }));
}

std::optional<Bytes> SimpleTokens::find(BytesView token) {
  const auto now = clock_.monotonic();
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(absl::string_view(token.data(), token.size()));
  if (found == tokens_.end()) return std::nullopt;
  if (found->second.ends < now) {
    tokens_.erase(found);
    return std::nullopt;
  }
  found->second.ends = now + ttl_;
  return found->second.user;
}

void SimpleTokens::forget_user(BytesView user) {
  const std::lock_guard lock(mutex_);
  absl::erase_if(tokens_, [&](const auto& each) { return each.second.user == user; });
}

void SimpleTokens::forget_all() {
  const std::lock_guard lock(mutex_);
  tokens_.clear();
}

std::size_t SimpleTokens::size() const {
  const std::lock_guard lock(mutex_);
  return tokens_.size();
}

}  // namespace holdfast::crypto
