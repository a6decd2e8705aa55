// A worker's stream through a whole node inside this process.
#include <grpcpp/client_context.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {
namespace {

using ::testing::HasSubstr;
using Frame = v1::WorkResponse;

// One stream; each call blocks until it is done, or the test's patience ends.
class WorkerStream {
 public:
  explicit WorkerStream(LocalNode& node) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    stream_ = node.tasks().Work(&context_);
  }
  WorkerStream(LocalNode& node, const std::string& queue, uint32_t concurrency = 1) : WorkerStream(node) {
    v1::WorkRequest request;
    request.mutable_start()->add_queues(queue);
    request.mutable_start()->set_concurrency(concurrency);
    request.mutable_start()->set_worker_name("tester");
    Write(request);
  }
  ~WorkerStream() { context_.TryCancel(); }

  void Write(const v1::WorkRequest& request) { stream_->Write(request); }
  // An empty one if the stream has ended.
  Frame Read() {
    Frame frame;
    return stream_->Read(&frame) ? frame : Frame();
  }
  // The tasks of the next frames, until there are so many.
  std::vector<Frame::Task> ReadTasks(size_t count) {
    std::vector<Frame::Task> tasks;
    while (tasks.size() < count) {
      const Frame frame = Read();
      EXPECT_TRUE(frame.has_tasks() || frame.has_started()) << frame.ShortDebugString();
      if (frame.frame_case() == Frame::FRAME_NOT_SET) break;
      tasks.insert(tasks.end(), frame.tasks().tasks().begin(), frame.tasks().tasks().end());
    }
    return tasks;
  }
  Frame::Task ReadTask() {
    const std::vector<Frame::Task> tasks = ReadTasks(1);
    return tasks.empty() ? Frame::Task() : tasks[0];
  }
  // Reads to the end.
  grpc::Status Finish() {
    while (Read().frame_case() != Frame::FRAME_NOT_SET) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkRequest, v1::WorkResponse>> stream_;
};

class WorkStreamTest : public ::testing::Test {
 protected:
  std::string Enqueue(v1::EnqueueRequest request) {
    grpc::ClientContext context;
    v1::EnqueueResponse response;
    request.set_name("n");
    const grpc::Status status = node_.tasks().Enqueue(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.task_id();
  }
  std::string Enqueue(const std::string& queue) {
    v1::EnqueueRequest request;
    request.set_queue(queue);
    return Enqueue(std::move(request));
  }

  v1::TaskState StateOf(const std::string& id) {
    grpc::ClientContext context;
    v1::GetRequest request;
    request.set_task_id(id);
    v1::GetResponse response;
    EXPECT_TRUE(node_.tasks().Get(&context, request, &response).ok());
    return response.task().state();
  }

  grpc::Status EndOf(const v1::WorkRequest& first) {
    WorkerStream stream(node_);
    stream.Write(first);
    return stream.Finish();
  }

  template <class Said>
  static Said* About(const Frame::Task& task, Said* said) {
    said->set_task_id(task.id());
    said->set_token(task.token());
    return said;
  }

  // What the node answers to an outcome of the only task of a worker.
  Frame AnswerTo(const std::string& queue,
                 absl::AnyInvocable<void(const Frame::Task&, v1::WorkRequest::Outcomes*)> say) {
    WorkerStream worker(node_, queue);
    v1::EnqueueRequest request;
    request.set_queue(queue);
    request.mutable_retry()->mutable_backoff()->set_seconds(3600);
    Enqueue(std::move(request));
    v1::WorkRequest said;
    say(worker.ReadTask(), said.mutable_outcomes());
    worker.Write(said);
    const Frame answer = worker.Read();
    v1::WorkRequest heartbeat;
    heartbeat.mutable_heartbeat();
    worker.Write(heartbeat);
    Enqueue(queue);
    EXPECT_EQ(worker.ReadTask().queue(), queue) << "the stream goes on, and the place is free";
    return answer;
  }

  fakes::RedisServer redis_;
  LocalNode node_{redis_.endpoint()};
};

TEST_F(WorkStreamTest, ATaskIsRunRecordedAndTheStreamEndsAfterStop) {
  WorkerStream worker(node_, "q", 2);
  const Frame started = worker.Read();
  EXPECT_EQ(started.started().node_id(), node_.id());
  EXPECT_FALSE(started.started().worker_id().empty());
  EXPECT_EQ(started.started().heartbeat_every().seconds(), 1) << "a sixth of the lease";
  v1::EnqueueRequest request;
  request.set_queue("q");
  request.mutable_args()->set_string_value("input");
  request.mutable_timeout()->set_seconds(60);
  const std::string id = Enqueue(std::move(request));
  const Frame::Task task = worker.ReadTask();
  EXPECT_EQ(task.id(), id);
  EXPECT_EQ(task.queue(), "q");
  EXPECT_EQ(task.name(), "n");
  EXPECT_EQ(task.args().string_value(), "input");
  EXPECT_EQ(task.attempt(), 1u);
  EXPECT_GT(task.deadline().seconds(), absl::ToUnixSeconds(absl::Now()) + 30);
  v1::WorkRequest stop;
  stop.mutable_stop();
  worker.Write(stop);
  v1::WorkRequest done;
  About(task, done.mutable_outcomes()->add_completed())->set_data("result");
  worker.Write(done);
  const Frame recorded = worker.Read();
  ASSERT_EQ(recorded.recorded().outcomes_size(), 1) << recorded.ShortDebugString();
  EXPECT_EQ(recorded.recorded().outcomes(0).task_id(), id);
  EXPECT_EQ(recorded.recorded().outcomes(0).token(), task.token());
  EXPECT_EQ(recorded.recorded().outcomes(0).state(), v1::TASK_STATE_DONE);
  EXPECT_EQ(worker.Finish().error_code(), grpc::StatusCode::OK);
}

TEST_F(WorkStreamTest, WhoDoesNotBeginWithAValidStartIsToldWhatIsWrong) {
  v1::WorkRequest heartbeat;
  heartbeat.mutable_heartbeat();
  EXPECT_EQ(EndOf(heartbeat).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(EndOf({}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto refused = [this](absl::AnyInvocable<void(v1::WorkRequest::Start*)> change, const std::string& why) {
    v1::WorkRequest request;
    request.mutable_start()->add_queues("q");
    change(request.mutable_start());
    const grpc::Status status = EndOf(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << why;
    EXPECT_THAT(status.error_message(), HasSubstr(why));
  };
  refused([](v1::WorkRequest::Start* start) { start->clear_queues(); }, "queues");
  refused([](v1::WorkRequest::Start* start) { start->add_queues("*"); }, "stands alone");
  refused([](v1::WorkRequest::Start* start) { start->add_queues(""); }, "queues");
  refused(
      [](v1::WorkRequest::Start* start) {
        for (int i = 0; i < 64; ++i) start->add_queues(absl::StrCat("q", i));
      },
      "queues");
  refused([](v1::WorkRequest::Start* start) { start->add_names(std::string(257, 'n')); }, "names");
  refused([](v1::WorkRequest::Start* start) { start->set_concurrency(1025); }, "concurrency");
  refused([](v1::WorkRequest::Start* start) { start->set_worker_name(std::string(257, 'n')); }, "worker_name");
}

TEST_F(WorkStreamTest, ASecondStartEndsTheStream) {
  WorkerStream worker(node_, "q");
  v1::WorkRequest again;
  again.mutable_start()->add_queues("q");
  worker.Write(again);
  EXPECT_EQ(worker.Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(WorkStreamTest, AnOutcomeWithInvalidContentFailsThatAttemptAlone) {
  const auto fails = [this](const std::string& queue,
                            absl::AnyInvocable<void(const Frame::Task&, v1::WorkRequest::Outcomes*)> say) {
    const Frame answer = AnswerTo(queue, std::move(say));
    ASSERT_EQ(answer.recorded().outcomes_size(), 1) << answer.ShortDebugString();
    EXPECT_EQ(answer.recorded().outcomes(0).state(), v1::TASK_STATE_RETRYING) << queue;
  };
  fails("nan", [](const Frame::Task& task, v1::WorkRequest::Outcomes* outcomes) {
    About(task, outcomes->add_completed())->mutable_result()->set_number_value(std::nan(""));
  });
  fails("large", [](const Frame::Task& task, v1::WorkRequest::Outcomes* outcomes) {
    About(task, outcomes->add_completed())->set_data(std::string((1 << 20) + 1, 'x'));
  });
  fails("follow", [](const Frame::Task& task, v1::WorkRequest::Outcomes* outcomes) {
    About(task, outcomes->add_completed())->add_enqueue();  // Without a name.
  });
  fails("many", [](const Frame::Task& task, v1::WorkRequest::Outcomes* outcomes) {
    auto* completed = About(task, outcomes->add_completed());
    for (int i = 0; i < 101; ++i) completed->add_enqueue()->set_name("n");
  });
}

TEST_F(WorkStreamTest, AProgressThatMakesNoSenseFailsTheAttemptAndItsPlaceIsTakenUntilTheOutcome) {
  v1::EnqueueRequest request;
  request.set_queue("q");
  request.mutable_retry()->set_max_attempts(1);
  Enqueue(std::move(request));
  WorkerStream worker(node_, "q");
  const Frame::Task task = worker.ReadTask();
  v1::WorkRequest progress;
  About(task, progress.mutable_outcomes()->add_progress())->mutable_result()->set_number_value(std::nan(""));
  worker.Write(progress);
  const Frame revoked = worker.Read();
  EXPECT_EQ(revoked.revoked().task_id(), task.id());
  EXPECT_EQ(revoked.revoked().reason(), "invalid");
  const std::string next = Enqueue("q");
  v1::WorkRequest done;
  About(task, done.mutable_outcomes()->add_completed());
  worker.Write(done);
  EXPECT_EQ(worker.ReadTask().id(), next) << "nothing is recorded, and there is room";
  EXPECT_EQ(StateOf(task.id()), v1::TASK_STATE_FAILED);
}

TEST_F(WorkStreamTest, AFrameWithMoreOutcomesThanAnyWorkerOwesEndsTheStream) {
  for (const int outcomes : {4096, 4097}) {
    WorkerStream worker(node_, "q");
    worker.Read();
    v1::WorkRequest frame;
    for (int i = 0; i < outcomes; ++i) frame.mutable_outcomes()->add_completed()->set_task_id("q/none");
    worker.Write(frame);
    if (outcomes == 4096) {
      EXPECT_TRUE(worker.Read().has_revoked());
      continue;
    }
    const grpc::Status end = worker.Finish();
    EXPECT_EQ(end.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_THAT(end.error_message(), HasSubstr("outcomes"));
  }
}

TEST_F(WorkStreamTest, AnOutcomeOfATaskThatTheWorkerHasNotGotIsRefused) {
  WorkerStream worker(node_, "q");
  worker.Read();
  for (const char* id : {"q/none", "no task's id"}) {
    v1::WorkRequest done;
    done.mutable_outcomes()->add_completed()->set_task_id(id);
    done.mutable_outcomes()->mutable_completed(0)->set_token(7);
    worker.Write(done);
    const Frame frame = worker.Read();
    EXPECT_EQ(frame.revoked().task_id(), id);
    EXPECT_EQ(frame.revoked().token(), 7);
    EXPECT_EQ(frame.revoked().reason(), "lease_lost");
  }
}

TEST_F(WorkStreamTest, WhenAStreamEndsItsTaskRunsElsewhereAtOnce) {
  LocalNode other(redis_.endpoint());
  Enqueue("q");
  auto gone = std::make_unique<WorkerStream>(node_, "q");
  EXPECT_EQ(gone->ReadTask().lost_leases(), 0u);
  WorkerStream heir(other, "q");
  heir.Read();
  const absl::Time before = absl::Now();
  gone.reset();
  const Frame::Task task = heir.ReadTask();
  EXPECT_EQ(task.lost_leases(), 1u);
  EXPECT_EQ(task.attempt(), 1u);
  EXPECT_LT(absl::Now() - before, absl::Seconds(5)) << "half a lease";
}

TEST_F(WorkStreamTest, AWorkerThatReadsLateGetsAllThatItHasRoomFor) {
  constexpr size_t kTasks = 40;
  WorkerStream worker(node_, "q", kTasks);
  worker.Read();
  for (size_t i = 0; i < kTasks; ++i) {
    v1::EnqueueRequest request;
    request.set_queue("q");
    request.set_data(std::string((1 << 20) - 100, 'x'));
    Enqueue(std::move(request));
  }
  EXPECT_EQ(worker.ReadTasks(kTasks).size(), kTasks);
}

}  // namespace
}  // namespace actioncluster
