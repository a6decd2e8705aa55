// A worker against a node that does what the test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "actioncluster/client.h"
#include "actioncluster/json.h"
#include "actioncluster/worker.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/fake_node.h"

namespace actioncluster::client {
namespace {

using fakes::kPatience;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Kind = AttachmentEvent::Kind;

// Reads frames until one satisfies the predicate; false: the stream ended before.
template <class Predicate>
bool ReadUntil(FakeNode::WorkStream& stream, v1::WorkRequest* frame, Predicate predicate) {
  while (stream.Read(frame)) {
    if (predicate(std::as_const(*frame))) return true;
  }
  return false;
}

bool IsStop(const v1::WorkRequest& frame) { return frame.has_stop(); }
bool IsOutcomes(const v1::WorkRequest& frame) { return frame.has_outcomes(); }

// Starts the worker, and goes on until it stops or is gone.
grpc::Status StartAndLinger(FakeNode::WorkStream& stream) {
  v1::WorkRequest frame;
  stream.Read(&frame);
  stream.Write(Started());
  ReadUntil(stream, &frame, &IsStop);
  return grpc::Status::OK;
}

class WorkerTest : public testing::Test {
 protected:
  static std::unique_ptr<Client> ClientOf(const std::vector<const FakeNode*>& nodes) {
    ClientOptions options;
    options.addresses.clear();
    for (const FakeNode* node : nodes) options.addresses.push_back(node->address());
    return *Client::Create(std::move(options));
  }
  WorkerOptions Telling() const {
    WorkerOptions options;
    options.on_event = events_.Callback();
    return options;
  }
  AttachmentEvent Await(Kind kind) const {
    return events_.NextThat([kind](const AttachmentEvent& event) { return event.kind == kind; });
  }
  // A node that sends one task, tells what it hears of it, and lingers.
  FakeNode::Scripts OneTask(std::string name = "work") const {
    return {.work = [this, name = std::move(name)](FakeNode::WorkStream& stream) {
      v1::WorkRequest frame;
      stream.Read(&frame);
      stream.Write(Started());
      stream.Write(TaskFrame("q/1", 7, name));
      while (stream.Read(&frame) && !frame.has_stop()) heard_.Add(frame);
      return grpc::Status::OK;
    }};
  }

  fakes::Waiter<AttachmentEvent> events_;
  fakes::Waiter<v1::WorkRequest> heard_;
};

TEST_F(WorkerTest, SaysWhatItTakes) {
  const FakeNode node({.work = [this](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    heard_.Add(frame);
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "enough");
  }});
  const auto client = ClientOf({&node});
  const auto nothing = [](TaskContext&) { return TaskContent(); };
  {
    Worker worker(*client, {{"b", nothing}, {"a", nothing}},
                  {.queues = {"mail", "rest"}, .concurrency = 9, .name = "me"});
    const v1::WorkRequest::Start start = heard_.Next().start();
    EXPECT_THAT(start.names(), ElementsAre("a", "b"));
    EXPECT_THAT(start.queues(), ElementsAre("mail", "rest"));
    EXPECT_EQ(start.concurrency(), 9u);
    EXPECT_EQ(start.worker_name(), "me");
    EXPECT_EQ(worker.AwaitAttached(kPatience).message(), "enough");
  }
  Worker all(*client, nothing);
  const v1::WorkRequest::Start start = heard_.Next().start();
  EXPECT_THAT(start.names(), IsEmpty());
  EXPECT_THAT(start.queues(), ElementsAre("default"));
}

TEST_F(WorkerTest, WithoutAHandlerItAsksNobody) {
  const FakeNode node({.work = StartAndLinger});
  const auto client = ClientOf({&node});
  Worker worker(*client, std::map<std::string, TaskHandler>());
  EXPECT_EQ(worker.AwaitAttached(kPatience).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(node.calls().count("Work"), 0u);
}

TEST_F(WorkerTest, RunsATaskAndSendsItsOutcome) {
  const FakeNode node(OneTask());
  const auto client = ClientOf({&node});
  Worker worker(*client, {{"work", [](TaskContext& context) { return ToValue(context.task().id()); }}});
  const v1::WorkRequest frame = heard_.Next();
  ASSERT_EQ(frame.outcomes().completed_size(), 1);
  EXPECT_EQ(frame.outcomes().completed(0).task_id(), "q/1");
  EXPECT_EQ(frame.outcomes().completed(0).token(), 7);
  EXPECT_EQ(frame.outcomes().completed(0).result().string_value(), "q/1");
}

TEST_F(WorkerTest, AnExceptionAndATaskThatNobodyAskedForFail) {
  {
    const FakeNode node(OneTask());
    const auto client = ClientOf({&node});
    Worker worker(*client,
                  {{"work", [](TaskContext&) -> absl::StatusOr<TaskContent> { throw std::runtime_error("thrown"); }}});
    EXPECT_EQ(heard_.Next().outcomes().failed(0).error().message(), "thrown");
  }
  const FakeNode node(OneTask("other"));
  const auto client = ClientOf({&node});
  Worker worker(*client, {{"work", [](TaskContext&) { return TaskContent(); }}});
  const v1::WorkRequest::Failed failed = heard_.Next().outcomes().failed(0);
  EXPECT_EQ(failed.error().code(), static_cast<int>(absl::StatusCode::kUnimplemented));
  EXPECT_EQ(failed.error().message(), "this worker has no handler for other");
}

TEST_F(WorkerTest, OutcomesThatComeWhileOneIsWrittenGoTogether) {
  constexpr int kTasks = 64;
  // So large that none is written before the node reads: gRPC lets the worker send no more.
  constexpr size_t kLarge = 900'000;
  std::atomic<int> ended = 0;
  absl::Notification all_ended;
  std::vector<int> frames;
  std::vector<std::string> ids;
  const FakeNode node({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/large-1", 1));
    stream.Write(TaskFrame("q/large-2", 1));
    for (int i = 0; i < kTasks; ++i) stream.Write(TaskFrame("q/" + std::to_string(i), 1));
    all_ended.WaitForNotificationWithTimeout(kPatience);
    while (ids.size() < kTasks + 2 && stream.Read(&frame)) {
      frames.push_back(frame.outcomes().completed_size());
      for (const auto& completed : frame.outcomes().completed()) ids.push_back(completed.task_id());
    }
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  // One thread: in the order in which they came.
  Worker worker(*client,
                [&](TaskContext& context) -> absl::StatusOr<TaskContent> {
                  if (++ended == kTasks + 2) all_ended.Notify();
                  const bool large = context.task().id().find("large") != std::string::npos;
                  return large ? TaskContent::Bytes(std::string(kLarge, 'x')) : TaskContent();
                },
                {.concurrency = kTasks + 2, .threads = 1, .on_event = events_.Callback()});
  Await(Kind::kLost);
  EXPECT_EQ(ids.size(), static_cast<size_t>(kTasks + 2));
  EXPECT_GE(*std::max_element(frames.begin(), frames.end()), kTasks - 1) << "all but the last, which may come later";
}

TEST_F(WorkerTest, BeatsAsOftenAsTheNodeSays) {
  absl::Notification enough;
  const FakeNode node({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started(absl::Milliseconds(20)));
    for (int beats = 0; beats < 3 && stream.Read(&frame);) beats += frame.has_heartbeat() ? 1 : 0;
    enough.Notify();
    ReadUntil(stream, &frame, &IsStop);
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  Worker worker(*client, [](TaskContext&) { return TaskContent(); });
  EXPECT_TRUE(enough.WaitForNotificationWithTimeout(kPatience));
}

TEST_F(WorkerTest, ARevokedTaskIsCancelledAndItsOutcomeIsStillSent) {
  absl::Notification running;
  const FakeNode node({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    running.WaitForNotificationWithTimeout(kPatience);
    stream.Write(RevokedFrame("q/1", 6, "lease_lost"));  // Another lease of it.
    stream.Write(RevokedFrame("q/2", 7, "lease_lost"));  // Another task.
    stream.Write(RevokedFrame("q/1", 7, "timeout"));
    while (stream.Read(&frame) && !frame.has_stop()) heard_.Add(frame);
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  Worker worker(*client, [&](TaskContext& context) -> absl::StatusOr<TaskContent> {
    const auto cancelled = std::make_shared<absl::Notification>();
    context.OnCancel([cancelled] { cancelled->Notify(); });
    running.Notify();
    cancelled->WaitForNotificationWithTimeout(kPatience);
    return absl::CancelledError(context.CancelReason());
  });
  const v1::WorkRequest::Failed failed = heard_.Next().outcomes().failed(0);
  EXPECT_EQ(failed.task_id(), "q/1");
  EXPECT_EQ(failed.token(), 7);
  EXPECT_EQ(failed.error().message(), "timeout");
}

TEST_F(WorkerTest, ProgressAndWhatFollowsAreSent) {
  absl::Notification seen;
  const FakeNode node({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    ReadUntil(stream, &frame, &IsOutcomes);
    heard_.Add(frame);
    seen.Notify();
    ReadUntil(stream, &frame, &IsOutcomes);
    heard_.Add(frame);
    ReadUntil(stream, &frame, &IsStop);
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  Worker worker(*client, [&](TaskContext& context) {
    EXPECT_TRUE(context.Progress(ToValue("half")).ok());
    seen.WaitForNotificationWithTimeout(kPatience);
    v1::EnqueueRequest next;
    next.set_name("next");
    EXPECT_TRUE(context.EnqueueWithCompletion(next).ok());
    return TaskContent();
  });
  const v1::WorkRequest progress = heard_.Next();
  ASSERT_EQ(progress.outcomes().progress_size(), 1);
  EXPECT_EQ(progress.outcomes().progress(0).token(), 7);
  EXPECT_EQ(progress.outcomes().progress(0).result().string_value(), "half");
  EXPECT_EQ(heard_.Next().outcomes().completed(0).enqueue(0).name(), "next");
}

TEST_F(WorkerTest, StopLetsFinishWhatRunsAndWaitsUntilItIsRecorded) {
  absl::Notification running;
  absl::Notification stopping;
  std::vector<std::string> order;
  const FakeNode node({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    ReadUntil(stream, &frame, &IsStop);
    order.emplace_back("stop");
    stopping.Notify();
    ReadUntil(stream, &frame, &IsOutcomes);
    order.emplace_back("outcome");
    v1::WorkResponse recorded;
    recorded.mutable_recorded()->add_outcomes()->set_task_id("q/1");
    stream.Write(recorded);
    order.emplace_back("recorded");
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  Worker worker(
      *client,
      [&](TaskContext&) {
        running.Notify();
        stopping.WaitForNotificationWithTimeout(kPatience);
        return TaskContent();
      },
      Telling());
  running.WaitForNotificationWithTimeout(kPatience);
  worker.Stop(kPatience);
  EXPECT_THAT(order, ElementsAre("stop", "outcome", "recorded"));
  EXPECT_TRUE(Await(Kind::kEnded).status.ok());
  worker.Stop();
}

TEST_F(WorkerTest, PastTheGraceTheRestIsCancelled) {
  absl::Notification running;
  std::string reason;
  const FakeNode node(OneTask());
  const auto client = ClientOf({&node});
  Worker worker(*client, [&](TaskContext& context) {
    const auto cancelled = std::make_shared<absl::Notification>();
    context.OnCancel([cancelled] { cancelled->Notify(); });
    running.Notify();
    cancelled->WaitForNotificationWithTimeout(kPatience);
    reason = context.CancelReason();
    return TaskContent();
  });
  running.WaitForNotificationWithTimeout(kPatience);
  worker.Stop(absl::ZeroDuration());
  EXPECT_EQ(reason, "stream_lost");
}

TEST_F(WorkerTest, WhenTheStreamIsLostWhatRunsIsCancelledAndAnotherNodeIsFound) {
  absl::Notification running;
  const FakeNode lost({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    running.WaitForNotificationWithTimeout(kPatience);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  }});
  const FakeNode other({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/2", 8));
    while (stream.Read(&frame) && !frame.has_stop()) heard_.Add(frame);
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&lost, &other});
  Worker worker(*client,
                [&](TaskContext& context) -> absl::StatusOr<TaskContent> {
                  if (context.task().id() == "q/2") return TaskContent();
                  const auto cancelled = std::make_shared<absl::Notification>();
                  context.OnCancel([cancelled] { cancelled->Notify(); });
                  running.Notify();
                  cancelled->WaitForNotificationWithTimeout(kPatience);
                  EXPECT_EQ(context.CancelReason(), "stream_lost");
                  return TaskContent();
                },
                {.concurrency = 1, .on_event = events_.Callback()});
  EXPECT_EQ(Await(Kind::kLost).status.message(), "gone");
  EXPECT_EQ(Await(Kind::kAttached).address, other.address());
  const v1::WorkRequest frame = heard_.Next();
  ASSERT_EQ(frame.outcomes().completed_size(), 1) << "the other outcome is nobody's any more";
  EXPECT_EQ(frame.outcomes().completed(0).task_id(), "q/2");
  worker.Stop(kPatience);
  EXPECT_EQ(heard_.size(), 0u);
}

TEST_F(WorkerTest, FromADrainingNodeItGoesToTheNextAndFinishesWhatRuns) {
  absl::Notification attached_to_next;
  absl::Notification running;
  fakes::Waiter<std::string> ended;
  const FakeNode next({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    attached_to_next.Notify();
    stream.Write(Started());
    ReadUntil(stream, &frame, &IsStop);
    return grpc::Status::OK;
  }});
  const FakeNode draining({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    running.WaitForNotificationWithTimeout(kPatience);
    stream.Write(WorkDraining({next.address()}));
    // It stops when it is attached elsewhere; what runs comes to its end all the same.
    EXPECT_TRUE(ReadUntil(stream, &frame, &IsStop));
    EXPECT_TRUE(attached_to_next.HasBeenNotified());
    ended.Add("stop");
    ReadUntil(stream, &frame, &IsOutcomes);
    ended.Add(frame.outcomes().completed(0).task_id());
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&draining});
  absl::Notification finish;
  Worker worker(
      *client,
      [&](TaskContext& context) {
        running.Notify();
        finish.WaitForNotificationWithTimeout(kPatience);
        EXPECT_FALSE(context.IsCancelled());
        return TaskContent();
      },
      Telling());
  EXPECT_EQ(Await(Kind::kAttached).address, draining.address());
  EXPECT_EQ(Await(Kind::kAttached).address, next.address());
  EXPECT_EQ(ended.Next(), "stop");
  finish.Notify();
  EXPECT_EQ(ended.Next(), "q/1");
}

TEST_F(WorkerTest, ANodeThatSendsMoreThanItMayIsLeft) {
  absl::Notification done;
  const FakeNode greedy({.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 1));
    stream.Write(TaskFrame("q/2", 1));
    ReadUntil(stream, &frame, &IsStop);
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&greedy});
  Worker worker(*client,
                [](TaskContext& context) {
                  const auto cancelled = std::make_shared<absl::Notification>();
                  context.OnCancel([cancelled] { cancelled->Notify(); });
                  cancelled->WaitForNotificationWithTimeout(kPatience);
                  return TaskContent();
                },
                {.concurrency = 1, .on_event = events_.Callback()});
  Await(Kind::kAttached);
  EXPECT_EQ(Await(Kind::kLost).status.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace actioncluster::client
