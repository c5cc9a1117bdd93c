#include "operator/api/cron.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "operator/api/text.h"

namespace holdfast::api {

namespace {

/// A leap day's weekday comes again within 40 years, every other date much sooner.
constexpr int kYearsAhead = 40;

struct Field {
  std::string_view name;
  int least = 0;
  int most = 0;
  /// What words count as: their place, from `least`.
  std::vector<std::string_view> words;
};

const std::array<Field, 5>& fields() {
  static const std::array<Field, 5> kFields = {{
      {"minute", 0, 59, {}},
      {"hour", 0, 23, {}},
      {"day", 1, 31, {}},
      {"month",
       1,
       12,
       {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
      {"weekday", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
  }};
  return kFields;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kShorthands = {{
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
}};

bool read_value(absl::string_view text, const Field& field, int& value) {
  const std::string word = absl::AsciiStrToLower(text);
  for (std::size_t place = 0; place < field.words.size(); ++place) {
    if (word != field.words[place]) continue;
    value = field.least + static_cast<int>(place);
    return true;
  }
  return absl::SimpleAtoi(text, &value);
}

/// "a", "a-b", "*", each with "/step".
bool add_part(absl::string_view part, const Field& field, std::bitset<64>& values) {
  const std::vector<absl::string_view> halves = absl::StrSplit(part, absl::MaxSplits('/', 1));
  int step = 1;
  if (halves.size() == 2 && (!absl::SimpleAtoi(halves[1], &step) || step < 1)) return false;
  int first = field.least;
  int last = field.most;
  if (halves[0] != "*" && halves[0] != "?") {
    const std::vector<absl::string_view> ends = absl::StrSplit(halves[0], absl::MaxSplits('-', 1));
    if (!read_value(ends[0], field, first)) return false;
    last = halves.size() == 2 ? field.most : first;
    if (ends.size() == 2 && !read_value(ends[1], field, last)) return false;
  }
  if (first < field.least || last > field.most || first > last) return false;
  for (int value = first; value <= last;) {
    values.set(static_cast<std::size_t>(value));
    if (step > last - value) break;  // no overflow, however long the step
    value += step;
  }
  return true;
}

bool is_any(absl::string_view field) {
  return field == "*" || field == "?";
}

}  // namespace

absl::StatusOr<Cron> Cron::parse(std::string_view text) {
  for (const auto& [shorthand, meaning] : kShorthands) {
    if (text == shorthand) return parse(meaning);
  }
  const std::vector<absl::string_view> parts =
      absl::StrSplit(to_absl(text), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (parts.size() != fields().size()) {
    return absl::InvalidArgumentError(
        str_cat("\"", text, "\" is not a schedule of five fields: minute hour day month weekday"));
  }
  Cron cron;
  const std::array<Values*, 5> all = {&cron.minutes_, &cron.hours_, &cron.days_, &cron.months_,
                                      &cron.weekdays_};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const absl::string_view part : absl::StrSplit(parts[i], ',')) {
      if (add_part(part, fields()[i], *all[i])) continue;
      return absl::InvalidArgumentError(
          str_cat("\"", from_absl(parts[i]), "\" is no ", fields()[i].name, " of a schedule"));
    }
  }
  if (cron.weekdays_.test(7)) cron.weekdays_.set(0);  // Sunday has two names
  cron.any_day_ = is_any(parts[2]);
  cron.any_weekday_ = is_any(parts[4]);
  return cron;
}

bool Cron::is_due_on(const absl::CivilDay& at) const {
  if (!months_.test(static_cast<std::size_t>(at.month()))) return false;
  const int weekday = (static_cast<int>(absl::GetWeekday(at)) + 1) % 7;  // Sunday: 0
  const bool day = days_.test(static_cast<std::size_t>(at.day()));
  const bool of_week = weekdays_.test(static_cast<std::size_t>(weekday));
  return any_day_ || any_weekday_ ? day && of_week : day || of_week;
}

bool Cron::is_due(const absl::CivilMinute& at) const {
  return minutes_.test(static_cast<std::size_t>(at.minute())) &&
         hours_.test(static_cast<std::size_t>(at.hour())) && is_due_on(absl::CivilDay(at));
}

std::optional<absl::Time> Cron::next(absl::Time after, const absl::TimeZone& zone) const {
  const absl::CivilMinute now = absl::ToCivilMinute(after, zone);
  const absl::CivilYear end = absl::CivilYear(now) + kYearsAhead;
  for (absl::CivilDay day(now); absl::CivilYear(day) <= end; ++day) {
    if (!is_due_on(day)) continue;
    const absl::CivilMinute midnight(absl::CivilDay(day + 1));
    for (absl::CivilMinute at(day); at < midnight; ++at) {
      if (at < now || !is_due(at)) continue;
      const absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(at));
      const absl::Time time =
          info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
      if (time > after) return time;
    }
  }
  return std::nullopt;
}

}  // namespace holdfast::api
