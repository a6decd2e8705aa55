#include "server/services/task_proto.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/protobuf/util/time_util.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using google::protobuf::util::MessageDifferencer;
using google::protobuf::util::TimeUtil;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A message from its JSON.
template <class Message>
Message Parse(const std::string& json) {
  Message message;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &message).ok()) << json;
  return message;
}

v1::EnqueueRequest Request(const std::string& json) { return Parse<v1::EnqueueRequest>(json); }

NewTask TaskOf(const std::string& json) {
  absl::StatusOr<TaskOutcome::FollowUp> task = NewTaskOf(Request(json), "");
  EXPECT_TRUE(task.ok()) << json << ": " << task.status();
  return task.ok() ? task->task : NewTask();
}

absl::Status Refusal(const v1::EnqueueRequest& request) { return NewTaskOf(request, "tasks[7]").status(); }

TEST(NewTaskOfTest, ANameIsEnoughAndTheRestIsByDefault) {
  const absl::StatusOr<TaskOutcome::FollowUp> task = NewTaskOf(Request(R"({"name": "n"})"), "");
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->queue, "default");
  EXPECT_EQ(task->task.name, "n");
  EXPECT_FALSE(task->task.chosen_id);
  EXPECT_NE(task->task.id, "");
  EXPECT_NE(task->task.id, TaskOf(R"({"name": "n"})").id);
  EXPECT_EQ(task->task.input, Content());
  EXPECT_EQ(task->task.priority, 5);
  EXPECT_EQ(task->task.run_at, absl::InfinitePast());
  EXPECT_EQ(task->task.delay, absl::ZeroDuration());
  EXPECT_EQ(task->task.unique_key, "");
  EXPECT_EQ(task->task.unique_for, absl::ZeroDuration());
  EXPECT_EQ(task->task.max_attempts, 3);
  EXPECT_EQ(task->task.backoff, absl::Seconds(1));
  EXPECT_EQ(task->task.max_backoff, absl::Hours(1));
  EXPECT_EQ(task->task.timeout, absl::ZeroDuration());
  EXPECT_EQ(task->task.retain, absl::ZeroDuration());
}

TEST(NewTaskOfTest, EachFieldIsTaken) {
  const absl::StatusOr<TaskOutcome::FollowUp> read =
      NewTaskOf(Request(R"({"name": "n", "queue": "q/1", "args": {"a": [null]}, "delay": "1.5s", "priority": 0,
                  "uniqueKey": "k", "uniqueFor": "60s", "retry": {"maxAttempts": 100, "backoff": "0s", "maxBackoff": "604800s"},
                  "timeout": "0.001s", "retainResultFor": "2592000s", "id": "mine"})"),
                "");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->queue, "q/1");
  const NewTask& task = read->task;
  EXPECT_EQ(task.id, "mine");
  EXPECT_TRUE(task.chosen_id);
  EXPECT_EQ(task.input.kind, Content::Kind::kJson);
  google::protobuf::Value args;
  ASSERT_TRUE(args.ParseFromString(task.input.body));
  EXPECT_TRUE(MessageDifferencer::Equals(args, Parse<google::protobuf::Value>(R"({"a": [null]})")));
  EXPECT_EQ(task.delay, absl::Milliseconds(1500));
  EXPECT_EQ(task.priority, 0);
  EXPECT_EQ(task.unique_key, "k");
  EXPECT_EQ(task.unique_for, absl::Minutes(1));
  EXPECT_EQ(task.max_attempts, 100);
  EXPECT_EQ(task.backoff, absl::ZeroDuration());
  EXPECT_EQ(task.max_backoff, absl::Hours(7 * 24));
  EXPECT_EQ(task.timeout, absl::Milliseconds(1));
  EXPECT_EQ(task.retain, absl::Hours(30 * 24));
  const NewTask bytes = TaskOf(R"({"name": "n", "data": "AAE="})");
  EXPECT_EQ(bytes.input, (Content{.kind = Content::Kind::kBytes, .body = std::string("\0\1", 2)}));
}

TEST(NewTaskOfTest, WhenItMayRunMayBeAnyInstantUpToTenYearsAhead) {
  v1::EnqueueRequest request = Request(R"({"name": "n", "runAt": "0001-01-01T00:00:00Z"})");
  absl::StatusOr<TaskOutcome::FollowUp> task = NewTaskOf(request, "");
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->task.run_at, absl::InfinitePast()) << "at once";
  const absl::Time soon = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) + 3600);
  *request.mutable_run_at() = TimeToProto(soon);
  task = NewTaskOf(request, "");
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->task.run_at, soon);
  *request.mutable_run_at() = TimeToProto(absl::Now() + absl::Hours(11 * 366 * 24));
  EXPECT_EQ(Refusal(request).code(), kInvalid);
  request.mutable_run_at()->set_seconds(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Refusal(request).code(), kInvalid);
}

TEST(NewTaskOfTest, WhatIsNotAllowedIsRefusedWithItsPlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({})", "tasks[7].name must not be empty"},
      {R"({"name": ")" + std::string(257, 'n') + R"("})", "tasks[7].name must have at most 256 bytes"},
      {R"({"name": "n", "queue": ")" + std::string(257, 'q') + R"("})", "tasks[7].queue must have at most 256 bytes"},
      {R"({"name": "n", "id": ")" + std::string(257, 'i') + R"("})", "tasks[7].id must have at most 256 bytes"},
      {R"({"name": "n", "uniqueKey": ")" + std::string(257, 'k') + R"("})", "tasks[7].unique_key must have at most"},
      {R"({"name": "n", "priority": 10})", "tasks[7].priority must be 0 … 9"},
      {R"({"name": "n", "delay": "-1s"})", "tasks[7].delay must not be negative"},
      {R"({"name": "n", "delay": "316310400s"})", "tasks[7].delay must be at most 10 years"},
      {R"({"name": "n", "uniqueFor": "0s"})", "tasks[7].unique_for must be more than 0"},
      {R"({"name": "n", "uniqueFor": "31622401s"})", "tasks[7].unique_for must be at most 1 year"},
      {R"({"name": "n", "retry": {"maxAttempts": 101}})", "tasks[7].retry.max_attempts must be at most 100"},
      {R"({"name": "n", "retry": {"backoff": "86401s"}})", "tasks[7].retry.backoff must be at most 1 day"},
      {R"({"name": "n", "retry": {"maxBackoff": "604801s"}})", "tasks[7].retry.max_backoff must be at most 7 days"},
      {R"({"name": "n", "timeout": "0s"})", "tasks[7].timeout must be at least 1ms"},
      {R"({"name": "n", "timeout": "604801s"})", "tasks[7].timeout must be at most 7 days"},
      {R"({"name": "n", "retainResultFor": "2592001s"})", "tasks[7].retain_result_for must be at most 30 days"}};
  for (const auto& [json, message] : cases) {
    const absl::Status status = Refusal(Request(json));
    EXPECT_EQ(status.code(), kInvalid) << json;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  v1::EnqueueRequest unset = Request(R"({"name": "n"})");
  unset.mutable_args();
  EXPECT_THAT(std::string(Refusal(unset).message()), HasSubstr("tasks[7].args has a value that is not set"));
}

TEST(NewTaskOfTest, AnInputPastOneMebibyteExceedsALimit) {
  v1::EnqueueRequest request = Request(R"({"name": "n"})");
  request.set_data(std::string(kMaxTaskContentBytes, 'x'));
  EXPECT_TRUE(NewTaskOf(request, "").ok());
  request.mutable_data()->push_back('x');
  absl::Status status = Refusal(request);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(MetadataOf(status)["limit"], "content_bytes");
  EXPECT_THAT(std::string(status.message()), HasSubstr("tasks[7].data has 1048577 bytes"));
  request.mutable_args()->set_string_value(std::string(kMaxTaskContentBytes, 'x'));
  EXPECT_EQ(ReasonOf(Refusal(request)), v1::ERROR_REASON_LIMIT_EXCEEDED);
}

TEST(DurationOfTest, ItIsRoundedUpToMicrosecondsAndNonsenseIsRefused) {
  const auto read = [](int64_t seconds, int32_t nanos) {
    google::protobuf::Duration duration;
    duration.set_seconds(seconds);
    duration.set_nanos(nanos);
    return DurationOf(duration, absl::ZeroDuration(), absl::Hours(1), "d");
  };
  EXPECT_EQ(read(0, 1).value(), absl::Microseconds(1));
  EXPECT_EQ(read(1, 1000).value(), absl::Seconds(1) + absl::Microseconds(1));
  EXPECT_EQ(read(3600, 0).value(), absl::Hours(1));
  for (const auto& [seconds, nanos] :
       std::vector<std::pair<int64_t, int32_t>>{{1, -1},
                                                {-1, 1},
                                                {0, 1'000'000'000},
                                                {0, -1},
                                                {3600, 1},
                                                {std::numeric_limits<int64_t>::max(), 0},
                                                {std::numeric_limits<int64_t>::min(), 0}}) {
    EXPECT_EQ(read(seconds, nanos).status().code(), kInvalid) << seconds << " " << nanos;
  }
}

TEST(TaskIdOfTest, AnIdOfATaskNamesItsQueue) {
  const absl::StatusOr<TaskId> id = TaskIdOf(TaskId{.queue = "a/b", .id = "c/d"}.ToString());
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(id->queue, "a/b");
  EXPECT_EQ(id->id, "c/d");
  const std::string long_name(257, 'x');
  for (const std::string& bad : {std::string(), std::string("x"), "q/" + long_name, long_name + "/i"}) {
    const absl::Status status = TaskIdOf(bad).status();
    EXPECT_EQ(status.code(), kInvalid) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("task_id"));
  }
}

TEST(TaskToProtoTest, ATaskIsShownAsItIs) {
  TaskView view = {
      .id = "i",
      .name = "n",
      .state = TaskState::kRetrying,
      .priority = 9,
      .attempts = 2,
      .max_attempts = 4,
      .lost_leases = 1,
      .token = 7,
      .enqueued_at = absl::FromUnixSeconds(10),
      .since = absl::FromUnixMicros(11'000'001),
      .due_at = absl::FromUnixSeconds(12),
      .retained = true,
      .worker = "node/worker",
      .input = Content{.kind = Content::Kind::kBytes, .body = "in"},
      .error = absl::NotFoundError("gone"),
      .result = {.kind = Content::Kind::kBytes, .body = "out"},
      .progress = {.kind = Content::Kind::kJson, .body = Parse<google::protobuf::Value>("0.5").SerializeAsString()}};
  const v1::Task expected = Parse<v1::Task>(
      R"({"id": "q/i", "name": "n", "queue": "q", "data": "aW4=", "state": "TASK_STATE_RETRYING", "priority": 9, "attempts": 2,
          "maxAttempts": 4, "lostLeases": 1, "enqueuedAt": "1970-01-01T00:00:10Z", "since": "1970-01-01T00:00:11.000001Z",
          "dueAt": "1970-01-01T00:00:12Z", "worker": "node/worker", "error": {"code": 5, "message": "gone"},
          "result": {"data": "b3V0"}, "progress": {"value": 0.5}})");
  EXPECT_TRUE(MessageDifferencer::Equals(TaskToProto(view, "q"), expected)) << TaskToProto(view, "q").DebugString();
  view.input.reset();
  view.due_at.reset();
  view.error = absl::OkStatus();
  view.result = view.progress = {};
  const v1::Task less = TaskToProto(view, "q");
  EXPECT_EQ(less.content_case(), v1::Task::CONTENT_NOT_SET);
  EXPECT_FALSE(less.has_due_at() || less.has_error() || less.has_result() || less.has_progress());
}

TEST(SetEndTest, AnEndHasAResultOrAnErrorOrNothing) {
  TaskView view = {};
  view.state = TaskState::kDone;
  view.result = {.kind = Content::Kind::kBytes, .body = "out"};
  v1::AwaitResponse response;
  SetEnd(view, &response);
  EXPECT_EQ(response.state(), v1::TASK_STATE_DONE);
  EXPECT_EQ(response.data(), "out");
  view.state = TaskState::kFailed;
  view.error = absl::NotFoundError("gone");
  response.Clear();
  SetEnd(view, &response);
  EXPECT_EQ(response.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(response.error().code(), 5);
  view.state = TaskState::kCancelled;
  response.Clear();
  SetEnd(view, &response);
  EXPECT_EQ(response.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(response.outcome_case(), v1::AwaitResponse::OUTCOME_NOT_SET);
}

TEST(QueueLimitsOfTest, WhatIsNotSetIsByDefaultAndComesBackUnset) {
  const absl::StatusOr<QueueLimits> defaults = QueueLimitsOf(v1::QueueLimits());
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->max_length, 1'000'000);
  EXPECT_EQ(defaults->max_failed, 10'000);
  EXPECT_EQ(defaults->keep_failed_for, absl::Hours(7 * 24));
  QueueView queue;
  queue.limits = *defaults;
  EXPECT_TRUE(MessageDifferencer::Equals(QueueToProto(queue).limits(), v1::QueueLimits()));
  const v1::QueueLimits all = Parse<v1::QueueLimits>(
      R"({"maxLength": "100000000", "overflow": "OVERFLOW_DROP_OLDEST", "rate": 0.001, "maxConcurrency": 4294967295,
          "maxFailed": 1000000, "keepFailedFor": "31622400s"})");
  const absl::StatusOr<QueueLimits> limits = QueueLimitsOf(all);
  ASSERT_TRUE(limits.ok()) << limits.status();
  queue.limits = *limits;
  EXPECT_TRUE(MessageDifferencer::Equals(QueueToProto(queue).limits(), all)) << QueueToProto(queue).DebugString();
}

TEST(QueueLimitsOfTest, WhatIsPastTheLimitsOfLimitsIsRefused) {
  for (const char* json : {R"({"maxLength": "100000001"})", R"({"overflow": 3})", R"({"rate": 0.0009})",
                           R"({"rate": -1})", R"({"rate": 1000001})", R"({"rate": "NaN"})", R"({"maxFailed": 1000001})",
                           R"({"keepFailedFor": "0s"})", R"({"keepFailedFor": "31622401s"})"}) {
    EXPECT_EQ(QueueLimitsOf(Parse<v1::QueueLimits>(json)).status().code(), kInvalid) << json;
  }
}

}  // namespace
}  // namespace actioncluster
