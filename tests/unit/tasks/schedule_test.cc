#include "backplane/tasks/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace actioncluster {
namespace {

using internal::v1::RecurringRecord;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RecurringRecord EveryUs(int64_t us) {
  RecurringRecord record;
  record.set_every_us(us);
  return record;
}

RecurringRecord CronOf(absl::string_view expression, absl::string_view zone = "") {
  RecurringRecord record;
  record.set_cron(std::string(expression));
  record.set_time_zone(std::string(zone));
  return record;
}

std::unique_ptr<const Schedule> Parsed(const RecurringRecord& record) {
  absl::StatusOr<std::unique_ptr<const Schedule>> schedule = Schedule::Parse(record);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return *std::move(schedule);
}

absl::Time At(absl::string_view text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << text << ": " << error;
  return time;
}

absl::TimeZone Zone(absl::string_view name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

// The next slots after an instant, with their offsets to UTC.
std::vector<std::string> Next(const RecurringRecord& record, absl::string_view after, int count) {
  const std::unique_ptr<const Schedule> schedule = Parsed(record);
  const absl::TimeZone zone = record.time_zone().empty() ? absl::UTCTimeZone() : Zone(record.time_zone());
  std::vector<std::string> slots;
  slots.reserve(static_cast<size_t>(count));
  std::optional<absl::Time> slot = At(after);
  for (int i = 0; i < count; ++i) {
    slot = schedule->After(*slot);
    if (!slot.has_value()) break;
    slots.push_back(absl::FormatTime("%Y-%m-%dT%H:%M:%E*S%Ez", *slot, zone));
  }
  return slots;
}

TEST(ScheduleTest, EverySlotIsAMultipleSinceTheEpoch) {
  EXPECT_THAT(Next(EveryUs(200'000), "2026-11-25T10:00:00.1Z", 3),
              ElementsAre("2026-11-25T10:00:00.2+00:00", "2026-11-25T10:00:00.4+00:00", "2026-11-25T10:00:00.6+00:00"));
  EXPECT_THAT(Next(EveryUs(int64_t{25'200'000'000}), "1970-01-01T00:00:00Z", 2),
              ElementsAre("1970-01-01T07:00:00+00:00", "1970-01-01T14:00:00+00:00"));
  // Never the instant itself, and each that comes after it however little.
  EXPECT_EQ(Parsed(EveryUs(200'000))->After(At("2026-11-25T10:00:00.2Z")), At("2026-11-25T10:00:00.4Z"));
  EXPECT_EQ(Parsed(EveryUs(200'000))->After(At("2026-11-25T10:00:00.2Z") - absl::Nanoseconds(1)),
            At("2026-11-25T10:00:00.2Z"));
}

TEST(ScheduleTest, BeyondWhatTimesCanBeKeptThereAreNoSlots) {
  for (const RecurringRecord& record : {EveryUs(200'000), CronOf("* * * * *"), CronOf("0 2 * * *", "Europe/Berlin")}) {
    EXPECT_EQ(Parsed(record)->After(absl::InfiniteFuture()), std::nullopt);
    EXPECT_EQ(Parsed(record)->After(At("9000-01-01T00:00:00Z")), std::nullopt);
    EXPECT_GE(Parsed(record)->After(absl::InfinitePast()), absl::UnixEpoch());
  }
}

TEST(ScheduleTest, WhatIsNoScheduleIsRefused) {
  const auto error_of = [](const RecurringRecord& record) {
    const absl::Status error = Schedule::Parse(record).status();
    EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
    return std::string(error.message());
  };
  EXPECT_THAT(error_of({}), HasSubstr("five fields"));
  EXPECT_THAT(error_of(EveryUs(99'999)), HasSubstr("100 ms"));
  EXPECT_THAT(error_of(EveryUs(-1)), HasSubstr("100 ms"));
  EXPECT_THAT(error_of(CronOf("0 0 30 2 *")), HasSubstr("no such date"));
  RecurringRecord both = CronOf("* * * * *");
  both.set_every_us(1'000'000);
  EXPECT_THAT(error_of(both), HasSubstr("one"));
  for (const char* zone : {"Europe/Atlantis", "/etc/passwd", "../../../etc/passwd", "file:/etc/passwd", "Europe",
                           "Fixed/UTC+01:00:00", "localtime", "europe//", " ", "zone.tab"}) {
    EXPECT_THAT(error_of(CronOf("* * * * *", zone)), HasSubstr("time_zone")) << zone;
  }
}

TEST(ScheduleTest, CronGoesByTheClockOfItsTimeZone) {
  EXPECT_THAT(Next(CronOf("0 9 * * *"), "2026-11-25T10:00:00Z", 1), ElementsAre("2026-11-26T09:00:00+00:00"));
  EXPECT_THAT(Next(CronOf("0 9 * * *", "UTC"), "2026-11-25T08:59:59.999999Z", 1),
              ElementsAre("2026-11-25T09:00:00+00:00"));
  EXPECT_THAT(Next(CronOf("0 9 * * *", "Europe/Berlin"), "2026-11-25T08:00:00Z", 1),
              ElementsAre("2026-11-26T09:00:00+01:00"));
  EXPECT_THAT(Next(CronOf("0 9 * * *", "America/New_York"), "2026-07-01T12:00:00Z", 1),
              ElementsAre("2026-07-01T09:00:00-04:00"));
  EXPECT_THAT(Next(CronOf("15 * * * *", "Asia/Kolkata"), "2026-07-01T12:00:00Z", 2),
              ElementsAre("2026-07-01T18:15:00+05:30", "2026-07-01T19:15:00+05:30"));
  EXPECT_THAT(Next(CronOf("0 0 1 * *", "Asia/Kolkata"), "2026-06-30T18:29:59Z", 1),
              ElementsAre("2026-07-01T00:00:00+05:30"));
}

TEST(ScheduleTest, ATimeThatSpringSkipsRunsOnceWhenTheClockHasSkipped) {
  EXPECT_THAT(Next(CronOf("30 2 * * *", "Europe/Berlin"), "2026-03-28T00:00:00Z", 3),
              ElementsAre("2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"));
  EXPECT_THAT(Next(CronOf("*/10 2 * * *", "Europe/Berlin"), "2026-03-29T00:00:00Z", 2),
              ElementsAre("2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"));
  // What was skipped and what is at the jump anyway are one.
  EXPECT_THAT(Next(CronOf("0 2,3 * * *", "Europe/Berlin"), "2026-03-29T00:00:00Z", 2),
              ElementsAre("2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"));
  EXPECT_THAT(Next(CronOf("30 2 8 3 *", "America/New_York"), "2026-01-01T00:00:00Z", 2),
              ElementsAre("2026-03-08T03:00:00-04:00", "2027-03-08T02:30:00-05:00"));
  EXPECT_THAT(Next(CronOf("15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T00:00:00Z", 2),
              ElementsAre("2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"));
  EXPECT_THAT(Next(CronOf("45 2 * * *", "Australia/Lord_Howe"), "2026-10-03T00:00:00Z", 1),
              ElementsAre("2026-10-04T02:45:00+11:00"));
  // A midnight that is not there; and a whole day.
  EXPECT_THAT(Next(CronOf("@daily", "Africa/Cairo"), "2026-04-23T12:00:00Z", 2),
              ElementsAre("2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"));
  EXPECT_THAT(Next(CronOf("0 12 * * *", "Pacific/Apia"), "2011-12-29T22:00:00Z", 3),
              ElementsAre("2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00", "2012-01-01T12:00:00+14:00"));
}

TEST(ScheduleTest, ATimeThatAutumnRepeatsRunsTheFirstTimeOnly) {
  EXPECT_THAT(Next(CronOf("30 2 * * *", "Europe/Berlin"), "2026-10-25T00:00:00Z", 2),
              ElementsAre("2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"));
  EXPECT_THAT(Next(CronOf("*/20 2 * * *", "Europe/Berlin"), "2026-10-25T00:10:00Z", 3),
              ElementsAre("2026-10-25T02:20:00+02:00", "2026-10-25T02:40:00+02:00", "2026-10-26T02:00:00+01:00"));
  // Asked in the second time, by which it has been.
  EXPECT_THAT(Next(CronOf("*/20 2 * * *", "Europe/Berlin"), "2026-10-25T01:00:00Z", 1),
              ElementsAre("2026-10-26T02:00:00+01:00"));
  EXPECT_THAT(Next(CronOf("0 3 * * *", "Europe/Berlin"), "2026-10-25T01:10:00Z", 1),
              ElementsAre("2026-10-25T03:00:00+01:00"));
  EXPECT_THAT(Next(CronOf("45 1 * * *", "Australia/Lord_Howe"), "2026-04-04T12:00:00Z", 2),
              ElementsAre("2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"));
}

TEST(ScheduleTest, AnHourThatCountsGoesByElapsedTime) {
  EXPECT_THAT(Next(CronOf("30 * * * *", "Europe/Berlin"), "2026-03-29T00:00:00Z", 2),
              ElementsAre("2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"));
  EXPECT_THAT(Next(CronOf("0 * * * *", "Europe/Berlin"), "2026-03-29T00:00:00Z", 2),
              ElementsAre("2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"));
  EXPECT_THAT(Next(CronOf("30 * * * *", "Europe/Berlin"), "2026-10-25T00:00:00Z", 3),
              ElementsAre("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"));
  EXPECT_THAT(Next(CronOf("0 */2 * * *", "Europe/Berlin"), "2026-10-24T23:00:00Z", 3),
              ElementsAre("2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T04:00:00+01:00"));
  EXPECT_THAT(Next(CronOf("*/15 * * * *", "Australia/Lord_Howe"), "2026-04-04T14:30:00Z", 4),
              ElementsAre("2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30",
                          "2026-04-05T02:00:00+10:30"));
  EXPECT_THAT(Next(CronOf("59 59 * * * *", "Europe/Berlin"), "2026-03-29T00:00:00Z", 2),
              ElementsAre("2026-03-29T01:59:59+01:00", "2026-03-29T03:59:59+02:00"));
}

TEST(ScheduleTest, WhatComesSeldomIsFoundWithoutLookingAtEachMinute) {
  const std::clock_t began = std::clock();  // Of this process alone, however busy the machine is.
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(Next(CronOf("0 0 29 2 *", "Europe/Berlin"), "2097-01-01T00:00:00Z", 1),
                ElementsAre("2104-02-29T00:00:00+01:00"));
    EXPECT_THAT(Next(CronOf("0 */12 29 2 */7", "America/New_York"), "2089-01-01T00:00:00Z", 2),
                ElementsAre("2128-02-29T00:00:00-05:00", "2128-02-29T12:00:00-05:00"));
  }
  EXPECT_LT(std::clock() - began, 5 * CLOCKS_PER_SEC);
}

class SlotsDueTest : public testing::Test {
 protected:
  static DueSlots Due(const RecurringRecord& record, absl::string_view cursor, absl::string_view now,
                      absl::Time missed_until, bool run_once, int most = 100) {
    return SlotsDue(*Parsed(record), At(cursor), At(now), missed_until, run_once, most);
  }
};

TEST_F(SlotsDueTest, AllThatHaveComeAreDueAndTheCursorIsTheFirstThatHasNot) {
  const DueSlots due = Due(EveryUs(1'000'000), "2026-11-25T10:00:00Z", "2026-11-25T10:00:02Z", absl::InfinitePast(),
                           /*run_once=*/false);
  EXPECT_THAT(due.slots,
              ElementsAre(At("2026-11-25T10:00:00Z"), At("2026-11-25T10:00:01Z"), At("2026-11-25T10:00:02Z")));
  EXPECT_EQ(due.next, At("2026-11-25T10:00:03Z"));
}

TEST_F(SlotsDueTest, MoreThanTheMostWait) {
  const DueSlots due = Due(EveryUs(1'000'000), "2026-11-25T10:00:00Z", "2026-11-25T10:00:20Z", absl::InfinitePast(),
                           /*run_once=*/false, /*most=*/2);
  EXPECT_THAT(due.slots, ElementsAre(At("2026-11-25T10:00:00Z"), At("2026-11-25T10:00:01Z")));
  EXPECT_EQ(due.next, At("2026-11-25T10:00:02Z"));
}

TEST_F(SlotsDueTest, ACursorThatIsNotReachedStays) {
  const DueSlots due = Due(EveryUs(1'000'000), "2026-11-25T10:00:05Z", "2026-11-25T10:00:02Z", absl::InfinitePast(),
                           /*run_once=*/true);
  EXPECT_THAT(due.slots, IsEmpty());
  EXPECT_EQ(due.next, At("2026-11-25T10:00:05Z"));
}

TEST_F(SlotsDueTest, MissedSlotsAreSkipped) {
  const DueSlots due = Due(CronOf("0 * * * *"), "2026-11-20T10:00:00Z", "2026-11-25T10:30:00Z",
                           At("2026-11-25T10:30:00Z"), /*run_once=*/false);
  EXPECT_THAT(due.slots, IsEmpty());
  EXPECT_EQ(due.next, At("2026-11-25T11:00:00Z"));
}

TEST_F(SlotsDueTest, MissedSlotsAreOneTaskForTheLastOfThem) {
  const DueSlots due = Due(CronOf("0 * * * *"), "2026-11-20T10:00:00Z", "2026-11-25T10:30:00Z",
                           At("2026-11-25T10:30:00Z"), /*run_once=*/true);
  EXPECT_THAT(due.slots, ElementsAre(At("2026-11-25T10:00:00Z")));
  EXPECT_EQ(due.next, At("2026-11-25T11:00:00Z"));
}

TEST_F(SlotsDueTest, SlotsAfterTheMissedOnesAreDueEach) {
  const DueSlots due = Due(EveryUs(1'000'000), "2026-11-25T09:00:00Z", "2026-11-25T10:00:01.5Z",
                           At("2026-11-25T10:00:00Z"), /*run_once=*/true);
  EXPECT_THAT(due.slots,
              ElementsAre(At("2026-11-25T09:59:59Z"), At("2026-11-25T10:00:00Z"), At("2026-11-25T10:00:01Z")));
  EXPECT_EQ(due.next, At("2026-11-25T10:00:02Z"));
}

TEST_F(SlotsDueTest, AnOutageOfYearsIsNotWalkedThrough) {
  const absl::Time began = absl::Now();
  for (const RecurringRecord& record : {EveryUs(100'000), CronOf("* * * * * *", "Europe/Berlin")}) {
    const DueSlots due =
        Due(record, "1990-01-01T00:00:00Z", "2026-11-25T10:00:00Z", At("2026-11-25T10:00:00Z"), /*run_once=*/true);
    ASSERT_EQ(due.slots.size(), 2U);
    EXPECT_LT(due.slots[0], At("2026-11-25T10:00:00Z"));
    EXPECT_GE(due.slots[0], At("2026-11-25T09:59:59Z"));
    EXPECT_EQ(due.slots[1], At("2026-11-25T10:00:00Z"));
  }
  EXPECT_LT(absl::Now() - began, absl::Seconds(2));
}

TEST_F(SlotsDueTest, ASlotThatIsNowIsNotMissedThoughTheClockWasSetBack) {
  const DueSlots due = Due(EveryUs(1'000'000), "2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z",
                           At("2026-11-25T12:00:00Z"), /*run_once=*/false);
  EXPECT_THAT(due.slots, ElementsAre(At("2026-11-25T10:00:00Z")));
  EXPECT_EQ(due.next, At("2026-11-25T10:00:01Z"));
}

TEST_F(SlotsDueTest, AfterItsLastSlotAScheduleHasEnded) {
  const absl::Time end = absl::UnixEpoch() + absl::Microseconds(int64_t{1} << 53);
  const DueSlots due = SlotsDue(*Parsed(EveryUs(1'000'000)), end, end, absl::InfinitePast(), /*run_once=*/false, 10);
  EXPECT_THAT(due.slots, ElementsAre(end));
  EXPECT_EQ(due.next, std::nullopt);
}

}  // namespace
}  // namespace actioncluster
