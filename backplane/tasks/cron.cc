#include "backplane/tasks/cron.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// After so long all dates and days of the week come again as they were.
constexpr int kMonthsOfTheCalendar = 400 * 12;

constexpr std::pair<absl::string_view, absl::string_view> kShorthands[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("cron: ", what)); }

bool Has(uint64_t values, int value) { return ((values >> value) & 1) != 0; }

// The first of the values from this one on, up to 63; 64 if there is none.
int FirstFrom(uint64_t values, int from) {
  if (from > 63) return 64;
  return std::countr_zero(values >> from << from);
}
int First(uint64_t values) { return std::countr_zero(values); }

struct Field {
  absl::string_view name;
  int least, most;
  int highest;              // That may be written; Sunday has two numbers.
  absl::string_view names;  // Three letters each, from `least` on.

  absl::Status Error(absl::string_view text, absl::string_view what) const {
    return Wrong(absl::StrCat("the ", name, ": `", text, "` ", what));
  }
  std::optional<int> ValueOf(absl::string_view text) const {
    if (int value = 0; !text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0])) && text.size() <= 4 &&
                       absl::SimpleAtoi(text, &value)) {
      return value >= least && value <= highest ? std::optional<int>(value) : std::nullopt;
    }
    if (text.size() != 3) return std::nullopt;
    for (size_t at = 0; at < names.size(); at += 3) {
      if (names.substr(at, 3) == text) return least + static_cast<int>(at / 3);
    }
    return std::nullopt;
  }
};

constexpr Field kFields[] = {{"second", 0, 59, 59, ""},
                             {"minute", 0, 59, 59, ""},
                             {"hour", 0, 23, 23, ""},
                             {"day of month", 1, 31, 31, ""},
                             {"month", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
                             {"day of week", 0, 6, 7, "sunmontuewedthufrisat"}};

absl::StatusOr<uint64_t> ParseItem(const Field& field, absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('/', 1));
  const bool stepped = absl::StrContains(text, '/');
  int step = 1;
  const int steps = field.most - field.least + 1;
  const absl::string_view digits = parts.second;
  if (stepped && (digits.empty() || digits.size() > 4 || !std::ranges::all_of(digits, absl::ascii_isdigit) ||
                  !absl::SimpleAtoi(digits, &step) || step < 1 || step > steps)) {
    return field.Error(text, absl::StrCat("has a step that is not in 1 … ", steps));
  }
  int from = field.least;
  int to = field.most;
  if (parts.first != "*") {
    const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(parts.first, absl::MaxSplits('-', 1));
    const bool range = absl::StrContains(parts.first, '-');
    const std::optional<int> first = field.ValueOf(ends.first);
    std::optional<int> last = first;
    if (range) last = field.ValueOf(ends.second);
    if (!first.has_value() || !last.has_value()) {
      return field.Error(text, absl::StrCat("is not of ", field.least, " … ", field.highest,
                                            field.names.empty() ? "" : " or a name of three letters"));
    }
    from = *first;
    // A week may end with Sunday: `fri-sun`.
    if (range) {
      to = ends.second == "sun" && from > 0 ? field.highest : *last;
    } else if (!stepped) {
      to = from;
    } else {
      to = std::max(from, field.most);
    }
    if (from > to) return field.Error(text, "ends before it begins");
  }
  uint64_t values = 0;
  for (int value = from; value <= to; value += step)
    values |= uint64_t{1} << (value > field.most ? field.least : value);
  return values;
}

absl::StatusOr<uint64_t> ParseField(const Field& field, absl::string_view text) {
  uint64_t values = 0;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const absl::StatusOr<uint64_t> more = ParseItem(field, item);
    if (!more.ok()) return more.status();
    values |= *more;
  }
  return values;
}

}  // namespace

absl::StatusOr<Cron> Cron::Parse(absl::string_view expression) {
  std::string text = absl::AsciiStrToLower(absl::StripAsciiWhitespace(expression));
  if (absl::StartsWith(text, "@")) {
    const auto* const known = std::ranges::find(kShorthands, text, [](const auto& pair) { return pair.first; });
    if (known == std::end(kShorthands)) {
      return Wrong("takes @hourly, @daily, @weekly, @monthly or @yearly of those that begin with @");
    }
    text = std::string(known->second);
  }
  const std::vector<absl::string_view> fields = absl::StrSplit(text, absl::ByAnyChar(" \t\r\n\v\f"), absl::SkipEmpty());
  constexpr size_t kAll = std::size(kFields);
  if (fields.size() != kAll && fields.size() != kAll - 1) {
    return Wrong(absl::StrCat("takes five fields, or six with seconds in front; there are ", fields.size()));
  }

  Cron cron;
  const std::array<Values*, kAll> values = {&cron.seconds_, &cron.minutes_, &cron.hours_,
                                            &cron.days_,    &cron.months_,  &cron.weekdays_};
  const size_t unset = kAll - fields.size();
  for (size_t i = unset; i < kAll; ++i) {
    const absl::StatusOr<uint64_t> parsed = ParseField(kFields[i], fields[i - unset]);
    if (!parsed.ok()) return parsed.status();
    *values[i] = *parsed;
  }
  const absl::string_view hour = fields[2 - unset];
  const absl::string_view day = fields[3 - unset];
  const absl::string_view weekday = fields[5 - unset];
  cron.counts_hours_ = absl::StrContains(hour, '*') || absl::StrContains(hour, '/');
  cron.either_day_ = !absl::StartsWith(day, "*") && !absl::StartsWith(weekday, "*");
  if (!cron.DayFrom(absl::CivilDay(2000, 1, 1)).has_value()) return Wrong("there is no such date, in any year");
  return cron;
}

bool Cron::Fits(absl::CivilDay day) const {
  // Abseil's weeks begin with Monday.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_day = Has(days_, day.day());
  const bool by_weekday = Has(weekdays_, weekday);
  return either_day_ ? by_day || by_weekday : by_day && by_weekday;
}

std::optional<absl::CivilDay> Cron::DayFrom(absl::CivilDay day) const {
  const absl::CivilMonth last = absl::CivilMonth(day) + kMonthsOfTheCalendar;
  for (absl::CivilMonth month(day); month <= last; ++month) {
    if (!Has(months_, month.month())) continue;
    const absl::CivilDay next_month(month + 1);
    for (absl::CivilDay date = std::max(day, absl::CivilDay(month)); date < next_month; ++date) {
      if (Fits(date)) return date;
    }
  }
  return std::nullopt;
}

std::optional<Cron::Time> Cron::TimeFrom(Time time) const {
  const int second = First(seconds_);
  const int minute = First(minutes_);
  if (Has(hours_, time.hour)) {
    if (Has(minutes_, time.minute)) {
      const int later = FirstFrom(seconds_, time.second);
      if (later <= 59) return Time{time.hour, time.minute, later};
    }
    const int later = FirstFrom(minutes_, time.minute + 1);
    if (later <= 59) return Time{time.hour, later, second};
  }
  const int later = FirstFrom(hours_, time.hour + 1);
  if (later <= 23) return Time{later, minute, second};
  return std::nullopt;
}

absl::CivilSecond Cron::After(absl::CivilSecond reading) const {
  const absl::CivilSecond from = reading + 1;
  absl::CivilDay day(from);
  std::optional<Time> time;
  if (Has(months_, day.month()) && Fits(day)) time = TimeFrom({from.hour(), from.minute(), from.second()});
  if (!time.has_value()) {
    const std::optional<absl::CivilDay> next = DayFrom(day + 1);
    CHECK(next.has_value());  // Parse has seen one, and so often they come again.
    day = *next;
    time = TimeFrom({0, 0, 0});
  }
  return absl::CivilSecond(day.year(), day.month(), day.day(), time->hour, time->minute, time->second);
}

}  // namespace actioncluster
