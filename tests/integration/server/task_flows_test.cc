// What TaskService does in many steps, or within limits, through whole nodes inside this process.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/task_service_test_base.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;

class TaskFlowsTest : public TaskServiceTest {
 protected:
  uint64_t Count(const std::string& filter) {
    v1::CountResponse response;
    const grpc::Status status = Call(&Stub::Count, absl::StrCat(R"({"filter":)", filter, "}"), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.count();
  }
  grpc::Status EnqueueMany(const v1::EnqueueManyRequest& request, v1::EnqueueManyResponse* response) {
    return CallWith(&Stub::EnqueueMany, request, response);
  }
  // `count` dead letters of the default queue.
  void Bury(int count) {
    v1::EnqueueManyRequest request;
    for (int i = 0; i < count; ++i) request.add_tasks()->set_name("x");
    v1::EnqueueManyResponse response;
    ASSERT_TRUE(EnqueueMany(request, &response).ok());
    TestWorker worker(two_.tasks(), "default", static_cast<uint32_t>(count));
    v1::WorkRequest::Outcomes outcomes;
    while (outcomes.failed_size() < count) {
      const v1::WorkResponse frame = worker.Read();
      ASSERT_TRUE(frame.has_tasks());
      for (const v1::WorkResponse::Task& task : frame.tasks().tasks()) {
        v1::WorkRequest::Failed* failed = outcomes.add_failed();
        failed->set_task_id(task.id());
        failed->set_token(task.token());
        failed->set_retryable(false);
      }
    }
    worker.Send(outcomes);
    for (int recorded = 0; recorded < count;) {
      const v1::WorkResponse frame = worker.Read();
      ASSERT_TRUE(frame.has_recorded());
      recorded += frame.recorded().outcomes_size();
    }
  }
};

TEST_F(TaskFlowsTest, TheLimitsOfEnqueueManyAreSaid) {
  v1::EnqueueManyRequest request;
  v1::EnqueueManyResponse response;
  EXPECT_EQ(grpc::INVALID_ARGUMENT, EnqueueMany(request, &response).error_code());
  for (int i = 0; i < 1000; ++i) request.add_tasks()->set_name("x");
  request.set_request_id(std::string(65, 'r'));
  EXPECT_EQ(grpc::INVALID_ARGUMENT, EnqueueMany(request, &response).error_code());
  request.set_request_id(std::string(64, 'r'));
  EXPECT_TRUE(EnqueueMany(request, &response).ok());
  request.add_tasks()->set_name("x");
  EXPECT_EQ("LIMIT_EXCEEDED", ReasonOf(EnqueueMany(request, &response)));
  request.clear_tasks();
  for (int i = 0; i < 5; ++i) {
    request.add_tasks()->set_name("x");
    request.mutable_tasks(i)->set_data(std::string(900'000, 'x'));
  }
  EXPECT_EQ("LIMIT_EXCEEDED", ReasonOf(EnqueueMany(request, &response)));
  EXPECT_EQ(1000U, Count("{}"));
}

TEST_F(TaskFlowsTest, AFullQueueRefusesItsOwnTasksOnly) {
  v1::SetQueueLimitsResponse set;
  ASSERT_TRUE(Call(&Stub::SetQueueLimits, R"({"queue":"full","limits":{"maxLength":1}})", &set).ok());
  v1::EnqueueManyResponse response;
  ASSERT_TRUE(Call(&Stub::EnqueueMany,
                   R"({"tasks":[{"name":"a","queue":"full"},{"name":"b"},{"name":"c","queue":"full"},{"name":"d"}]})",
                   &response)
                  .ok());
  EXPECT_TRUE(response.outcomes(0).created() && response.outcomes(1).created() && response.outcomes(3).created());
  EXPECT_EQ("LIMIT_EXCEEDED", response.outcomes(2).error().reason());
  EXPECT_EQ("queue_length", response.outcomes(2).error().metadata().at("limit"));
  EXPECT_EQ("full", response.outcomes(2).error().metadata().at("queue"));
  EXPECT_EQ("", response.outcomes(2).task_id());
}

TEST_F(TaskFlowsTest, TasksAreCountedInEachState) {
  Enqueue(R"({"name":"ready"})");
  Enqueue(R"({"name":"later","delay":"3600s"})");
  const std::string cancelled = Enqueue(R"({"name":"cancelled","queue":"q","retainResultFor":"60s"})");
  Enqueue(R"({"name":"done","queue":"q","retainResultFor":"60s"})");
  v1::CancelResponse response;
  ASSERT_TRUE(Call(&Stub::Cancel, absl::StrCat(R"({"taskId":")", cancelled, R"("})"), &response).ok());
  EXPECT_FALSE(response.was_running());
  TestWorker worker(two_.tasks(), "q");
  const v1::WorkResponse::Task task = worker.Take();
  EXPECT_EQ(1U, Count(R"({"queue":"q","state":"TASK_STATE_ACTIVE"})"));
  worker.Complete(task, "");
  EXPECT_EQ(2U, Count("{}"));
  EXPECT_EQ(1U, Count(R"({"state":"TASK_STATE_READY"})"));
  EXPECT_EQ(1U, Count(R"({"state":"TASK_STATE_SCHEDULED"})"));
  EXPECT_EQ(0U, Count(R"({"state":"TASK_STATE_RETRYING"})"));
  EXPECT_EQ(0U, Count(R"({"state":"TASK_STATE_DONE"})"));
  EXPECT_EQ(1U, Count(R"({"queue":"q","state":"TASK_STATE_DONE"})"));
  EXPECT_EQ(1U, Count(R"({"queue":"q","state":"TASK_STATE_CANCELLED"})"));
  EXPECT_EQ(2U, Count(R"({"queue":"q"})"));
  EXPECT_EQ(1U, Count(R"({"queue":"q","name":"done"})"));
  EXPECT_EQ(0U, Count(R"({"queue":"none"})"));
}

TEST_F(TaskFlowsTest, WhatHasEndedMeanwhileIsNotDeletedWithThoseThatWait) {
  Enqueue(R"({"name":"x","id":"ended","retainResultFor":"60s"})");
  TestWorker worker(two_.tasks(), "default");
  worker.Complete(worker.Take(), "out");
  Enqueue(R"({"name":"x","id":"waits","delay":"3600s"})");
  const fakes::Waiter<TaskStore::Changed> changed;
  one_.io().Run([&] {
    one_.rooms().tasks.Apply(
        "default", TaskStore::Change::kDeleteWaiting, {"ended", "waits", "none"},
        [done = changed.Callback()](absl::StatusOr<TaskStore::Changed> result) mutable { done(*std::move(result)); });
  });
  using Kind = TaskStore::Changed::Kind;
  EXPECT_THAT(changed.Next().kinds, ElementsAre(Kind::kEnded, Kind::kDone, Kind::kMissing));
  EXPECT_EQ("out", Get("default/ended").result().value().string_value());
}

TEST_F(TaskFlowsTest, OnlyWhatWaitsCanBeDeletedByTheName) {
  v1::DeleteManyResponse deleted;
  for (const char* state : {"ACTIVE", "DONE", "FAILED", "CANCELLED"}) {
    const std::string request = absl::StrCat(R"({"filter":{"name":"x","state":"TASK_STATE_)", state, R"("}})");
    EXPECT_EQ(grpc::INVALID_ARGUMENT, Call(&Stub::DeleteMany, request, &deleted).error_code()) << state;
  }
  Enqueue(R"({"name":"x"})");
  Enqueue(R"({"name":"x","delay":"3600s"})");
  ASSERT_TRUE(Call(&Stub::DeleteMany, R"({"filter":{"name":"x","state":"TASK_STATE_SCHEDULED"}})", &deleted).ok());
  EXPECT_EQ(1U, deleted.deleted());
  EXPECT_EQ(1U, Count(R"({"state":"TASK_STATE_READY"})"));
}

TEST_F(TaskFlowsTest, AllTasksOfOneInstantAreDeletedAndTheOthersStay) {
  v1::EnqueueManyRequest request;
  for (int i = 0; i < 1000; ++i) {
    v1::EnqueueRequest* task = request.add_tasks();
    task->set_name(i % 2 == 0 ? "even" : "odd");
    task->mutable_run_at()->set_seconds(absl::ToUnixSeconds(absl::Now()) + 3600);
    task->mutable_run_at()->set_nanos(0);
  }
  for (v1::EnqueueRequest& task : *request.mutable_tasks()) *task.mutable_run_at() = request.tasks(0).run_at();
  v1::EnqueueManyResponse response;
  for (int batch = 0; batch < 2; ++batch) ASSERT_TRUE(EnqueueMany(request, &response).ok());
  v1::DeleteManyResponse deleted;
  ASSERT_TRUE(Call(&Stub::DeleteMany, R"({"filter":{"name":"odd"}})", &deleted).ok());
  EXPECT_EQ(1000U, deleted.deleted());
  EXPECT_EQ(1000U, Count(R"({"name":"even"})"));
  EXPECT_EQ(1000U, Count("{}"));
}

TEST_F(TaskFlowsTest, PagesOfLargeTasksFitIntoWhatClientsTake) {
  const std::string megabyte(1 << 20, 'x');
  TestWorker worker(two_.tasks(), "default");
  for (int i = 0; i < 4; ++i) {
    v1::EnqueueRequest request;
    request.set_name("x");
    request.set_data(megabyte);
    request.mutable_retain_result_for()->set_seconds(60);
    v1::EnqueueResponse response;
    ASSERT_TRUE(CallWith(&Stub::Enqueue, request, &response).ok());
    worker.Complete(worker.Take(), std::string(1'000'000, 'y'));
  }
  v1::ListRequest request = FromJson<v1::ListRequest>(R"({"filter":{"state":"TASK_STATE_DONE"}})");
  int tasks = 0;
  do {
    v1::ListResponse page;
    ASSERT_TRUE(CallWith(&Stub::List, request, &page).ok());
    EXPECT_LT(page.ByteSizeLong(), size_t{4} << 20);
    tasks += page.tasks_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(4, tasks);
}

TEST_F(TaskFlowsTest, PagesThatNobodyGaveOutAreRefused) {
  v1::ListResponse page;
  for (const char* bad : {R"({"filter":{}})", R"({"filter":{"state":"TASK_STATE_READY"},"pageSize":1001})",
                          R"({"filter":{"state":"TASK_STATE_READY"},"pageToken":"x"})",
                          R"({"filter":{"state":"TASK_STATE_READY"},"pageToken":"1:"})"}) {
    EXPECT_EQ(grpc::INVALID_ARGUMENT, Call(&Stub::List, bad, &page).error_code()) << bad;
  }
  v1::ListFailedResponse failed;
  EXPECT_EQ(grpc::INVALID_ARGUMENT, Call(&Stub::ListFailed, R"({"pageSize":1001})", &failed).error_code());
}

TEST_F(TaskFlowsTest, DeadLettersAreListedNewestFirstAndRemovedTogether) {
  Bury(5);
  v1::ListFailedRequest request;
  request.set_page_size(2);
  std::vector<v1::Task> letters;
  do {
    v1::ListFailedResponse page;
    ASSERT_TRUE(CallWith(&Stub::ListFailed, request, &page).ok());
    letters.insert(letters.end(), page.tasks().begin(), page.tasks().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  ASSERT_EQ(5U, letters.size());
  for (size_t i = 1; i < letters.size(); ++i) {
    EXPECT_GE(
        absl::FromUnixSeconds(letters[i - 1].since().seconds()) + absl::Nanoseconds(letters[i - 1].since().nanos()),
        absl::FromUnixSeconds(letters[i].since().seconds()) + absl::Nanoseconds(letters[i].since().nanos()));
  }
  v1::RetryFailedResponse retried;
  ASSERT_TRUE(Call(&Stub::RetryFailed, absl::StrCat(R"({"taskId":")", letters[0].id(), R"("})"), &retried).ok());
  EXPECT_EQ(1U, retried.retried());
  EXPECT_EQ("TASK_NOT_FOUND",
            ReasonOf(Call(&Stub::RetryFailed, absl::StrCat(R"({"taskId":")", letters[0].id(), R"("})"), &retried)));
  EXPECT_EQ(grpc::INVALID_ARGUMENT, Call(&Stub::RetryFailed, "{}", &retried).error_code());
  v1::RemoveFailedResponse removed;
  ASSERT_TRUE(Call(&Stub::RemoveFailed, R"({"allOfQueue":"default"})", &removed).ok());
  EXPECT_EQ(4U, removed.removed());
  EXPECT_EQ(1U, Count("{}"));
}

TEST_F(TaskFlowsTest, SchedulesOfAllQueuesAreListedByQueueAndId) {
  v1::ScheduleRecurringResponse scheduled;
  for (const char* schedule : {R"({"id":"b","task":{"name":"x","queue":"q2"},"every":"3600s"})",
                               R"({"id":"a","task":{"name":"x","queue":"q2"},"every":"3600s"})",
                               R"({"id":"c","task":{"name":"x","queue":"q1"},"every":"3600s"})"}) {
    ASSERT_TRUE(Call(&Stub::ScheduleRecurring, schedule, &scheduled).ok());
  }
  v1::ListRecurringResponse all;
  ASSERT_TRUE(Call(&Stub::ListRecurring, "{}", &all).ok());
  std::vector<std::string> names;
  for (const auto& one : all.recurring()) {
    names.push_back(absl::StrCat(one.schedule().task().queue(), "/", one.schedule().id()));
  }
  EXPECT_THAT(names, ElementsAre("q1/c", "q2/a", "q2/b"));
  ASSERT_TRUE(Call(&Stub::ListRecurring, R"({"queue":"q2"})", &all).ok());
  EXPECT_EQ(2, all.recurring_size());
}

TEST_F(TaskFlowsTest, ManyQueuesAreListedByName) {
  v1::EnqueueManyRequest request;
  for (int i = 0; i < 150; ++i) {
    request.add_tasks()->set_name("x");
    request.mutable_tasks(i)->set_queue(absl::StrCat("q", 1000 + i));
  }
  v1::EnqueueManyResponse response;
  ASSERT_TRUE(EnqueueMany(request, &response).ok());
  Enqueue(R"({"name":"x","queue":"other"})");
  v1::ListQueuesResponse queues;
  ASSERT_TRUE(Call(&Stub::ListQueues, R"({"prefix":"q1"})", &queues).ok());
  ASSERT_EQ(150, queues.queues_size());
  for (int i = 0; i < 150; ++i) {
    EXPECT_EQ(absl::StrCat("q", 1000 + i), queues.queues(i).name());
    EXPECT_EQ(1U, queues.queues(i).counts().ready());
  }
  v1::StatsResponse stats;
  ASSERT_TRUE(Call(&Stub::Stats, "{}", &stats).ok());
  EXPECT_EQ(151U, stats.queues());
  EXPECT_EQ(151U, stats.counts().ready());
}

TEST_F(TaskFlowsTest, ANodeThatDoesNotAnswerIsNamedBesideTheWorkersOfTheOthers) {
  TestWorker worker(one_.tasks(), "default");
  // Shared: the loop has still to do with it when this test has ended.
  const auto go_on = std::make_shared<absl::Notification>();
  two_.io().loop().Post([go_on] { go_on->WaitForNotification(); });
  v1::ListWorkersResponse workers;
  const grpc::Status status = Call(&Stub::ListWorkers, "{}", &workers);
  go_on->Notify();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(1, workers.workers_size());
  EXPECT_EQ(one_.id(), workers.workers(0).node_id());
  EXPECT_THAT(workers.missing_nodes(), ElementsAre(two_.id()));
}

}  // namespace
}  // namespace actioncluster
