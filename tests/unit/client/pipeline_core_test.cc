#include "client/pipeline_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace actioncluster::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Call = PipelineCore::Call;
using Kind = PipelineOutcome::Kind;

class PipelineCoreTest : public testing::Test {
 protected:
  // A call for a key, which stays where it is.
  Call& Make(const std::string& key, size_t bytes = 10) {
    Call& call = calls_.emplace_back();
    call.operation.mutable_load()->set_key(key);
    call.bytes = bytes;
    return call;
  }
  // The same, on its way.
  Call& Sent(const std::string& key) {
    Call& call = Make(key);
    EXPECT_TRUE(core_.Add(call));
    EXPECT_THAT(NextFrame(), ElementsAre(key));
    return call;
  }

  // The keys in the next frame, in order.
  std::vector<std::string> NextFrame() { return FrameOf(core_); }
  static std::vector<std::string> FrameOf(PipelineCore& core) {
    v1::PipelineRequest frame;
    const bool filled = core.Fill(&frame);
    EXPECT_EQ(filled, frame.operations_size() > 0);
    std::vector<std::string> keys;
    for (const auto& operation : frame.operations()) keys.push_back(operation.load().key());
    return keys;
  }

  // The node gives results for these.
  std::vector<Call*> Give(const std::vector<uint64_t>& ids) {
    v1::PipelineResponse frame;
    for (const uint64_t id : ids) {
      frame.add_results()->set_op_id(id);
      frame.mutable_results()->rbegin()->mutable_load()->set_version(static_cast<int64_t>(id));
    }
    return core_.Accept(&frame);
  }

  std::deque<Call> calls_;
  PipelineCore core_{{.frame_operations = 3, .frame_bytes = 100, .calls = 6, .waiting_bytes = 200}};
};

TEST_F(PipelineCoreTest, WhatWaitsGoesTogetherInTheOrderInWhichItCame) {
  for (const char* key : {"c", "a", "b"}) ASSERT_TRUE(core_.Add(Make(key)));
  EXPECT_THAT(NextFrame(), ElementsAre("c", "a", "b"));
  EXPECT_THAT(NextFrame(), IsEmpty());
}

TEST_F(PipelineCoreTest, EachOperationHasAnIdOfItsOwn) {
  core_.Add(Make("a"));
  core_.Add(Make("b"));
  v1::PipelineRequest frame;
  core_.Fill(&frame);
  EXPECT_NE(frame.operations(0).op_id(), frame.operations(1).op_id());
  EXPECT_EQ(frame.operations(0).op_id(), calls_[0].id);
}

TEST_F(PipelineCoreTest, AFrameTakesSoManyOperationsAndTheRestGoesIntoTheNext) {
  for (const char* key : {"a", "b", "c", "d"}) core_.Add(Make(key));
  EXPECT_THAT(NextFrame(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(NextFrame(), ElementsAre("d"));
}

TEST_F(PipelineCoreTest, AFrameTakesSoManyBytesAndOneOperationMore) {
  core_.Add(Make("a", 60));
  core_.Add(Make("b", 60));
  core_.Add(Make("c", 1));
  EXPECT_THAT(NextFrame(), ElementsAre("a", "b"));
  EXPECT_THAT(NextFrame(), ElementsAre("c"));
}

TEST_F(PipelineCoreTest, ResultsFindTheirCallsInWhateverOrderTheyCome) {
  Call& a = Sent("a");
  Call& b = Sent("b");
  Call& c = Sent("c");
  EXPECT_THAT(Give({c.id, a.id}), ElementsAre(&c, &a));
  EXPECT_THAT(Give({b.id}), ElementsAre(&b));
  for (const Call* call : {&a, &b, &c}) {
    EXPECT_EQ(call->outcome.kind, Kind::kAnswered);
    EXPECT_EQ(call->outcome.result.load().version(), static_cast<int64_t>(call->id));
  }
  EXPECT_TRUE(core_.idle());
}

TEST_F(PipelineCoreTest, AResultThatComesTwiceIsDroppedTheSecondTime) {
  Call& a = Sent("a");
  EXPECT_THAT(Give({a.id, a.id}), ElementsAre(&a));
  EXPECT_THAT(Give({a.id}), IsEmpty());
}

TEST_F(PipelineCoreTest, AResultForNobodyIsDropped) {
  Call& a = Sent("a");
  EXPECT_THAT(Give({0, a.id + 1, ~uint64_t{0}}), IsEmpty());
  EXPECT_THAT(Give({a.id}), ElementsAre(&a));
}

TEST_F(PipelineCoreTest, AResultForWhatWasNotSentYetIsDropped) {
  Call& a = Make("a");
  core_.Add(a);
  EXPECT_THAT(Give({a.id}), IsEmpty());
  EXPECT_THAT(NextFrame(), ElementsAre("a"));
  EXPECT_THAT(Give({a.id}), ElementsAre(&a));
}

TEST_F(PipelineCoreTest, WhatRunsOutOfTimeBeforeItIsSentIsNeverSent) {
  Call& a = Make("a");
  core_.Add(a);
  core_.Add(Make("b"));
  EXPECT_TRUE(core_.Drop(a));
  EXPECT_THAT(NextFrame(), ElementsAre("b"));
  EXPECT_FALSE(core_.silent());
}

TEST_F(PipelineCoreTest, AResultAfterTheDeadlineIsDropped) {
  Call& a = Sent("a");
  EXPECT_TRUE(core_.Drop(a));
  EXPECT_THAT(Give({a.id}), IsEmpty());
  EXPECT_TRUE(core_.idle());
}

TEST_F(PipelineCoreTest, ADeadlineAfterTheResultComesTooLate) {
  Call& a = Sent("a");
  EXPECT_THAT(Give({a.id}), ElementsAre(&a));
  EXPECT_FALSE(core_.Drop(a));
  EXPECT_EQ(a.outcome.kind, Kind::kAnswered);
}

TEST_F(PipelineCoreTest, IsSilentIfNothingAtAllHasComeSinceWhatRanOutOfTimeWasSent) {
  Call& a = Sent("a");
  Call& b = Sent("b");
  Give({a.id});
  core_.Drop(b);
  EXPECT_FALSE(core_.silent());
  Call& c = Sent("c");
  core_.Drop(c);
  EXPECT_TRUE(core_.silent());
}

TEST_F(PipelineCoreTest, ALateResultIsASignOfLifeToo) {
  Call& a = Sent("a");
  Call& b = Sent("b");
  Give({a.id});
  core_.Drop(b);
  Call& c = Sent("c");
  Give({b.id});
  core_.Drop(c);
  EXPECT_FALSE(core_.silent());
}

TEST_F(PipelineCoreTest, OnceRetiredItTakesNoMoreGivesBackWhatWaitsAndStillHearsTheRest) {
  Call& a = Sent("a");
  Call& b = Make("b");
  core_.Add(b);
  EXPECT_THAT(core_.Retire(), ElementsAre(&b));
  EXPECT_EQ(b.outcome.kind, Kind::kUnsent);
  EXPECT_FALSE(core_.Add(Make("c")));
  EXPECT_THAT(NextFrame(), IsEmpty());
  EXPECT_FALSE(core_.idle());
  EXPECT_THAT(Give({a.id}), ElementsAre(&a));
  EXPECT_TRUE(core_.idle());
}

TEST_F(PipelineCoreTest, IfTheStreamEndsWhatWasSentIsLostAndWhatWaitsIsNot) {
  Call& answered = Sent("answered");
  Give({answered.id});
  Call& a = Sent("a");
  Call& b = Sent("b");
  Call& c = Make("c");
  core_.Add(c);
  EXPECT_THAT(core_.End(absl::UnavailableError("gone")), UnorderedElementsAre(&a, &b, &c));
  EXPECT_EQ(a.outcome.kind, Kind::kLost);
  EXPECT_EQ(b.outcome.why, absl::UnavailableError("gone"));
  EXPECT_EQ(c.outcome.kind, Kind::kUnsent);
  EXPECT_FALSE(core_.Add(Make("d")));
  EXPECT_FALSE(core_.Drop(a));
  EXPECT_THAT(Give({a.id}), IsEmpty());
  EXPECT_THAT(core_.End(absl::UnavailableError("again")), IsEmpty());
}

TEST_F(PipelineCoreTest, WhatIsSentToANodeThatDoesNotKnowPipelineMayGoAnotherWay) {
  Call& a = Sent("a");
  EXPECT_THAT(core_.End(absl::UnimplementedError("what?")), ElementsAre(&a));
  EXPECT_EQ(a.outcome.kind, Kind::kUnsent);
}

TEST_F(PipelineCoreTest, TakesSoManyCallsAndThenAsManyAsLeave) {
  Call& first = Sent("0");
  for (int i = 1; i < 6; ++i) EXPECT_TRUE(core_.Add(Make("k")));
  EXPECT_FALSE(core_.Add(Make("one more")));
  Give({first.id});
  EXPECT_TRUE(core_.Add(Make("one more")));
  EXPECT_FALSE(core_.Add(Make("another")));
}

TEST_F(PipelineCoreTest, TakesSoManyBytesThatWaitAndOneCallHoweverLarge) {
  Call& large = Make("large", 1'000);
  EXPECT_TRUE(core_.Add(large));
  EXPECT_FALSE(core_.Add(Make("a", 1)));
  core_.Drop(large);
  Call& a = Make("a", 100);
  EXPECT_TRUE(core_.Add(a));
  EXPECT_TRUE(core_.Add(Make("b", 100)));
  EXPECT_FALSE(core_.Add(Make("c", 1)));
  NextFrame();
  EXPECT_TRUE(core_.Add(Make("c", 1)));
}

}  // namespace
}  // namespace actioncluster::client
