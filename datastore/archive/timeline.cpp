#include "datastore/archive/timeline.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace holdfast::archive {
namespace {

std::string text_of(const Gap& gap, const Words& words) {
  std::string text = absl::StrCat(
      " lies in a gap of the archive: from ", text_of_ms(gap.after_ms), " to ",
      text_of_ms(gap.until_ms), " nobody followed the log, and of entries ", gap.first.value,
      " to ", gap.last.value, " only the order is known. Set ", std::string(words.moment), " to ",
      text_of_ms(gap.after_ms), " or earlier, or to ", text_of_ms(gap.until_ms),
      " or later; or set ", std::string(words.revision));
  if (gap.revision_before == 0 || gap.revision_after == 0) {
    return absl::StrCat(text, ", as every revision within is held");
  }
  return absl::StrCat(text, " to one from ", gap.revision_before, " to ", gap.revision_after,
                      ", all of which are held");
}

std::string text_of(const Hole& hole, const Words& words) {
  return absl::StrCat(", as entries ", hole.first.value, " to ", hole.last.value,
                      " are missing after it; for a later one take a ", std::string(words.base),
                      " made after ",
                      hole.next_known_ms == 0 ? "them" : text_of_ms(hole.next_known_ms));
}

}  // namespace

std::string text_of_ms(std::int64_t time_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(time_ms),
                          absl::UTCTimeZone());
}

std::string write_archived_until(const ArchivedUntil& end) {
  return absl::StrCat(text_of_ms(end.held.until_ms), " revision ", end.held.revision, " entry ",
                      end.index.value, "\n");
}

absl::StatusOr<ArchivedUntil> parse_archived_until(BytesView text) {
  const std::vector<std::string> words =
      absl::StrSplit(std::string(text), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  ArchivedUntil end;
  absl::Time until;
  std::string why;
  if (words.size() != 5 || !absl::ParseTime(absl::RFC3339_full, words[0], &until, &why) ||
      words[1] != "revision" || !absl::SimpleAtoi(words[2], &end.held.revision) ||
      end.held.revision < 0 || words[3] != "entry" ||
      !absl::SimpleAtoi(words[4], &end.index.value)) {
    return absl::DataLossError(
        absl::StrCat("the archive's file ", std::string(kArchivedUntilFile),
                     " does not say a time, a revision and an entry: fetch the archive again"));
  }
  end.held.until_ms = absl::ToUnixMillis(until);
  return end;
}

Timeline::Timeline(Index begin, std::int64_t begin_ms)
    : begin_(begin),
      learns_begin_(begin_ms == 0),
      begin_ms_(begin_ms),
      end_(begin),
      held_{begin_ms, 0} {
}

absl::Status Timeline::add(BytesView segment) {
  if (hole_) return absl::OkStatus();
  absl::StatusOr<SegmentReader> reader = SegmentReader::open(segment);
  if (!reader.ok()) return reader.status();
  const bool breaks = reader->joint().index > end_;
  while (true) {
    const absl::StatusOr<std::optional<Batch>> batch = reader->next();
    if (!batch.ok()) return batch.status();
    if (!batch->has_value()) return absl::OkStatus();
    if (breaks) {
      hole_ = Hole{end_.next(), reader->joint().index, (*batch)->known_at_ms};
      return absl::OkStatus();
    }
    take(**batch);
  }
}

void Timeline::hold(const Held& held) {
  held_.until_ms = std::max(held_.until_ms, held.until_ms);
  held_.revision = std::max(held_.revision, held.revision);
}

void Timeline::take(const Batch& batch) {
  hold(batch.before);
  if (learns_begin_ && batch.entries.front().index <= begin_) {
    begin_ms_ = std::max(begin_ms_, batch.known_at_ms);
  }
  const Index last = batch.entries.back().index;
  if (last <= end_) return;  // told by an earlier segment
  const Index first = end_.next();
  const std::int64_t known_ms = std::max(last_known_ms_, batch.known_at_ms);
  const std::int64_t told_ms = std::max(last_known_ms_, held_.until_ms);
  end_ = last;
  last_known_ms_ = known_ms;
  Gap* const gap = gaps_.empty() ? nullptr : &gaps_.back();
  if (learns_begin_ && held_.until_ms == 0) {
    begin_ms_ = known_ms;  // of before it nothing is told
  } else if (known_ms - held_.until_ms <= kPrecisionMs) {
    if (gap != nullptr && gap->revision_after == 0) gap->revision_after = held_.revision;
  } else if (gap != nullptr && held_.until_ms < gap->until_ms) {
    gap->until_ms = known_ms;
    gap->last = last;
  } else {
    gaps_.push_back({told_ms, known_ms, first, last, held_.revision, 0});
  }
}

void Timeline::end_at(const ArchivedUntil& end) {
  if (!hole_ && end_ < end.index) hole_ = Hole{end_.next(), end.index, 0};
  if (hole_) return;  // what is held is of what lies beyond
  hold(end.held);
  if (!gaps_.empty() && !ends_in_gap() && gaps_.back().revision_after == 0) {
    gaps_.back().revision_after = held_.revision;
  }
}

/// Nothing says that the last entries are all that there was by then.
bool Timeline::ends_in_gap() const {
  return !gaps_.empty() && gaps_.back().until_ms == last_known_ms_ &&
         last_known_ms_ - held_.until_ms > kPrecisionMs;
}

bool Timeline::is_settled(std::int64_t moment_ms) const {
  if (hole_) return true;
  const bool in_open_gap = !gaps_.empty() && gaps_.back().until_ms == last_known_ms_ &&
                           moment_ms > gaps_.back().after_ms;
  return moment_ms < last_known_ms_ && !in_open_gap;
}

std::int64_t Timeline::end_ms() const {
  if (ends_in_gap()) return gaps_.back().after_ms;
  return std::max({begin_ms_, held_.until_ms, last_known_ms_});
}

absl::Status Timeline::check(std::int64_t moment_ms, const Words& words) const {
  const std::string asked = absl::StrCat(std::string(words.moment), " ", text_of_ms(moment_ms));
  if (moment_ms < begin_ms_) {
    return absl::OutOfRangeError(absl::StrCat(asked, " lies before the ", std::string(words.base),
                                              ": possible is from ", text_of_ms(begin_ms_), " to ",
                                              text_of_ms(end_ms()), "; take an earlier ",
                                              std::string(words.base), " for it"));
  }
  if (moment_ms > end_ms()) {
    std::string text = absl::StrCat(asked, " lies beyond the archive: possible is from ",
                                    text_of_ms(begin_ms_), " to ", text_of_ms(end_ms()));
    if (hole_) absl::StrAppend(&text, text_of(*hole_, words));
    return absl::OutOfRangeError(text);
  }
  for (const Gap& gap : gaps_) {
    if (gap.after_ms < moment_ms && moment_ms < gap.until_ms) {
      return absl::OutOfRangeError(absl::StrCat(asked, text_of(gap, words)));
    }
  }
  return absl::OkStatus();
}

}  // namespace holdfast::archive
