// Pipeline through whole nodes inside this process: orders, waits, ends, and readers who do not read.
#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/server/cache_service_test_base.h"

namespace actioncluster {
namespace {

using Operation = v1::PipelineRequest::Operation;
using Result = v1::PipelineResponse::Result;

// A stream that the test plays the client of.
class Pipe {
 public:
  explicit Pipe(LocalNode& node) {
    // Later than any test waits: it ends no wait.
    context_.set_deadline(absl::ToChronoTime(absl::Now() + 3 * fakes::kPatience));
    stream_ = node.cache().Pipeline(&context_);
  }
  ~Pipe() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  bool Send(const std::string& json) { return stream_->Write(FromJson<v1::PipelineRequest>(json)); }
  bool Send(const v1::PipelineRequest& frame) { return stream_->Write(frame); }
  void CloseHalf() { stream_->WritesDone(); }
  // The next result, of whichever frame; nothing at the end, or if the node says that it drains.
  std::optional<Result> Next() {
    while (next_ >= frame_.results_size()) {
      next_ = 0;
      if (!stream_->Read(&frame_) || frame_.has_draining()) return std::nullopt;
    }
    return frame_.results(next_++);
  }
  const v1::PipelineResponse& frame() const { return frame_; }
  grpc::Status End() {
    finished_ = true;
    return stream_->Finish();
  }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PipelineRequest, v1::PipelineResponse>> stream_;
  v1::PipelineResponse frame_;
  int next_ = 0;
  bool finished_ = false;
};

class CachePipelineTest : public CacheServiceTest {
 protected:
  static size_t Streams(LocalNode& node) {
    return node.io().Run([&node] { return node.rooms().cache_pipelines.size(); });
  }
  // How many commands of this name Redis has run.
  int64_t Runs(const std::string& command) {
    const redis::Reply reply = redis_.Command({"INFO", "commandstats"});
    const std::string text(reply.view().String().value());
    const std::string before = absl::StrCat("cmdstat_", command, ":calls=");
    const size_t at = text.find(before);
    if (at == std::string::npos) return 0;
    const std::vector<std::string> rest = absl::StrSplit(text.substr(at + before.size()), absl::MaxSplits(',', 1));
    int64_t runs = 0;
    EXPECT_TRUE(absl::SimpleAtoi(rest.front(), &runs));
    return runs;
  }
};

TEST_F(CachePipelineTest, EveryOperationHasItsResult) {
  Pipe pipe(one_);
  ASSERT_TRUE(pipe.Send(R"({"operations":[
      {"opId":"1","save":{"key":"k","value":[]}}, {"opId":"2","load":{"key":"k"}}, {"opId":"3","destroy":{"key":"k"}},
      {"opId":"4","compareAndSave":{"key":"k","data":"AA=="}}, {"opId":"5","increment":{"key":"n","by":"5"}},
      {"opId":"6","lock":{"key":"k","holder":"ann"}}, {"opId":"7","checkLock":{"key":"k"}},
      {"opId":"8","unlock":{"key":"k","holder":"ann"}}, {"opId":"9","push":{"key":"q","value":7}},
      {"opId":"10","listLength":{"key":"q"}}, {"opId":"11","pop":{"key":"q"}}, {"opId":"12","load":{"key":"none"}},
      {"opId":"13"}, {"opId":"14","save":{"key":"k"}}, {"opId":"18446744073709551615","load":{"key":""}}]})"));
  pipe.CloseHalf();
  std::map<uint64_t, Result> results;
  while (const std::optional<Result> result = pipe.Next())
    EXPECT_TRUE(results.emplace(result->op_id(), *result).second);
  EXPECT_TRUE(pipe.End().ok());
  ASSERT_EQ(results.size(), 15U);
  EXPECT_GT(results[1].save().version(), 0);
  EXPECT_TRUE(results[2].load().value().has_list_value());
  EXPECT_TRUE(results[3].destroy().destroyed());
  EXPECT_GT(results[4].compare_and_save().version(), results[1].save().version());
  EXPECT_EQ(results[5].increment().value(), 5);
  EXPECT_TRUE(results[6].lock().acquired());
  EXPECT_EQ(results[7].check_lock().held_by(), "ann");
  EXPECT_TRUE(results[8].unlock().released());
  EXPECT_EQ(results[9].push().length(), 1);
  EXPECT_EQ(results[10].list_length().length(), 1);
  EXPECT_EQ(results[11].pop().value().number_value(), 7);
  EXPECT_EQ(results[12].error().reason(), "CACHE_KEY_NOT_FOUND");
  EXPECT_EQ(results[13].error().code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(results[14].error().code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(results[std::numeric_limits<uint64_t>::max()].error().message(), "key must not be empty");
}

TEST_F(CachePipelineTest, OperationsOnOneKeyTakeEffectInTheOrderInWhichTheyWereSentHoweverLarge) {
  Pipe pipe(one_);
  uint64_t op_id = 0;
  for (int frame = 0; frame < 20; ++frame) {
    v1::PipelineRequest request;
    for (int i = 0; i < 50; ++i) {
      Operation* save = request.add_operations();
      save->set_op_id(++op_id);
      save->mutable_save()->set_key("k");
      // Some frames are converted as large ones.
      save->mutable_save()->set_data(absl::StrCat(op_id, " ", std::string(frame % 3 == 0 ? 20'000 : 0, 'x')));
      Operation* load = request.add_operations();
      load->set_op_id(++op_id);
      load->mutable_load()->set_key("k");
    }
    ASSERT_TRUE(pipe.Send(request));
  }
  pipe.CloseHalf();
  size_t loads = 0;
  while (const std::optional<Result> result = pipe.Next()) {
    if (!result->has_load()) continue;
    ++loads;
    const std::vector<std::string> parts = absl::StrSplit(result->load().data(), ' ');
    EXPECT_EQ(parts.front(), absl::StrCat(result->op_id() - 1));
  }
  EXPECT_TRUE(pipe.End().ok());
  EXPECT_EQ(loads, 1000U);
}

TEST_F(CachePipelineTest, OneThatWaitsHoldsUpNoOtherAndIsWaitedForAtTheEnd) {
  Pipe pipe(one_);
  ASSERT_TRUE(pipe.Send(R"({"operations":[{"opId":"1","pop":{"key":"q","waitFor":"60s"}},
                                          {"opId":"2","increment":{"key":"n"}}]})"));
  EXPECT_EQ(pipe.Next()->op_id(), 2U);
  pipe.CloseHalf();
  AwaitWaiting(one_, 1);
  Ask(two_, &Stub::Push, R"({"key":"q","value":7})");
  EXPECT_EQ(pipe.Next()->pop().value().number_value(), 7);
  EXPECT_FALSE(pipe.Next().has_value());
  EXPECT_TRUE(pipe.End().ok());
}

TEST_F(CachePipelineTest, AClientThatGoesAwayLeavesNothingBehind) {
  Pipe pipe(one_);
  ASSERT_TRUE(pipe.Send(R"({"operations":[{"opId":"1","pop":{"key":"q","waitFor":"60s"}},
                                          {"opId":"2","pop":{"key":"q","waitFor":"60s"}}]})"));
  AwaitWaiting(one_, 2);
  pipe.Cancel();
  AwaitWaiting(one_, 0);
  AwaitKeys(0);
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while (Streams(one_) != 0) ASSERT_LT(absl::Now(), limit);
}

TEST_F(CachePipelineTest, AFrameOfTooManyOperationsEndsTheStream) {
  Pipe pipe(one_);
  v1::PipelineRequest request;
  for (int i = 0; i < 1001; ++i) request.add_operations()->mutable_load()->set_key("k");
  ASSERT_TRUE(pipe.Send(request));
  EXPECT_FALSE(pipe.Next().has_value());
  const grpc::Status status = pipe.End();
  EXPECT_EQ(ReasonOf(status), "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(status, "limit"), "cache_batch");
}

TEST_F(CachePipelineTest, AnEmptyFrameIsFineAndSoIsAStreamWithoutAny) {
  Pipe pipe(one_);
  ASSERT_TRUE(pipe.Send("{}"));
  pipe.CloseHalf();
  EXPECT_FALSE(pipe.Next().has_value());
  EXPECT_TRUE(pipe.End().ok());
}

TEST_F(CachePipelineTest, AStreamHearsOfADrainAndGoesOnAndEndsWithTheNode) {
  Pipe pipe(two_);
  ASSERT_TRUE(pipe.Send(R"({"operations":[{"opId":"1","increment":{"key":"n"}}]})"));
  EXPECT_EQ(pipe.Next()->increment().value(), 1);
  two_.io().Run([this] { two_.rooms().cache_pipelines.Drain({"elsewhere:1"}); });
  EXPECT_FALSE(pipe.Next().has_value());
  EXPECT_THAT(pipe.frame().draining().alternatives(), testing::ElementsAre("elsewhere:1"));
  ASSERT_TRUE(pipe.Send(R"({"operations":[{"opId":"2","increment":{"key":"n"}}]})"));
  EXPECT_EQ(pipe.Next()->increment().value(), 2);
  // Who comes later hears it too.
  Pipe late(two_);
  EXPECT_FALSE(late.Next().has_value());
  EXPECT_EQ(late.frame().draining().alternatives_size(), 1);
  two_.io().Run([this] { two_.rooms().cache_pipelines.CloseAll(absl::UnavailableError("stops")); });
  EXPECT_FALSE(pipe.Next().has_value());
  EXPECT_EQ(pipe.End().error_message(), "stops");
}

class CacheStopTest : public CachePipelineTest {
 protected:
  // `count` pops are sent while Redis does no changes, and some of them are in flight.
  void PopWhileRedisPauses(Pipe& pipe, int count) {
    v1::PushRequest push;
    push.set_key("q");
    v1::PushResponse pushed;
    for (int i = 0; i < count; ++i) {
      push.mutable_value()->set_number_value(i);
      ASSERT_TRUE(CallWith(one_, &Stub::Push, push, &pushed).ok());
    }
    redis_.Command({"CLIENT", "PAUSE", "60000", "WRITE"});
    v1::PipelineRequest pops;
    for (int i = 0; i < count; ++i) {
      pops.add_operations()->set_op_id(static_cast<uint64_t>(i) + 1);
      pops.mutable_operations(i)->mutable_pop()->set_key("q");
    }
    ASSERT_TRUE(pipe.Send(pops));
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (Running() != static_cast<size_t>(count)) ASSERT_LT(absl::Now(), limit) << Running();
  }
  void Resume() { redis_.Command({"CLIENT", "UNPAUSE"}); }
  size_t Running() {
    return two_.io().Run([this] { return two_.rooms().cache_pipelines.running(); });
  }
  // How many items come before the stream's end.
  static int Items(Pipe& pipe) {
    int items = 0;
    while (const std::optional<Result> result = pipe.Next()) items += result->pop().has_value() ? 1 : 0;
    return items;
  }
};

TEST_F(CacheStopTest, WhatIsGoneFromAListWhenTheNodeClosesItsStreamsWasDelivered) {
  constexpr int kItems = 200;
  Pipe pipe(two_);
  ASSERT_TRUE(pipe.Send(R"({"operations":[{"opId":"1000","pop":{"key":"empty","waitFor":"60s"}}]})"));
  AwaitWaiting(two_, 1);
  EXPECT_EQ(Running(), 0U);  // One that waits is not waited for.
  PopWhileRedisPauses(pipe, kItems);
  two_.io().Run([this] { two_.rooms().CloseStreams(absl::UnavailableError("stops")); });
  Resume();
  const int items = Items(pipe);
  EXPECT_EQ(pipe.End().error_message(), "stops");
  EXPECT_GT(items, 0);
  EXPECT_LT(items, kItems);  // The others have not been begun.
  EXPECT_EQ(Ask(one_, &Stub::ListLength, R"({"key":"q"})").length(), kItems - items);
  AwaitWaiting(two_, 0);
}

TEST_F(CacheStopTest, AFrameThatEndsTheStreamLosesNothingOfThoseBeforeIt) {
  constexpr int kItems = 200;
  Pipe pipe(two_);
  PopWhileRedisPauses(pipe, kItems);
  v1::PipelineRequest request;
  for (int i = 0; i < 1001; ++i) request.add_operations()->mutable_load()->set_key("k");
  ASSERT_TRUE(pipe.Send(request));
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while (Running() == kItems) ASSERT_LT(absl::Now(), limit);
  Resume();
  const int items = Items(pipe);
  EXPECT_EQ(ReasonOf(pipe.End()), "LIMIT_EXCEEDED");
  EXPECT_GT(items, 0);
  EXPECT_EQ(Ask(one_, &Stub::ListLength, R"({"key":"q"})").length(), kItems - items);
}

TEST_F(CacheStopTest, ADrainWaitsForWhatWasSentAndNotForWhatIsSentLater) {
  constexpr int kItems = 5;  // All of them are begun at once, and so is what follows.
  Pipe pipe(two_);
  PopWhileRedisPauses(pipe, kItems);
  fakes::Waiter<uint32_t> drained;
  const auto drain = [&](absl::Duration timeout) {
    two_.io().Run([&] { two_.rooms().drain.Begin(timeout, [&drained](uint32_t running) { drained.Add(running); }); });
  };
  drain(absl::ZeroDuration());
  EXPECT_EQ(drained.Next(), uint32_t{kItems});
  EXPECT_FALSE(pipe.Next().has_value());
  EXPECT_TRUE(pipe.frame().has_draining());
  ASSERT_TRUE(pipe.Send(R"({"operations":[{"opId":"1000","increment":{"key":"n"}},{"opId":"1001"}]})"));
  const std::optional<Result> refused = pipe.Next();
  ASSERT_TRUE(refused.has_value() && refused->has_error());
  EXPECT_EQ(Running(), size_t{kItems}) << "what was sent later is under way, and does not count";
  pipe.CloseHalf();
  drain(2 * fakes::kPatience);
  Resume();
  EXPECT_EQ(drained.Next(), 0U);
  int items = 0;
  while (const std::optional<Result> result = pipe.Next()) items += result->has_pop() ? 1 : 0;
  EXPECT_EQ(items, kItems);
  EXPECT_TRUE(pipe.End().ok());
}

TEST_F(CachePipelineTest, ErrorsAboutLongKeysAreInFramesThatAnyClientTakes) {
  constexpr int kLoads = 1000;
  v1::PipelineRequest request;
  for (int i = 0; i < kLoads; ++i) {
    request.add_operations()->mutable_load()->set_key(absl::StrCat(std::string(1000, 'k'), i));
  }
  Pipe pipe(one_);
  ASSERT_TRUE(pipe.Send(request));
  pipe.CloseHalf();
  int results = 0;
  while (const std::optional<Result> result = pipe.Next()) {
    EXPECT_GT(DetailOf(result->error(), "key").size(), 1000U);
    EXPECT_LE(pipe.frame().ByteSizeLong(), size_t{1} << 20);
    ++results;
  }
  EXPECT_TRUE(pipe.End().ok());
  EXPECT_EQ(results, kLoads);
}

TEST_F(CachePipelineTest, AClientThatDoesNotReadCostsNoMoreThanALittleAndGetsAllInTheEnd) {
  constexpr int kFrames = 150;
  constexpr int kLoads = 20;
  const std::string key(1000, 'k');
  v1::SaveRequest save;
  save.set_key(key);
  save.set_data(std::string(64 * 1024, 'x'));
  v1::SaveResponse saved;
  ASSERT_TRUE(CallWith(one_, &Stub::Save, save, &saved).ok());
  v1::PipelineRequest frame;
  for (int i = 0; i < kLoads; ++i) frame.add_operations()->mutable_load()->set_key(key);

  Pipe pipe(one_);
  std::thread writer([&] {
    for (int i = 0; i < kFrames; ++i) EXPECT_TRUE(pipe.Send(frame));
    pipe.CloseHalf();
  });
  // Until nothing moves any more.
  const absl::Time limit = absl::Now() + fakes::kPatience;
  int64_t runs = 0;
  for (absl::Time since = absl::Now(); absl::Now() < limit && absl::Now() - since < absl::Seconds(1);) {
    if (const int64_t now = Runs("mget"); now != std::exchange(runs, now) || now == 0) since = absl::Now();
  }
  EXPECT_GE(runs, 128);
  EXPECT_LE(runs, 600);  // Of 3000: what waits to be written, what was under way, and what gRPC has taken.

  int results = 0;
  while (const std::optional<Result> result = pipe.Next()) {
    results += result->load().data().size() == save.data().size() ? 1 : 0;
  }
  writer.join();
  EXPECT_TRUE(pipe.End().ok());
  EXPECT_EQ(results, kFrames * kLoads);
}

}  // namespace
}  // namespace actioncluster
