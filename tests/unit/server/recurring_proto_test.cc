#include "server/services/recurring_proto.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

v1::ScheduleRecurringRequest Request(const std::string& json) {
  v1::ScheduleRecurringRequest request;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &request).ok()) << json;
  return request;
}

std::string TimingOf(const std::string& json) {
  const absl::StatusOr<Recurring> recurring = RecurringOf(Request(json));
  EXPECT_TRUE(recurring.ok()) << json << ": " << recurring.status();
  return recurring.ok() ? recurring->timing : "";
}

TEST(RecurringOfTest, ItComesBackAsItWasGiven) {
  for (
      const char* json :
      {R"({"id": "s", "task": {"name": "n", "queue": "q"}, "every": "0.100s", "missed": "MISSED_SLOTS_SKIP"})",
       R"({"id": "s", "task": {"name": "n", "queue": "q", "args": [null], "priority": 0, "uniqueKey": "k", "uniqueFor": "1s",
            "retry": {"maxAttempts": 1, "backoff": "2s", "maxBackoff": "3s"}, "timeout": "4s", "retainResultFor": "5s"},
            "cron": "0 3 * * mon", "timeZone": "Europe/Berlin", "missed": "MISSED_SLOTS_RUN_ONCE"})",
       R"({"id": "s", "task": {"name": "n", "queue": "q", "data": "AAE="}, "cron": "@daily", "missed": "MISSED_SLOTS_SKIP"})"}) {
    const v1::ScheduleRecurringRequest request = Request(json);
    const absl::StatusOr<Recurring> recurring = RecurringOf(request);
    ASSERT_TRUE(recurring.ok()) << recurring.status();
    EXPECT_EQ(recurring->queue, "q");
    EXPECT_EQ(recurring->id, "s");
    const v1::ListRecurringResponse::Recurring listed = RecurringToProto(
        {.id = "s", .schedule = recurring->record.SerializeAsString(), .next = absl::FromUnixSeconds(5)}, "q");
    EXPECT_TRUE(MessageDifferencer::Equals(listed.schedule(), request)) << listed.DebugString();
    EXPECT_EQ(listed.next().seconds(), 5);
  }
  EXPECT_FALSE(RecurringToProto({.id = "s", .schedule = "", .next = {}}, "q").has_next());
}

TEST(RecurringOfTest, TheTimingIsTheSameForTheSameSlotsOnly) {
  EXPECT_EQ(TimingOf(R"({"id": "a", "task": {"name": "n"}, "every": "1s"})"),
            TimingOf(R"({"id": "b", "task": {"name": "m", "priority": 1}, "every": "1.000s"})"));
  EXPECT_NE(TimingOf(R"({"id": "a", "task": {"name": "n"}, "every": "1s"})"),
            TimingOf(R"({"id": "a", "task": {"name": "n"}, "every": "2s"})"));
  const std::string cron = TimingOf(R"({"id": "a", "task": {"name": "n"}, "cron": "0 3 * * MON"})");
  EXPECT_EQ(cron, TimingOf(R"({"id": "a", "task": {"name": "n"}, "cron": " 0  3 * * mon", "timeZone": "UTC"})"));
  EXPECT_NE(cron,
            TimingOf(R"({"id": "a", "task": {"name": "n"}, "cron": "0 3 * * mon", "timeZone": "Europe/Berlin"})"));
  EXPECT_NE(cron, TimingOf(R"({"id": "a", "task": {"name": "n"}, "cron": "0 4 * * mon"})"));
}

TEST(RecurringOfTest, WhatIsNotAllowedIsRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"task": {"name": "n"}, "every": "1s"})", "id must not be empty"},
      {R"({"id": "s", "every": "1s"})", "task must be set"},
      {R"({"id": "s", "task": {}, "every": "1s"})", "task.name must not be empty"},
      {R"({"id": "s", "task": {"name": "n", "delay": "1s"}, "every": "1s"})", "task.run_at and task.delay"},
      {R"({"id": "s", "task": {"name": "n", "runAt": "2100-01-01T00:00:00Z"}, "every": "1s"})", "task.run_at and"},
      {R"({"id": "s", "task": {"name": "n", "id": "i"}, "every": "1s"})", "task.id must not be set"},
      {R"({"id": "s", "task": {"name": "n"}})", "one of every and cron must be set"},
      {R"({"id": "s", "task": {"name": "n"}, "every": "0.099s"})", "every must be at least 100ms"},
      {R"({"id": "s", "task": {"name": "n"}, "every": "31622401s"})", "every must be at most 1 year"},
      {R"({"id": "s", "task": {"name": "n"}, "every": "1.0005s"})", "every must be whole milliseconds"},
      {R"({"id": "s", "task": {"name": "n"}, "every": "1s", "timeZone": "Europe/Berlin"})",
       "time_zone must be set with"},
      {R"({"id": "s", "task": {"name": "n"}, "cron": ""})", "cron must not be empty"},
      {R"({"id": "s", "task": {"name": "n"}, "cron": "* * * *"})", ""},
      {R"({"id": "s", "task": {"name": "n"}, "cron": "0 0 30 2 *"})", ""},
      {R"({"id": "s", "task": {"name": "n"}, "cron": "@daily", "timeZone": "Europe/Nowhere"})", ""},
      {R"({"id": "s", "task": {"name": "n"}, "every": "1s", "missed": 3})", "missed is none that is known"}};
  for (const auto& [json, message] : cases) {
    const absl::Status status = RecurringOf(Request(json)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << json;
  }
}

}  // namespace
}  // namespace actioncluster
