// The cache of the client library against a node that does what the test says: how often calls are sent, and what becomes of those that share a stream.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "actioncluster/cache.h"
#include "actioncluster/client.h"
#include "actioncluster/status.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/cache_fixture.h"
#include "tests/integration/client/fake_node.h"

namespace actioncluster::client {
namespace {

TEST_F(CacheTest, WhatMayBeRepeatedIsTriedFiveTimesAndAllElseOnce) {
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
                          "Lock", "CompareAndSave", "Increment", "Push", "Pop"}) {
    wanted[rpc] = 5;
  }
  for (const char* rpc : {"Save", "Destroy", "SaveMany", "DestroyMany", "Unlock", "Clear", "Restore"}) {
    wanted[rpc] = 1;
  }
  EXPECT_EQ(node.calls(), wanted);
}

TEST_F(CacheTest, WhatChangesSomethingAndHasNoIdIsTriedOnce) {
  const FakeNode node;
  const auto client = ClientOf(node);
  Cache cache(*client);
  for (const absl::Status& status : {cache.CompareAndSave({}).status(), cache.Increment({}).status(),
                                     cache.Push({}).status(), cache.Pop({}).status()}) {
    EXPECT_EQ(status, absl::UnavailableError("not now"));
  }
  EXPECT_THAT(node.calls(),
              UnorderedElementsAre(Pair("CompareAndSave", 1), Pair("Increment", 1), Pair("Push", 1), Pair("Pop", 1)));
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
