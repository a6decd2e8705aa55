// The cache of the client library against a node that does what the test says: how often calls are sent, and what becomes of those that share a stream.

#include <gmock/gmock.h>
#include <grpc/support/cpu.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "actioncluster/cache.h"
#include "actioncluster/client.h"
#include "actioncluster/method_host.h"
#include "actioncluster/status.h"
#include "actioncluster/subscriber.h"
#include "actioncluster/worker.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/fake_node.h"

namespace actioncluster::client {
namespace {

using fakes::kPatience;
using fakes::Waiter;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;
using Operation = v1::PipelineRequest::Operation;

constexpr int64_t kByItself = 1;  // The version that the node gives to who does not share.

std::unique_ptr<Client> ClientOf(const FakeNode& node, absl::Duration timeout = kPatience, bool coalesce = true) {
  ClientOptions options;
  options.addresses = {node.address()};
  options.timeout = timeout;
  options.coalesce = coalesce;
  return *Client::Create(std::move(options));
}

template <class Request>
Request Of(const std::string& key) {
  Request request;
  request.set_key(key);
  return request;
}

// A request with a request_id.
template <class Request>
Request Named(const std::string& key) {
  Request request = Of<Request>(key);
  request.set_request_id("once");
  return request;
}

v1::PipelineResponse ResultOf(const Operation& operation, int64_t version) {
  v1::PipelineResponse frame;
  v1::PipelineResponse::Result* const result = frame.add_results();
  result->set_op_id(operation.op_id());
  if (operation.has_load()) result->mutable_load()->set_version(version);
  if (operation.has_save()) result->mutable_save()->set_version(version);
  return frame;
}

// A node whose Loads by themselves are answered, but for those of `anchor`, which stay until they are let go.
class CacheTest : public testing::Test {
 protected:
  using Stream = FakeNode::PipelineStream;

  FakeNode& Node(std::function<grpc::Status(Stream&)> pipeline, FakeNode::Scripts scripts = {}) {
    scripts.pipeline = std::move(pipeline);
    scripts.load = [this](const v1::LoadRequest& request, v1::LoadResponse* response) {
      if (request.key() == "anchor") {
        anchored_.Add(true);
        released_.Next();
      }
      response->set_version(kByItself);
      return grpc::Status::OK;
    };
    node_ = std::make_unique<FakeNode>(std::move(scripts));
    return *node_;
  }

  // While it lives a call is under way, so that others share.
  class Anchor {
   public:
    Anchor(CacheTest& test, Client& client)
        : test_(test), thread_([&client] { Cache(client).Load(Of<v1::LoadRequest>("anchor")).IgnoreError(); }) {
      test_.anchored_.Next();
    }
    ~Anchor() {
      test_.released_.Add(true);
      thread_.join();
    }
    Anchor(const Anchor&) = delete;
    Anchor& operator=(const Anchor&) = delete;

   private:
    CacheTest& test_;
    std::thread thread_;
  };

  // Answers all operations, each with a version larger than the one before, from 100 on.
  static grpc::Status AnswerAll(Stream& stream) {
    int64_t version = 100;
    for (v1::PipelineRequest frame; stream.Read(&frame);) {
      for (const Operation& operation : frame.operations()) stream.Write(ResultOf(operation, version++));
    }
    return grpc::Status::OK;
  }

  Waiter<bool> anchored_;
  Waiter<bool> released_;
  std::unique_ptr<FakeNode> node_;
};

TEST_F(CacheTest, WhatOnlyReadsOrHasAnIdIsTriedFiveTimesAndAllElseOnce) {
  const FakeNode node;
  const auto client = ClientOf(node, kPatience, /*coalesce=*/false);
  Cache cache(*client);
  // All at once, as each takes a second of pauses.
  const std::vector<std::function<absl::Status()>> calls = {
      [&] { return cache.Load({}).status(); },
      [&] { return cache.LoadMany({}).status(); },
      [&] { return cache.CheckLock({}).status(); },
      [&] { return cache.ListLength({}).status(); },
      [&] { return cache.Size({}, kPatience).status(); },
      [&] { return cache.ListKeys({}, [](const auto&) { return true; }); },
      [&] { return cache.ListLocks({}, [](const auto&) { return true; }); },
      [&] { return cache.Dump({}, [](const auto&) { return true; }); },
      [&] { return cache.CompareAndSave(Named<v1::CompareAndSaveRequest>("k")).status(); },
      [&] { return cache.Increment(Named<v1::IncrementRequest>("k")).status(); },
      [&] { return cache.Push(Named<v1::PushRequest>("k")).status(); },
      [&] { return cache.Pop(Named<v1::PopRequest>("k")).status(); },
      [&] { return cache.Save({}).status(); },
      [&] { return cache.Destroy({}).status(); },
      [&] { return cache.SaveMany({}).status(); },
      [&] { return cache.DestroyMany({}).status(); },
      [&] { return cache.Lock({}).status(); },
      [&] { return cache.Unlock({}).status(); },
      [&] { return cache.Clear({}, kPatience).status(); },
      [&] { return cache.Restore({}, [](v1::DumpEntry*) { return false; }).status(); },
  };
  Waiter<absl::Status> ends;
  std::vector<std::thread> threads;
  threads.reserve(calls.size());
  for (const auto& call : calls) threads.emplace_back([&] { ends.Add(call()); });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(ends.Next(), absl::UnavailableError("not now"));
  std::map<std::string, int> wanted;
  for (const char* rpc : {"Load", "LoadMany", "CheckLock", "ListLength", "Size", "ListKeys", "ListLocks", "Dump",
                          "CompareAndSave", "Increment", "Push", "Pop"}) {
    wanted[rpc] = 5;
  }
  for (const char* rpc : {"Save", "Destroy", "SaveMany", "DestroyMany", "Lock", "Unlock", "Clear", "Restore"}) {
    wanted[rpc] = 1;
  }
  EXPECT_EQ(node.calls(), wanted);
}

TEST_F(CacheTest, WhatChangesSomethingAndHasNoIdIsTriedOnce) {
  const FakeNode node;
  const auto client = ClientOf(node);
  Cache cache(*client);
  v1::LoadRequest tracked;
  tracked.set_track_reads(true);
  v1::LoadRequest touched;
  touched.mutable_expire_after()->set_seconds(1);
  for (const absl::Status& status :
       {cache.Load(tracked).status(), cache.Load(touched).status(), cache.CompareAndSave({}).status(),
        cache.Increment({}).status(), cache.Push({}).status(), cache.Pop({}).status()}) {
    EXPECT_EQ(status, absl::UnavailableError("not now"));
  }
  EXPECT_THAT(node.calls(), UnorderedElementsAre(Pair("Load", 2), Pair("CompareAndSave", 1), Pair("Increment", 1),
                                                 Pair("Push", 1), Pair("Pop", 1)));
}

TEST_F(CacheTest, ACallAloneGoesByItself) {
  FakeNode& node = Node(AnswerAll);
  const auto client = ClientOf(node);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Cache(*client).Load(Of<v1::LoadRequest>("k"))->version(), kByItself);
  EXPECT_THAT(node.calls(), ElementsAre(Pair("Load", 3)));
}

TEST_F(CacheTest, CallsThatMeetShareOneStreamAndEachHasItsOwnAnswer) {
  constexpr int kCalls = 20;
  // Answers in the reverse order, once all have come.
  FakeNode& node = Node([](Stream& stream) {
    std::vector<Operation> operations;
    for (v1::PipelineRequest frame; operations.size() < kCalls && stream.Read(&frame);) {
      operations.insert(operations.end(), frame.operations().begin(), frame.operations().end());
    }
    for (auto each = operations.rbegin(); each != operations.rend(); ++each) {
      stream.Write(ResultOf(*each, std::stoi(each->has_load() ? each->load().key() : each->save().key())));
    }
    for (v1::PipelineRequest frame; stream.Read(&frame);) continue;
    return grpc::Status::OK;
  });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  std::vector<std::thread> threads;
  threads.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    threads.emplace_back([&client, i] {
      Cache cache(*client);
      const std::string key = std::to_string(100 + i);
      if (i % 2 == 0) {
        EXPECT_EQ(cache.Load(Of<v1::LoadRequest>(key))->version(), 100 + i);
      } else {
        EXPECT_EQ(cache.Save(Of<v1::SaveRequest>(key))->version(), 100 + i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(node.calls(), UnorderedElementsAre(Pair("Load", 1), Pair("Pipeline", 1)));
}

TEST_F(CacheTest, OptedOutNothingIsShared) {
  FakeNode& node = Node(AnswerAll);
  const auto client = ClientOf(node, kPatience, /*coalesce=*/false);
  const Anchor anchor(*this, *client);
  EXPECT_EQ(Cache(*client).Load(Of<v1::LoadRequest>("k"))->version(), kByItself);
  EXPECT_THAT(node.calls(), ElementsAre(Pair("Load", 2)));
}

TEST_F(CacheTest, WhatWaitsIsLargeOrNoNodeCouldReadGoesByItself) {
  FakeNode& node = Node(AnswerAll);
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  Cache cache(*client);
  EXPECT_EQ(cache.Load(Of<v1::LoadRequest>("shares"))->version(), 100);
  auto waits = Of<v1::LoadRequest>("k");
  waits.mutable_wait_for_lock()->set_seconds(1);
  EXPECT_EQ(cache.Load(waits)->version(), kByItself);
  EXPECT_EQ(cache.Load(Of<v1::LoadRequest>(std::string(70'000, 'k')))->version(), kByItself);
  EXPECT_FALSE(cache.Load(Of<v1::LoadRequest>("\xff")).ok());
  auto nonsense = Of<v1::SaveRequest>("k");
  nonsense.mutable_value();
  EXPECT_EQ(cache.Save(nonsense).status(), absl::UnavailableError("not now"));
  EXPECT_EQ(cache.Load(Of<v1::LoadRequest>("shares"))->version(), 101);
  EXPECT_EQ(node.calls()["Pipeline"], 1);
}

// What calls of the cache do in callbacks of the library. These run on few threads: whoever waits there for a stream's answer keeps it from coming.
class CacheInCallbacksTest : public CacheTest {
 protected:
  // Sends one message, and goes on until the test is over.
  FakeNode::Scripts Publishing() {
    FakeNode::Scripts scripts;
    scripts.subscribe = [this](grpc::ServerContext& context, FakeNode::SubscribeWriter& writer) {
      context.AddInitialMetadata("actioncluster-node-id", "fake");
      writer.SendInitialMetadata();
      writer.Write(v1::SubscribeResponse());
      over_.WaitForNotificationWithTimeout(kPatience);
      return grpc::Status::OK;
    };
    return scripts;
  }
  // Of the answer: who has given it.
  static int64_t Load(Client& client) {
    const auto loaded = Cache(client).Load(Of<v1::LoadRequest>("k"));
    return loaded.ok() ? loaded->version() : -1;
  }

  absl::Notification over_;
  Waiter<int64_t> versions_;
};

TEST_F(CacheInCallbacksTest, ACallGoesByItself) {
  FakeNode& node = Node(AnswerAll, Publishing());
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  const auto load = [&] { versions_.Add(Load(*client)); };
  const Subscriber subscriber(
      *client, {}, [&](const v1::SubscribeResponse&) { load(); }, [&](const AttachmentEvent&) { load(); });
  EXPECT_EQ(versions_.Next(), kByItself);
  EXPECT_EQ(versions_.Next(), kByItself);
  EXPECT_EQ(Load(*client), 100) << "others share";
  over_.Notify();
}

TEST_F(CacheInCallbacksTest, CallsInAllOfTheThreadsAtOnceAreAnswered) {
  // So many has gRPC 1.51.
  const int threads = std::clamp(static_cast<int>(gpr_cpu_num_cores() / 2), 2, 16);
  FakeNode& node = Node(AnswerAll, Publishing());
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  absl::Mutex mutex;
  int inside = 0;
  const auto all_inside = [&] { return inside == threads; };
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  for (int i = 0; i < threads; ++i) {
    subscribers.push_back(
        std::make_unique<Subscriber>(*client, v1::SubscribeRequest(), [&](const v1::SubscribeResponse&) {
          {
            absl::MutexLock lock(&mutex);
            ++inside;
            if (!mutex.AwaitWithTimeout(absl::Condition(&all_inside), kPatience)) return versions_.Add(-2);
          }
          versions_.Add(Load(*client));
        }));
  }
  for (int i = 0; i < threads; ++i) EXPECT_EQ(versions_.Next(), kByItself);
  EXPECT_EQ(Load(*client), 100) << "others share";
  over_.Notify();
}

TEST_F(CacheInCallbacksTest, WhereACallOrATaskIsCancelledACallGoesByItself) {
  FakeNode::Scripts scripts;
  absl::Notification called;
  absl::Notification running;
  scripts.serve = [&](FakeNode::ServeStream& stream) {
    v1::ServeRequest frame;
    stream.Read(&frame);
    stream.Write(Registered());
    stream.Write(CallFrame("c", "method"));
    called.WaitForNotificationWithTimeout(kPatience);
    v1::ServeResponse cancel;
    cancel.mutable_cancel()->set_call_id("c");
    stream.Write(cancel);
    while (stream.Read(&frame)) continue;
    return grpc::Status::OK;
  };
  scripts.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    running.WaitForNotificationWithTimeout(kPatience);
    stream.Write(RevokedFrame("q/1", 7, "timeout"));
    while (stream.Read(&frame) && !frame.has_stop()) continue;
    return grpc::Status::OK;
  };
  FakeNode& node = Node(AnswerAll, std::move(scripts));
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  {
    std::vector<Invocation> invocations;
    MethodHost host(*client, {{"method", [&](Invocation invocation) {
                                 invocation.OnCancel([&] { versions_.Add(Load(*client)); });
                                 invocations.push_back(std::move(invocation));
                                 called.Notify();
                               }}});
    EXPECT_EQ(versions_.Next(), kByItself);
  }
  Worker worker(*client, [&](TaskContext& context) {
    const auto heard = std::make_shared<absl::Notification>();
    context.OnCancel([&, heard] {
      versions_.Add(Load(*client));
      heard->Notify();
    });
    running.Notify();
    heard->WaitForNotificationWithTimeout(kPatience);
    return TaskContent();
  });
  EXPECT_EQ(versions_.Next(), kByItself);
}

TEST_F(CacheTest, AnErrorIsTheOneThatTheCallByItselfWouldHaveHad) {
  FakeNode& node = Node([](Stream& stream) {
    for (v1::PipelineRequest frame; stream.Read(&frame);) {
      v1::PipelineResponse answer;
      v1::PipelineResponse::Result* const result = answer.add_results();
      result->set_op_id(frame.operations(0).op_id());
      result->mutable_error()->set_code(static_cast<int>(absl::StatusCode::kFailedPrecondition));
      result->mutable_error()->set_reason("KEY_LOCKED");
      result->mutable_error()->set_message("another has it");
      (*result->mutable_error()->mutable_metadata())["held_by"] = "somebody";
      stream.Write(answer);
    }
    return grpc::Status::OK;
  });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  const absl::Status error = Cache(*client).Save(Of<v1::SaveRequest>("k")).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(error.message(), "another has it");
  EXPECT_EQ(ReasonOf(error), v1::ERROR_REASON_KEY_LOCKED);
  EXPECT_THAT(MetadataOf(error), ElementsAre(Pair("held_by", "somebody")));
}

TEST_F(CacheTest, AResultAfterTheDeadlineIsDroppedAndTheStreamGoesOn) {
  FakeNode& node = Node([](Stream& stream) {
    Operation late;
    for (v1::PipelineRequest frame; stream.Read(&frame);) {
      if (frame.operations(0).load().key() == "late") {
        late = frame.operations(0);
        stream.Write(ResultOf(Operation(), 6));  // It lives, and nobody asked for this.
      } else {
        stream.Write(ResultOf(late, 7));
        stream.Write(ResultOf(frame.operations(0), 8));
      }
    }
    return grpc::Status::OK;
  });
  const auto client = ClientOf(node, absl::Seconds(1));
  Cache cache(*client);
  {
    const Anchor anchor(*this, *client);
    EXPECT_EQ(cache.Load(Of<v1::LoadRequest>("late")).status(), absl::DeadlineExceededError("Deadline Exceeded"));
  }
  const Anchor anchor(*this, *client);
  EXPECT_EQ(cache.Load(Of<v1::LoadRequest>("next"))->version(), 8);
  EXPECT_EQ(node.calls()["Pipeline"], 1);
}

TEST_F(CacheTest, AStreamThatSaysNothingIsLeft) {
  Waiter<bool> ended;
  FakeNode& node = Node([&](Stream& stream) {
    for (v1::PipelineRequest frame; stream.Read(&frame);) continue;
    ended.Add(true);
    return grpc::Status::OK;
  });
  const auto client = ClientOf(node, absl::Seconds(1));
  const Anchor anchor(*this, *client);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Cache(*client).Load(Of<v1::LoadRequest>("k")).status()));
  ended.Next();
}

TEST_F(CacheTest, ANodeThatTakesSmallerFramesIsGivenOneOperationInEach) {
  constexpr int kCalls = 20;
  std::atomic<int> streams = 0;
  Waiter<bool> calling;
  // The first stream is refused; of the second nothing is read before all call, so that what they want piles up.
  FakeNode& node = Node([&](Stream& stream) {
    v1::PipelineRequest frame;
    if (++streams == 1) {
      stream.Read(&frame);
      return FailingWith("LIMIT_EXCEEDED", {{"limit", "cache_batch"}});
    }
    for (int i = 0; i < kCalls; ++i) calling.Next();
    while (stream.Read(&frame)) {
      EXPECT_EQ(frame.operations_size(), 1);
      stream.Write(ResultOf(frame.operations(0), 5));
    }
    return grpc::Status::OK;
  });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  EXPECT_TRUE(absl::IsUnavailable(Cache(*client).Save(Of<v1::SaveRequest>("k")).status()));
  std::vector<std::thread> threads;
  threads.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    threads.emplace_back([&] {
      v1::SaveRequest request = Of<v1::SaveRequest>("k");
      request.set_data(std::string(50'000, 'x'));
      calling.Add(true);
      EXPECT_EQ(Cache(*client).Save(request)->version(), 5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(streams, 2);
}

TEST_F(CacheTest, IfTheStreamIsLostWhatReadsIsRepeatedAndNobodyKnowsOfTheRest) {
  Waiter<bool> has_save;
  FakeNode& node = Node([&](Stream& stream) {
    v1::PipelineRequest frame;
    stream.Read(&frame);
    has_save.Add(true);
    stream.Read(&frame);
    return grpc::Status(grpc::StatusCode::CANCELLED, "the node stops");
  });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  std::thread saves([&] {
    EXPECT_EQ(Cache(*client).Save(Of<v1::SaveRequest>("k")).status(),
              absl::UnavailableError("the node has ended the stream before its answer"));
  });
  has_save.Next();
  EXPECT_EQ(Cache(*client).Load(Of<v1::LoadRequest>("k"))->version(), kByItself);
  saves.join();
}

TEST_F(CacheTest, WhenTheNodeDrainsWhatItHasIsAwaitedAndWhatComesGoesAnotherWay) {
  Waiter<bool> has_it;
  Waiter<bool> half_closed;
  absl::Notification answer;
  FakeNode& node = Node([&](Stream& stream) {
    v1::PipelineRequest frame;
    stream.Read(&frame);
    v1::PipelineResponse draining;
    draining.mutable_draining();
    stream.Write(draining);
    has_it.Add(true);
    v1::PipelineRequest none;
    EXPECT_FALSE(stream.Read(&none));
    half_closed.Add(true);
    answer.WaitForNotification();
    stream.Write(ResultOf(frame.operations(0), 5));
    return grpc::Status::OK;
  });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  std::thread old([&] { EXPECT_EQ(Cache(*client).Save(Of<v1::SaveRequest>("k"))->version(), 5); });
  has_it.Next();
  half_closed.Next();
  EXPECT_EQ(Cache(*client).Load(Of<v1::LoadRequest>("k"))->version(), kByItself);
  answer.Notify();
  old.join();
  EXPECT_EQ(node.calls()["Pipeline"], 1);
}

TEST_F(CacheTest, ANodeWithoutPipelineIsAskedOnceForIt) {
  FakeNode& node = Node([](Stream&) { return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, ""); });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Cache(*client).Load(Of<v1::LoadRequest>("k"))->version(), kByItself);
  EXPECT_EQ(node.calls()["Pipeline"], 1);
}

TEST_F(CacheTest, AStreamThatIsRefusedIsTheCallsError) {
  FakeNode& node = Node([](Stream&) { return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "who are you?"); });
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  EXPECT_EQ(Cache(*client).Save(Of<v1::SaveRequest>("k")).status(), absl::UnauthenticatedError("who are you?"));
}

TEST_F(CacheTest, WhatHasNotGoneByTheTimeThatTheClientGoesEndsWithIt) {
  Waiter<bool> ended;
  FakeNode& node = Node([&](Stream& stream) {
    const grpc::Status status = AnswerAll(stream);
    ended.Add(true);
    return status;
  });
  auto client = ClientOf(node);
  {
    const Anchor anchor(*this, *client);
    EXPECT_EQ(Cache(*client).Load(Of<v1::LoadRequest>("k"))->version(), 100);
  }
  EXPECT_EQ(ended.size(), 0u);
  client = nullptr;
  ended.Next();
}

}  // namespace
}  // namespace actioncluster::client
