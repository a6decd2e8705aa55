// Await and WatchTask through whole nodes inside this process: ends and changes that happen elsewhere, hints that are lost, readers who do not read.
#include <grpcpp/client_context.h>

#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/keys/keys.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/task_service_test_base.h"

namespace actioncluster {
namespace {

// An Await that is under way on a thread of its own.
class Awaiting {
 public:
  struct End {
    grpc::Status status;
    v1::AwaitResponse response;
  };
  Awaiting(LocalNode& node, const std::string& id, absl::Duration timeout = fakes::kPatience)
      : end_(std::async(std::launch::async, [&node, id, timeout] {
          grpc::ClientContext context;
          context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
          v1::AwaitRequest request;
          request.set_task_id(id);
          End end;
          end.status = node.tasks().Await(&context, request, &end.response);
          return end;
        })) {}
  End Get() { return end_.get(); }

 private:
  std::future<End> end_;
};

// A WatchTask that is under way.
class Watching {
 public:
  Watching(LocalNode& node, const std::string& id) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    v1::WatchTaskRequest request;
    request.set_task_id(id);
    stream_ = node.tasks().WatchTask(&context_, request);
  }
  ~Watching() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  // The next frame; nothing at the end.
  std::optional<v1::Task> Next() {
    v1::WatchTaskResponse frame;
    if (!stream_->Read(&frame)) return std::nullopt;
    return frame.task();
  }
  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchTaskResponse>> stream_;
  bool finished_ = false;
};

class TaskWatchTest : public TaskServiceTest {
 protected:
  static size_t Watchers(LocalNode& node) {
    return node.io().Run([&node] { return node.rooms().task_watchers.watchers(); });
  }
  static void AwaitWatchers(LocalNode& node, size_t count) {
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (Watchers(node) != count) ASSERT_LT(absl::Now(), limit) << Watchers(node);
  }
  // Until Redis knows who watches the task.
  void AwaitRegistration(const std::string& id) {
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (redis_.Command({"HEXISTS", Tasks(), absl::StrCat("a:", id)}).view().Integer().value() == 0) {
      ASSERT_LT(absl::Now(), limit);
    }
  }
  std::string Tasks() const { return keys_.Queue("default")[0]; }

  const Keys keys_{"actioncluster"};
};

TEST_F(TaskWatchTest, AllWhoAwaitATaskHearOfItsEndOnAnotherNode) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  Awaiting first(one_, "default/t");
  Awaiting second(one_, "default/t");
  Awaiting there(two_, "default/t");
  AwaitWatchers(one_, 2);
  AwaitWatchers(two_, 1);
  worker.Complete(task, "out");
  for (Awaiting* awaiting : {&first, &second, &there}) {
    const Awaiting::End end = awaiting->Get();
    ASSERT_TRUE(end.status.ok()) << end.status.error_message();
    EXPECT_EQ(v1::TASK_STATE_DONE, end.response.state());
    EXPECT_EQ("out", end.response.result().string_value());
  }
  EXPECT_EQ(0U, Watchers(one_));
  EXPECT_EQ(0U, Watchers(two_));
}

TEST_F(TaskWatchTest, AFailureForGoodIsAnEndAndADeadLetterIsReadAtOnce) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  Awaiting awaiting(one_, "default/t");
  AwaitWatchers(one_, 1);
  TestWorker worker(two_.tasks(), "default");
  worker.Fail(worker.Take(), /*retryable=*/false);
  Awaiting::End end = awaiting.Get();
  ASSERT_TRUE(end.status.ok()) << end.status.error_message();
  EXPECT_EQ(v1::TASK_STATE_FAILED, end.response.state());
  EXPECT_EQ("no paper", end.response.error().message());
  // Dead letters are kept, whatever was asked for.
  Enqueue(R"({"name":"x","id":"u"})");
  worker.Fail(worker.Take(), /*retryable=*/false);
  end = Awaiting(one_, "default/u").Get();
  ASSERT_TRUE(end.status.ok()) << end.status.error_message();
  EXPECT_EQ("no paper", end.response.error().message());
}

TEST_F(TaskWatchTest, WhoGivesUpIsNotAwaitedForAnyMore) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  Awaiting awaiting(one_, "default/t", absl::Milliseconds(300));
  EXPECT_EQ(grpc::DEADLINE_EXCEEDED, awaiting.Get().status.error_code());
  {
    Watching watching(one_, "default/t");
    ASSERT_TRUE(watching.Next().has_value());
  }
  AwaitWatchers(one_, 0);
}

TEST_F(TaskWatchTest, AnEndThatNoHintTellsOfIsFoundAllTheSame) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  Awaiting awaiting(one_, "default/t");
  AwaitRegistration("t");
  redis_.Command({"HDEL", Tasks(), "a:t"});  // As if the hint got lost.
  worker.Complete(task, "out");
  const Awaiting::End end = awaiting.Get();
  ASSERT_TRUE(end.status.ok()) << end.status.error_message();
  EXPECT_EQ("out", end.response.result().string_value());
}

TEST_F(TaskWatchTest, WhoAwaitsATaskThatIsRemovedIsTold) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  Awaiting awaiting(one_, "default/t");
  AwaitRegistration("t");
  v1::DeleteResponse deleted;
  ASSERT_TRUE(Call(&Stub::Delete, R"({"taskId":"default/t"})", &deleted).ok());
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(awaiting.Get().status));
}

TEST_F(TaskWatchTest, ARedisThatForgetsATaskIsNoticed) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  Awaiting awaiting(one_, "default/t");
  AwaitRegistration("t");
  Get("default/t");  // Answers come in order: by now the node has heard that the task is there.
  Watching watching(two_, "default/t");
  ASSERT_TRUE(watching.Next().has_value());
  redis_.Kill();
  redis_.Start();
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(awaiting.Get().status));
  EXPECT_FALSE(watching.Next().has_value());
  EXPECT_TRUE(watching.Finish().ok());
}

TEST_F(TaskWatchTest, AWatchEndsAfterATaskThatIsNotKept) {
  Enqueue(R"({"name":"x","id":"t","delay":"3600s"})");
  const std::string id = Enqueue(R"({"name":"x"})");
  Watching watching(one_, id);
  EXPECT_EQ(v1::TASK_STATE_READY, watching.Next()->state());
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  EXPECT_EQ(v1::TASK_STATE_ACTIVE, watching.Next()->state());
  worker.Complete(task, "out");
  EXPECT_FALSE(watching.Next().has_value());
  EXPECT_TRUE(watching.Finish().ok());
  Watching after(one_, id);
  EXPECT_FALSE(after.Next().has_value());
  EXPECT_EQ("TASK_NOT_FOUND", ReasonOf(after.Finish()));
}

TEST_F(TaskWatchTest, WhoReadsLateSeesTheNewestAndNotAll) {
  constexpr int kReports = 200;
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  TestWorker worker(two_.tasks(), "default");
  const v1::WorkResponse::Task task = worker.Take();
  Watching late(one_, "default/t");
  Watching prompt(one_, "default/t");
  for (int i = 0; i < kReports; ++i) {
    const std::string report = absl::StrCat(i, " ", std::string(60'000, 'x'));
    worker.Progress(task, report);
    while (prompt.Next()->progress().data() != report) {
    }
  }
  worker.Complete(task, "out");
  std::vector<v1::Task> frames;
  while (std::optional<v1::Task> frame = late.Next()) frames.push_back(*std::move(frame));
  EXPECT_TRUE(late.Finish().ok());
  EXPECT_LT(frames.size(), static_cast<size_t>(kReports));  // What gRPC holds, and one.
  ASSERT_GE(frames.size(), 2U);
  EXPECT_EQ(v1::TASK_STATE_DONE, frames.back().state());
  EXPECT_EQ(absl::StrCat(kReports - 1, " "), frames.back().progress().data().substr(0, 4));
}

TEST_F(TaskWatchTest, ANodeThatStopsEndsWhatIsAwaitedThere) {
  Enqueue(R"({"name":"x","id":"t","retainResultFor":"60s"})");
  Awaiting awaiting(one_, "default/t");
  Watching watching(one_, "default/t");
  ASSERT_TRUE(watching.Next().has_value());
  AwaitWatchers(one_, 2);
  one_.io().Run([this] { one_.rooms().CloseStreams(absl::UnavailableError("the node stops")); });
  EXPECT_EQ(grpc::UNAVAILABLE, awaiting.Get().status.error_code());
  EXPECT_FALSE(watching.Next().has_value());
  EXPECT_EQ(grpc::UNAVAILABLE, watching.Finish().error_code());
}

}  // namespace
}  // namespace actioncluster
