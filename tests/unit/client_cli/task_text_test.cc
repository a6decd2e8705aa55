#include "client/cli/task_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "actioncluster/json.h"

namespace actioncluster::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(StateTest, HasANameAndIsFoundByIt) {
  for (int state = v1::TASK_STATE_SCHEDULED; state <= v1::TASK_STATE_CANCELLED; ++state) {
    EXPECT_EQ(ParseState(StateName(static_cast<v1::TaskState>(state))).value(), state);
  }
  EXPECT_EQ(StateName(v1::TASK_STATE_RETRYING), "retrying");
  for (const char* name : {"", "unspecified", "waiting", "ready "}) {
    EXPECT_EQ(ParseState(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(ParseLengthTest, TakesUnitsAndDays) {
  EXPECT_EQ(ParseLength("250ms", "--delay").value(), absl::Milliseconds(250));
  EXPECT_EQ(ParseLength("1h30m", "--delay").value(), absl::Minutes(90));
  EXPECT_EQ(ParseLength("7d", "--delay").value(), absl::Hours(168));
  EXPECT_EQ(ParseLength("0.5d", "--delay").value(), absl::Hours(12));
  EXPECT_EQ(ParseLength("0", "--delay").value(), absl::ZeroDuration());
  EXPECT_EQ(ParseLength("3650d", "--delay").value(), absl::Hours(24 * 3650));
}

TEST(ParseLengthTest, RefusesAllElseByTheOptionsName) {
  for (const char* text : {"", "5", "-1s", "d", "1x", "nand", "infd", "inf", "9999d", "1e300d"}) {
    const absl::Status refused = ParseLength(text, "--delay").status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(refused.message()), StartsWith("--delay takes"));
  }
}

TEST(ParseInstantTest, TakesRfc3339) {
  EXPECT_EQ(ParseInstant("2026-12-24T18:00:00Z", "--run-at")->seconds(), 1'798'135'200);
  EXPECT_EQ(ParseInstant("2026-12-24T18:00:00.25+01:00", "--run-at")->seconds(), 1'798'131'600);
  EXPECT_EQ(ParseInstant("2026-12-24T18:00:00.25+01:00", "--run-at")->nanos(), 250'000'000);
  for (const char* text : {"", "tomorrow", "2026-12-24", "18:00", "infinite-future", "infinite-past"}) {
    EXPECT_EQ(ParseInstant(text, "--run-at").status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(FormatInstantTest, IsInUtcToTheMillisecond) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(1'798'135'200);
  timestamp.set_nanos(250'999'999);
  EXPECT_EQ(FormatInstant(true, timestamp), "2026-12-24T18:00:00.250Z");
  EXPECT_EQ(FormatInstant(false, timestamp), "-");
}

class DescribeTaskTest : public testing::Test {
 protected:
  DescribeTaskTest() {
    task_.set_id("q/1");
    task_.set_attempts(2);
    task_.set_max_attempts(3);
    task_.mutable_error()->set_code(2);
    task_.mutable_error()->set_message("no\nfile");
    *task_.mutable_progress()->mutable_value() = client::ToValue("half");
  }
  std::string In(v1::TaskState state) {
    task_.set_state(state);
    return DescribeTask(task_);
  }

  v1::Task task_;
};

TEST_F(DescribeTaskTest, SaysWhatMattersInItsState) {
  EXPECT_EQ(In(v1::TASK_STATE_READY), "ready");
  EXPECT_EQ(In(v1::TASK_STATE_ACTIVE), "active (2 of 3) \"half\"");
  EXPECT_EQ(In(v1::TASK_STATE_RETRYING), "retrying (2 of 3): UNKNOWN no\\nfile");
  EXPECT_EQ(In(v1::TASK_STATE_FAILED), "failed: UNKNOWN no\\nfile");
  EXPECT_EQ(In(v1::TASK_STATE_DONE), "done");
}

TEST_F(DescribeTaskTest, AllOfItIsALineForEachThing) {
  task_.set_name("forged\nname");
  task_.set_data("\x01");
  const std::string text = FormatTask(task_);
  EXPECT_THAT(text, AllOf(HasSubstr("task          q/1\n"), HasSubstr("name          forged\\nname\n"),
                          HasSubstr("input         \"\\u0001\"\n"), HasSubstr("worker        -\n"),
                          HasSubstr("attempts      2 of 3\n"), HasSubstr("progress      \"half\"\n")));
}

TEST(TablesTest, ShowLimitsThatAreSetAndSchedules) {
  v1::ListQueuesResponse queues;
  v1::Queue* const queue = queues.add_queues();
  queue->set_name("q");
  queue->set_paused(true);
  queue->mutable_limits()->set_rate(0.5);
  queue->mutable_limits()->set_max_concurrency(4);
  EXPECT_THAT(FormatQueues(queues), HasSubstr("paused  0.5/s, concurrency 4\n"));

  v1::ListRecurringResponse schedules;
  v1::ScheduleRecurringRequest* const schedule = schedules.add_recurring()->mutable_schedule();
  schedule->set_id("nightly");
  schedule->set_cron("30 2 * * *");
  schedule->set_time_zone("Europe/Berlin");
  schedule->mutable_task()->set_name("report");
  EXPECT_THAT(FormatSchedules(schedules),
              HasSubstr("default  nightly   report  30 2 * * * Europe/Berlin  -     skip\n"));
}

}  // namespace
}  // namespace actioncluster::cli
