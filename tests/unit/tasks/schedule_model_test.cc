#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "backplane/tasks/schedule.h"

// Schedules beside a model that is too slow to use, and too simple to be wrong: it looks at each minute that there is.
namespace actioncluster {
namespace {

// A field as the model has it: its text, and whether each value fits.
struct Field {
  std::string text;
  std::set<int> values;
  bool star = false;  // Begins with `*`.
  bool step = false;
};

class Random {
 public:
  int Of(int least, int most) { return std::uniform_int_distribution<int>(least, most)(engine_); }
  bool Chance(int percent) { return Of(1, 100) <= percent; }

 private:
  std::mt19937 engine_{20261125};
};

Field RandomField(Random& random, int least, int most, int stars) {
  Field field;
  if (random.Chance(stars)) {
    field.text = "*";
    field.star = true;
    for (int value = least; value <= most; ++value) field.values.insert(value);
    return field;
  }
  std::vector<std::string> items;
  const int count = random.Of(1, 3);
  for (int i = 0; i < count; ++i) {
    int from = random.Of(least, most);
    int to = from;
    int step = 1;
    std::string text = absl::StrCat(from);
    if (random.Chance(30)) {
      to = random.Of(from, most);
      absl::StrAppend(&text, "-", to);
    } else if (random.Chance(15)) {
      from = least;
      to = most;
      text = "*";
    }
    if (to > from && random.Chance(60)) {
      step = random.Of(1, most - least + 1);
      absl::StrAppend(&text, "/", step);
      field.step = true;
    }
    if (i == 0) field.star = text[0] == '*';
    if (text == "*") field.step = true;  // As good as: it counts.
    for (int value = from; value <= to; value += step) field.values.insert(value);
    items.push_back(text);
  }
  field.text = absl::StrJoin(items, ",");
  return field;
}

class Model {
 public:
  explicit Model(Random& random)
      : fields_{RandomField(random, 0, 59, 15), RandomField(random, 0, 23, 35), RandomField(random, 1, 31, 50),
                RandomField(random, 1, 12, 60), RandomField(random, 0, 6, 60)} {}

  std::string text() const {
    std::vector<std::string> texts;
    texts.reserve(fields_.size());
    for (const Field& field : fields_) texts.push_back(field.text);
    return absl::StrJoin(texts, " ");
  }
  bool counts_hours() const { return fields_[1].star || fields_[1].step; }

  bool Fits(absl::CivilMinute reading) const {
    const absl::CivilDay date(reading);
    const bool day = Has(2, reading.day());
    const bool weekday = Has(4, (static_cast<int>(absl::GetWeekday(date)) + 1) % 7);
    const bool either = !fields_[2].star && !fields_[4].star;
    return Has(0, reading.minute()) && Has(1, reading.hour()) && Has(3, reading.month()) &&
           (either ? day || weekday : day && weekday);
  }

  static constexpr absl::civil_diff_t kDay = 1440;

  // All slots from one instant to another.
  std::set<absl::Time> Slots(absl::TimeZone zone, absl::Time from, absl::Time to) const {
    std::set<absl::Time> slots;
    if (counts_hours()) {
      for (absl::Time minute = from; minute < to; minute += absl::Minutes(1)) {
        const absl::TimeZone::CivilInfo there = zone.At(minute);
        if (there.cs.second() == 0 && Fits(absl::CivilMinute(there.cs))) slots.insert(minute);
      }
      return slots;
    }
    const absl::CivilMinute end = absl::CivilMinute(zone.At(to).cs) + kDay;
    for (absl::CivilMinute reading = absl::CivilMinute(zone.At(from).cs) - kDay; reading < end; ++reading) {
      if (!Fits(reading)) continue;
      const absl::TimeZone::TimeInfo when = zone.At(absl::CivilSecond(reading));
      const absl::Time slot = when.kind == absl::TimeZone::TimeInfo::SKIPPED ? when.trans : when.pre;
      if (slot >= from && slot < to) slots.insert(slot);
    }
    return slots;
  }

 private:
  bool Has(size_t field, int value) const { return fields_[field].values.contains(value); }

  std::array<Field, 5> fields_;
};

std::set<absl::Time> Walk(const Schedule& schedule, absl::Time begin, absl::Time end) {
  std::set<absl::Time> slots;
  std::optional<absl::Time> slot = schedule.After(begin - absl::Nanoseconds(1));
  while (slot.has_value() && *slot < end) {
    slots.insert(*slot);
    const std::optional<absl::Time> next = schedule.After(*slot);
    EXPECT_TRUE(!next.has_value() || *next > *slot);
    if (next.has_value() && *next <= *slot) break;
    slot = next;
  }
  return slots;
}

TEST(ScheduleModelTest, SlotsAreThoseThatALookAtEachMinuteFinds) {
  Random random;
  size_t seen = 0;
  const absl::Time year = absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone());
  for (const char* name : {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"}) {
    absl::TimeZone zone;
    ASSERT_TRUE(absl::LoadTimeZone(name, &zone));
    // Some days of the year, and those on which the clock is changed there.
    std::vector<absl::Time> begins = {year + absl::Hours(24 * random.Of(0, 300)), year + absl::Hours(24 * 55)};
    absl::TimeZone::CivilTransition change;
    absl::Time at = year;
    while (begins.size() < 4 && zone.NextTransition(at, &change)) {
      at = zone.At(change.to).trans;
      begins.push_back(absl::FromUnixSeconds(absl::ToUnixSeconds(at) / 3600 * 3600) - absl::Hours(24 * 2));
    }
    for (int i = 0; i < 60; ++i) {
      const Model model(random);
      internal::v1::RecurringRecord record;
      record.set_cron(model.text());
      record.set_time_zone(name);
      const auto schedule = Schedule::Parse(record);
      if (!schedule.ok()) {  // `31 2`
        EXPECT_TRUE(model.Slots(zone, year, year + absl::Hours(24 * 366)).empty()) << model.text();
        continue;
      }
      for (const absl::Time begin : begins) {
        const absl::Time end = begin + absl::Hours(24 * 5);
        const std::set<absl::Time> expected = model.Slots(zone, begin, end);
        EXPECT_EQ(Walk(**schedule, begin, end), expected) << model.text() << " in " << name << " from " << begin;
        seen += expected.size();
        // From anywhere between two slots the next one is the same.
        for (int j = 0; j < 20; ++j) {
          const absl::Time some = begin + absl::Milliseconds(random.Of(0, 5 * 24 * 3'600'000));
          const auto next = expected.upper_bound(some);
          if (next == expected.end()) continue;
          EXPECT_EQ((*schedule)->After(some), *next) << model.text() << " in " << name << " after " << some;
        }
      }
    }
  }
  EXPECT_GT(seen, 10'000U);
}

}  // namespace
}  // namespace actioncluster
