#include "backplane/tasks/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::CivilSecond At(absl::string_view text) {
  absl::CivilSecond reading;
  EXPECT_TRUE(absl::ParseLenientCivilTime(text, &reading)) << text;
  return reading;
}

// The next ones after a reading, as text.
std::vector<std::string> Next(absl::string_view expression, absl::string_view after, int count) {
  const absl::StatusOr<Cron> cron = Cron::Parse(expression);
  EXPECT_TRUE(cron.ok()) << expression << ": " << cron.status();
  std::vector<std::string> readings;
  if (!cron.ok()) return readings;
  readings.reserve(static_cast<size_t>(count));
  absl::CivilSecond reading = At(after);
  for (int i = 0; i < count; ++i) {
    reading = cron->After(reading);
    readings.push_back(absl::FormatCivilTime(reading));
  }
  return readings;
}

TEST(CronTest, TheNextReadingIsTheFirstThatFits) {
  const struct {
    absl::string_view expression, after, next;
  } kCases[] = {
      {"* * * * *", "2026-11-25T10:00:00", "2026-11-25T10:01:00"},
      {"* * * * *", "2026-12-31T23:59:59", "2027-01-01T00:00:00"},
      {"* * * * * *", "2026-11-25T10:00:59", "2026-11-25T10:01:00"},
      {"*/20 * * * * *", "2026-11-25T10:00:20", "2026-11-25T10:00:40"},
      {"30 0 0 1 1 *", "2026-11-25T10:00:20", "2027-01-01T00:00:30"},
      {"5 * * * *", "2026-11-25T10:05:00", "2026-11-25T11:05:00"},
      {"5 * * * *", "2026-11-25T10:04:59", "2026-11-25T10:05:00"},
      {"*/15 9-17 * * mon-fri", "2026-11-27T17:45:00", "2026-11-30T09:00:00"},
      {"10-30/10 8 * * *", "2026-11-25T08:10:00", "2026-11-25T08:20:00"},
      {"10/25 8 * * *", "2026-11-25T08:10:00", "2026-11-25T08:35:00"},
      {"10/25 8 * * *", "2026-11-25T08:35:00", "2026-11-26T08:10:00"},
      {"0 8,20 * * *", "2026-11-25T08:00:00", "2026-11-25T20:00:00"},
      {"0 0 31 * *", "2026-01-31T00:00:00", "2026-03-31T00:00:00"},
      {"59 23 30 4,6 *", "2026-11-25T10:00:00", "2027-04-30T23:59:00"},
      {"0 0 29 2 *", "2026-11-25T10:00:00", "2028-02-29T00:00:00"},
      {"0 0 29 2 *", "2096-02-29T00:00:00", "2104-02-29T00:00:00"},
      {"0 0 * FEB,Dec *", "2026-11-25T10:00:00", "2026-12-01T00:00:00"},
      {"0 0 * * 0", "2026-11-25T10:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * 7", "2026-11-25T10:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * Sun", "2026-11-25T10:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * 6-7", "2026-11-28T00:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * fri-sun", "2026-11-28T00:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * sun-tue", "2026-11-25T10:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * sun-sun", "2026-11-25T10:00:00", "2026-11-29T00:00:00"},
      {"0 0 * * 1/2", "2026-11-28T00:00:00", "2026-11-30T00:00:00"},
      {"\t0  0\n* * mon ", "2026-11-25T10:00:00", "2026-11-30T00:00:00"},
      {"@hourly", "2026-11-25T10:00:00", "2026-11-25T11:00:00"},
      {"@daily", "2026-11-25T10:00:00", "2026-11-26T00:00:00"},
      {"@midnight", "2026-11-25T10:00:00", "2026-11-26T00:00:00"},
      {"@Weekly", "2026-11-25T10:00:00", "2026-11-29T00:00:00"},
      {"@monthly", "2026-11-25T10:00:00", "2026-12-01T00:00:00"},
      {"@yearly", "2026-11-25T10:00:00", "2027-01-01T00:00:00"},
      {"@annually", "2026-11-25T10:00:00", "2027-01-01T00:00:00"},
  };
  for (const auto& one : kCases) {
    EXPECT_THAT(Next(one.expression, one.after, 1), ElementsAre(std::string(one.next)))
        << one.expression << " after " << one.after;
  }
}

TEST(CronTest, EitherDayFitsIfBothAreRestricted) {
  EXPECT_THAT(Next("0 0 13 * fri", "2026-11-12T00:00:00", 4),
              ElementsAre("2026-11-13T00:00:00", "2026-11-20T00:00:00", "2026-11-27T00:00:00", "2026-12-04T00:00:00"));
}

TEST(CronTest, BothDaysMustFitIfOneBeginsWithAnAsterisk) {
  // Odd days that are Mondays.
  EXPECT_THAT(Next("0 0 */2 * mon", "2026-11-01T00:00:00", 3),
              ElementsAre("2026-11-09T00:00:00", "2026-11-23T00:00:00", "2026-12-07T00:00:00"));
  EXPECT_THAT(Next("0 0 1-7 * */7", "2026-11-01T00:00:00", 2),
              ElementsAre("2026-12-06T00:00:00", "2027-01-03T00:00:00"));
}

TEST(CronTest, ADateThatComesOnceInDecadesIsFoundAtOnce) {
  // Leap days that are Sundays, also across 2100, which has none.
  EXPECT_THAT(Next("0 0 29 2 */7", "2026-11-01T00:00:00", 4),
              ElementsAre("2032-02-29T00:00:00", "2060-02-29T00:00:00", "2088-02-29T00:00:00", "2128-02-29T00:00:00"));
}

TEST(CronTest, AnHourThatIsAnAsteriskOrSteppedCountsHours) {
  for (const char* expression : {"0 * * * *", "0 */2 * * *", "0 2/3 * * *", "0 1-5/2 * * *", "0 0 1,* * * *"}) {
    EXPECT_TRUE(Cron::Parse(expression)->counts_hours()) << expression;
  }
  for (const char* expression : {"*/5 2 * * *", "0 2-5 * * *", "*/5 0 2,3 */2 * *", "@daily"}) {
    EXPECT_FALSE(Cron::Parse(expression)->counts_hours()) << expression;
  }
}

TEST(CronTest, WhatIsWrongIsSaidWithTheField) {
  const struct {
    absl::string_view expression, error;
  } kCases[] = {
      {"", "there are 0"},
      {"* * * *", "there are 4"},
      {"* * * * * * *", "there are 7"},
      {"60 * * * *", "the minute: `60` is not of 0 … 59"},
      {"60 * * * * *", "the second: `60`"},
      {"0 24 * * *", "the hour: `24` is not of 0 … 23"},
      {"0 0 0 * *", "the day of month: `0` is not of 1 … 31"},
      {"0 0 1 13 *", "the month: `13` is not of 1 … 12 or a name"},
      {"0 0 1 mon *", "the month: `mon`"},
      {"0 0 * * 8", "the day of week: `8` is not of 0 … 7"},
      {"0 0 * * monday", "the day of week: `monday`"},
      {"0 0 5-3 * *", "the day of month: `5-3` ends before it begins"},
      {"0 0 * * fri-mon", "`fri-mon` ends before it begins"},
      {"*/0 * * * *", "the minute: `*/0` has a step that is not in 1 … 60"},
      {"*/61 * * * *", "a step"},
      {"*/ * * * *", "a step"},
      {"*/2/2 * * * *", "a step"},
      {"*/-1 * * * *", "a step"},
      {"1,,2 * * * *", "the minute: `` is not"},
      {"1, * * * *", "the minute: `` is not"},
      {"-5 * * * *", "the minute: `-5` is not"},
      {"5- * * * *", "the minute: `5-` is not"},
      {"1-2-3 * * * *", "the minute: `1-2-3` is not"},
      {"+1 * * * *", "the minute: `+1` is not"},
      {"** * * * *", "the minute: `**` is not"},
      {"*-5 * * * *", "the minute: `*-5` is not"},
      {"0 0 ? * *", "the day of month: `?`"},
      {"0 0 L * *", "the day of month: `l`"},
      {"99999999999 * * * *", "the minute"},
      {"@reboot", "@hourly"},
      {"@", "@hourly"},
      {"0 0 30 2 *", "no such date"},
      {"0 0 31 2,4,6,9,11 *", "no such date"},
  };
  for (const auto& one : kCases) {
    const absl::StatusOr<Cron> cron = Cron::Parse(one.expression);
    ASSERT_FALSE(cron.ok()) << one.expression;
    EXPECT_EQ(cron.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(cron.status().message()), HasSubstr(std::string(one.error))) << one.expression;
  }
}

}  // namespace
}  // namespace actioncluster
