// TaskService of whole nodes inside this process: what each rpc does, and how it refuses.
#include <grpcpp/client_context.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/task_service_test_base.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(TaskServiceTest, WhatIsWrongWithATaskIsSaidAndNothingIsEnqueued) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {R"({})", "name"},
      {R"({"name":"x","priority":10})", "priority"},
      {R"({"name":"x","delay":"-1s"})", "delay"},
      {R"({"name":"x","timeout":"0s"})", "timeout"},
      {R"({"name":"x","retry":{"maxAttempts":101}})", "max_attempts"},
      {R"({"name":"x","retainResultFor":"3000000s"})", "retain_result_for"},
  };
  for (const auto& [json, field] : wrong) {
    const grpc::Status status = EnqueueFails(json);
    EXPECT_EQ(grpc::INVALID_ARGUMENT, status.error_code()) << json;
    EXPECT_THAT(status.error_message(), HasSubstr(field));
  }
  v1::EnqueueRequest large;
  large.set_name("x");
  large.set_data(std::string((1 << 20) + 1, 'x'));
  v1::EnqueueResponse response;
  const grpc::Status status = CallWith(&Stub::Enqueue, large, &response);
  EXPECT_EQ(grpc::RESOURCE_EXHAUSTED, status.error_code());
  EXPECT_EQ("LIMIT_EXCEEDED", ReasonOf(status));
}

TEST_F(TaskServiceTest, ATaskRunsOnAnotherNodeAndItsResultIsAwaited) {
  const std::string id = Enqueue(R"({"name":"greet","args":{"who":["you",null,1.5]},"retainResultFor":"60s"})");
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  EXPECT_EQ(id, task.id());
  EXPECT_EQ("greet", task.name());
  EXPECT_EQ("default", task.queue());
  EXPECT_EQ(3, task.args().struct_value().fields().at("who").list_value().values_size());
  EXPECT_EQ(1U, task.attempt());
  EXPECT_EQ(v1::TASK_STATE_DONE, worker.Complete(task, "hello"));
  v1::AwaitResponse end;
  ASSERT_TRUE(Call(&Stub::Await, absl::StrCat(R"({"taskId":")", id, R"("})"), &end).ok());
  EXPECT_EQ(v1::TASK_STATE_DONE, end.state());
  EXPECT_EQ("hello", end.result().string_value());
  const v1::Task seen = Get(id);
  EXPECT_EQ("hello", seen.result().value().string_value());
  EXPECT_THAT(seen.worker(), HasSubstr(two_.id()));
}

TEST_F(TaskServiceTest, NoSuchTaskAndNothingToAwaitAreSaidAtOnce) {
  v1::AwaitResponse end;
  grpc::Status status = Call(&Stub::Await, R"({"taskId":"default/none"})", &end);
  EXPECT_EQ(grpc::NOT_FOUND, status.error_code());
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(status));
  status = Call(&Stub::Await, R"({"taskId":"nonsense"})", &end);
  EXPECT_EQ(grpc::INVALID_ARGUMENT, status.error_code());
  const std::string id = Enqueue(R"({"name":"x"})");
  status = Call(&Stub::Await, absl::StrCat(R"({"taskId":")", id, R"("})"), &end);
  EXPECT_EQ(grpc::FAILED_PRECONDITION, status.error_code());
  const std::string none = R"({"taskId":"default/none"})";
  v1::GetResponse got;
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(Call(&Stub::Get, none, &got)));
  v1::DeleteResponse deleted;
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(Call(&Stub::Delete, none, &deleted)));
  v1::CancelResponse cancelled;
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(Call(&Stub::Cancel, none, &cancelled)));
}

TEST_F(TaskServiceTest, ManyAreEnqueuedEachWithItsOwnOutcomeAndOnceForARequest) {
  const std::string request = R"({"requestId":"r1","tasks":[
      {"name":"a","queue":"q1","id":"1"},{"name":"b","queue":"q2"},{"queue":"q1"},{"name":"c","queue":"q1","id":"1"}]})";
  v1::EnqueueManyResponse first;
  ASSERT_TRUE(Call(&Stub::EnqueueMany, request, &first).ok());
  ASSERT_EQ(4, first.outcomes_size());
  EXPECT_EQ("q1/1", first.outcomes(0).task_id());
  EXPECT_TRUE(first.outcomes(1).created());
  EXPECT_EQ(grpc::INVALID_ARGUMENT, first.outcomes(2).error().code());
  EXPECT_FALSE(first.outcomes(3).created());
  EXPECT_EQ("q1/1", first.outcomes(3).task_id());
  v1::EnqueueManyResponse again;
  ASSERT_TRUE(Call(&Stub::EnqueueMany, request, &again).ok());
  EXPECT_TRUE(again.outcomes(0).created());
  EXPECT_EQ(first.outcomes(1).task_id(), again.outcomes(1).task_id());
  v1::StatsResponse stats;
  ASSERT_TRUE(Call(&Stub::Stats, "{}", &stats).ok());
  EXPECT_EQ(2U, stats.counts().ready());
  EXPECT_EQ(2U, stats.queues());
}

TEST_F(TaskServiceTest, PagesShowEveryTaskOnce) {
  for (int batch = 0; batch < 5; ++batch) {
    v1::EnqueueManyRequest many;
    for (int i = 0; i < 500; ++i) many.add_tasks()->set_name(i % 2 == 0 ? "even" : "odd");
    v1::EnqueueManyResponse response;
    ASSERT_TRUE(CallWith(&Stub::EnqueueMany, many, &response).ok());
  }
  std::set<std::string> seen;
  v1::ListRequest request =
      FromJson<v1::ListRequest>(R"({"filter":{"state":"TASK_STATE_READY","name":"odd"},"pageSize":700})");
  int tasks = 0;
  do {
    v1::ListResponse page;
    ASSERT_TRUE(CallWith(&Stub::List, request, &page).ok());
    for (const v1::Task& task : page.tasks()) seen.insert(task.id());
    tasks += page.tasks_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(1250, tasks);
  EXPECT_THAT(seen, SizeIs(1250));
  v1::CountResponse count;
  ASSERT_TRUE(Call(&Stub::Count, R"({"filter":{"name":"even"}})", &count).ok());
  EXPECT_EQ(1250U, count.count());
  v1::DeleteManyResponse deleted;
  ASSERT_TRUE(Call(&Stub::DeleteMany, R"({"filter":{"name":"even"}})", &deleted).ok());
  EXPECT_EQ(1250U, deleted.deleted());
  ASSERT_TRUE(Call(&Stub::Count, R"({"filter":{}})", &count).ok());
  EXPECT_EQ(1250U, count.count());
}

TEST_F(TaskServiceTest, TasksAreDeletedByTheirInputWhateverTheOrderOfItsKeys) {
  Enqueue(R"({"name":"mail","args":{"to":"a","cc":["b"]}})");
  Enqueue(R"({"name":"mail","args":{"to":"z"},"delay":"3600s"})");
  v1::DeleteManyResponse deleted;
  ASSERT_TRUE(Call(&Stub::DeleteMany, R"({"filter":{"name":"mail","args":{"cc":["b"],"to":"a"}}})", &deleted).ok());
  EXPECT_EQ(1U, deleted.deleted());
  EXPECT_EQ(grpc::INVALID_ARGUMENT, Call(&Stub::DeleteMany, R"({"filter":{}})", &deleted).error_code());
}

TEST_F(TaskServiceTest, DeadLettersAreListedRetriedAndRemoved) {
  const std::string id = Enqueue(R"({"name":"print"})");
  {
    TestWorker worker(two_.tasks(), "default");
    EXPECT_EQ(v1::TASK_STATE_FAILED, worker.Fail(worker.Take(), /*retryable=*/false));
    worker.Leave();
  }
  v1::ListFailedResponse failed;
  ASSERT_TRUE(Call(&Stub::ListFailed, "{}", &failed).ok());
  ASSERT_EQ(1, failed.tasks_size());
  EXPECT_EQ(id, failed.tasks(0).id());
  EXPECT_EQ(9, failed.tasks(0).error().code());
  EXPECT_EQ("no paper", failed.tasks(0).error().message());
  EXPECT_EQ("HANDLER_FAILED", failed.tasks(0).error().reason());
  v1::RetryFailedResponse retried;
  ASSERT_TRUE(Call(&Stub::RetryFailed, R"({"allOfQueue":"default"})", &retried).ok());
  EXPECT_EQ(1U, retried.retried());
  EXPECT_EQ(v1::TASK_STATE_READY, Get(id).state());
  v1::RemoveFailedResponse removed;
  const grpc::Status status = Call(&Stub::RemoveFailed, absl::StrCat(R"({"taskId":")", id, R"("})"), &removed);
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(status));
}

TEST_F(TaskServiceTest, ACancelledTaskIsTakenFromItsWorkerOnAnotherNode) {
  const std::string id = Enqueue(R"({"name":"x","retainResultFor":"60s"})");
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  v1::DeleteResponse deleted;
  const std::string by_id = absl::StrCat(R"({"taskId":")", id, R"("})");
  EXPECT_EQ(grpc::FAILED_PRECONDITION, Call(&Stub::Delete, by_id, &deleted).error_code());
  v1::CancelResponse cancelled;
  ASSERT_TRUE(Call(&Stub::Cancel, by_id, &cancelled).ok());
  EXPECT_TRUE(cancelled.was_running());
  const v1::WorkResponse revoked = worker.Read();
  EXPECT_EQ(id, revoked.revoked().task_id());
  EXPECT_EQ("cancelled", revoked.revoked().reason());
  EXPECT_EQ(grpc::FAILED_PRECONDITION, Call(&Stub::Cancel, by_id, &cancelled).error_code());
  v1::AwaitResponse end;
  ASSERT_TRUE(Call(&Stub::Await, by_id, &end).ok());
  EXPECT_EQ(v1::TASK_STATE_CANCELLED, end.state());
}

TEST_F(TaskServiceTest, AWatcherOnAnotherNodeSeesHowFarATaskIsAndItsEnd) {
  const std::string id = Enqueue(R"({"name":"x","retainResultFor":"60s"})");
  grpc::ClientContext context;
  v1::WatchTaskRequest request;
  request.set_task_id(id);
  const auto stream = one_.tasks().WatchTask(&context, request);
  v1::WatchTaskResponse frame;
  ASSERT_TRUE(stream->Read(&frame));
  EXPECT_EQ(v1::TASK_STATE_READY, frame.task().state());
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  v1::WorkRequest::Outcomes outcomes;
  v1::WorkRequest::Progress* progress = outcomes.add_progress();
  progress->set_task_id(task.id());
  progress->set_token(task.token());
  progress->mutable_result()->set_number_value(50);
  worker.Send(outcomes);
  do {
    ASSERT_TRUE(stream->Read(&frame));
  } while (!frame.task().has_progress());
  EXPECT_EQ(50, frame.task().progress().value().number_value());
  worker.Complete(task, "all");
  while (frame.task().state() != v1::TASK_STATE_DONE) ASSERT_TRUE(stream->Read(&frame));
  EXPECT_EQ("all", frame.task().result().value().string_value());
  EXPECT_FALSE(stream->Read(&frame));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TaskServiceTest, SchedulesAreCheckedListedAndStopped) {
  v1::ScheduleRecurringResponse scheduled;
  for (const char* wrong : {
           R"({"id":"s","task":{"name":"x"}})",
           R"({"id":"s","task":{"name":"x"},"cron":"61 * * * *"})",
           R"({"id":"s","task":{"name":"x"},"cron":"0 0 30 2 *"})",
           R"({"id":"s","task":{"name":"x"},"cron":"* * * * *","timeZone":"Moon/Sea"})",
           R"({"id":"s","task":{"name":"x"},"every":"0.01s"})",
           R"({"id":"s","task":{"name":"x","delay":"1s"},"every":"1s"})",
           R"({"task":{"name":"x"},"every":"1s"})",
       }) {
    EXPECT_EQ(grpc::INVALID_ARGUMENT, Call(&Stub::ScheduleRecurring, wrong, &scheduled).error_code()) << wrong;
  }
  const std::string valid =
      R"({"id":"s","task":{"name":"x","args":7},"cron":"0 3 * * mon","timeZone":"Europe/Berlin","missed":"MISSED_SLOTS_RUN_ONCE"})";
  ASSERT_TRUE(Call(&Stub::ScheduleRecurring, valid, &scheduled).ok());
  EXPECT_TRUE(scheduled.created());
  const int64_t next = scheduled.next().seconds();
  ASSERT_TRUE(Call(&Stub::ScheduleRecurring, valid, &scheduled).ok());
  EXPECT_FALSE(scheduled.created());
  EXPECT_EQ(next, scheduled.next().seconds());
  v1::ListRecurringResponse list;
  ASSERT_TRUE(Call(&Stub::ListRecurring, "{}", &list).ok());
  ASSERT_EQ(1, list.recurring_size());
  EXPECT_EQ("0 3 * * mon", list.recurring(0).schedule().cron());
  EXPECT_EQ("Europe/Berlin", list.recurring(0).schedule().time_zone());
  EXPECT_EQ(7, list.recurring(0).schedule().task().args().number_value());
  EXPECT_EQ(next, list.recurring(0).next().seconds());
  v1::StopRecurringResponse stopped;
  ASSERT_TRUE(Call(&Stub::StopRecurring, R"({"id":"s"})", &stopped).ok());
  EXPECT_TRUE(stopped.stopped());
  ASSERT_TRUE(Call(&Stub::StopRecurring, R"({"id":"s"})", &stopped).ok());
  EXPECT_FALSE(stopped.stopped());
}

TEST_F(TaskServiceTest, ATaskOfAScheduleWithALongNameCanBeNamed) {
  v1::ScheduleRecurringRequest request =
      FromJson<v1::ScheduleRecurringRequest>(R"({"task":{"name":"x"},"every":"0.1s"})");
  v1::ScheduleRecurringResponse scheduled;
  request.set_id(std::string(240, 's'));
  EXPECT_EQ(grpc::INVALID_ARGUMENT, CallWith(&Stub::ScheduleRecurring, request, &scheduled).error_code());
  request.set_id(std::string(239, 's'));
  ASSERT_TRUE(CallWith(&Stub::ScheduleRecurring, request, &scheduled).ok());
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  EXPECT_EQ(v1::TASK_STATE_ACTIVE, Get(task.id()).state());
}

TEST_F(TaskServiceTest, ManyLargeSchedulesAreListedWithoutTheirInputs) {
  constexpr int kSchedules = 6;
  for (int i = 0; i < kSchedules; ++i) {
    v1::ScheduleRecurringRequest request =
        FromJson<v1::ScheduleRecurringRequest>(R"({"task":{"name":"x"},"cron":"@yearly"})");
    request.set_id(absl::StrCat(i));
    request.mutable_task()->set_data(std::string(1 << 20, 'x'));
    v1::ScheduleRecurringResponse scheduled;
    ASSERT_TRUE(CallWith(&Stub::ScheduleRecurring, request, &scheduled).ok());
  }
  v1::ListRecurringResponse list;
  ASSERT_TRUE(Call(&Stub::ListRecurring, "{}", &list).ok());
  ASSERT_EQ(kSchedules, list.recurring_size());
  EXPECT_LT(list.ByteSizeLong(), size_t{4} << 20);
  EXPECT_TRUE(list.recurring(0).schedule().task().has_data());
  EXPECT_FALSE(list.recurring(kSchedules - 1).schedule().task().has_data());
  EXPECT_EQ("@yearly", list.recurring(kSchedules - 1).schedule().cron());
}

TEST_F(TaskServiceTest, QueuesAreListedLimitedPausedAndDeleted) {
  v1::SetQueueLimitsResponse set;
  ASSERT_TRUE(Call(&Stub::SetQueueLimits, R"({"queue":"q","limits":{"maxLength":1}})", &set).ok());
  EXPECT_EQ(grpc::INVALID_ARGUMENT,
            Call(&Stub::SetQueueLimits, R"({"queue":"q","limits":{"rate":-1}})", &set).error_code());
  Enqueue(R"({"name":"x","queue":"q"})");
  const grpc::Status full = EnqueueFails(R"({"name":"x","queue":"q"})");
  EXPECT_EQ(grpc::RESOURCE_EXHAUSTED, full.error_code());
  EXPECT_EQ("LIMIT_EXCEEDED", ReasonOf(full));
  v1::PauseQueueResponse paused;
  ASSERT_TRUE(Call(&Stub::PauseQueue, R"({"queue":"q"})", &paused).ok());
  v1::ListQueuesResponse queues;
  ASSERT_TRUE(Call(&Stub::ListQueues, R"({"prefix":"q"})", &queues).ok());
  ASSERT_EQ(1, queues.queues_size());
  EXPECT_TRUE(queues.queues(0).paused());
  EXPECT_EQ(1U, queues.queues(0).limits().max_length());
  EXPECT_EQ(1U, queues.queues(0).counts().ready());
  EXPECT_TRUE(queues.queues(0).has_oldest_ready());
  v1::ResumeQueueResponse resumed;
  ASSERT_TRUE(Call(&Stub::ResumeQueue, R"({"queue":"q"})", &resumed).ok());
  TestWorker worker(two_.tasks(), "q");
  worker.Take();
  v1::ListWorkersResponse workers;
  ASSERT_TRUE(Call(&Stub::ListWorkers, "{}", &workers).ok());
  ASSERT_EQ(1, workers.workers_size());
  EXPECT_EQ(two_.id(), workers.workers(0).node_id());
  EXPECT_EQ(1, workers.workers(0).tasks_size());
  v1::DeleteQueueResponse deleted;
  EXPECT_EQ(grpc::FAILED_PRECONDITION, Call(&Stub::DeleteQueue, R"({"queue":"q"})", &deleted).error_code());
  ASSERT_TRUE(Call(&Stub::DeleteQueue, R"({"queue":"q","force":true})", &deleted).ok());
  EXPECT_TRUE(deleted.deleted());
}

TEST_F(TaskServiceTest, WithoutRedisACallSaysSoAndTheNextOneAfterItWorks) {
  redis_.Kill();
  grpc::Status status = EnqueueFails(R"({"name":"x"})");
  EXPECT_EQ(grpc::UNAVAILABLE, status.error_code());
  EXPECT_EQ("BACKPLANE_UNAVAILABLE", ReasonOf(status));
  redis_.Start();
  const absl::Time give_up = absl::Now() + fakes::kPatience;
  do {
    status = EnqueueFails(R"({"name":"x"})");
  } while (!status.ok() && absl::Now() < give_up);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace actioncluster
