#include "backplane/redis/command_core.h"

#include <string>
#include <vector>

#include "tests/unit/redis/core_test_base.h"

namespace actioncluster::redis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CommandCoreTest : public CommandCoreTestBase {
 protected:
  void Open() {
    core_.Opened(now_);
    EXPECT_EQ(Output(), Command({"PING"}).wire());
    ASSERT_TRUE(Feed("+PONG\r\n").ok());
    ASSERT_TRUE(core_.ready());
  }
};

TEST_F(CommandCoreTest, IsReadyOnlyWhenTheGreetingIsAnswered) {
  EXPECT_FALSE(core_.ready());
  core_.Opened(now_);
  EXPECT_FALSE(core_.ready());
  EXPECT_TRUE(Feed("+PON").ok());
  EXPECT_FALSE(core_.ready());
  EXPECT_TRUE(Feed("G\r\n").ok());
  EXPECT_TRUE(core_.ready());
}

TEST_F(CommandCoreTest, PipelinesAndMatchesRepliesInOrder) {
  Open();
  Execute("a");
  Execute("b");
  Execute("c");
  EXPECT_EQ(Output(), Command({"a"}).wire() + Command({"b"}).wire() + Command({"c"}).wire());
  EXPECT_EQ(Output(), "");
  EXPECT_TRUE(Feed("+1\r\n+2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1", "b=2"));
  EXPECT_TRUE(Feed("+3\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("c=3"));
}

TEST_F(CommandCoreTest, TakeOutputAppends) {
  Open();
  Execute("a");
  std::string out = "before";
  core_.TakeOutput(&out);
  EXPECT_EQ(out, "before" + Command({"a"}).wire());
}

TEST_F(CommandCoreTest, ErrorRepliesBecomeStatuses) {
  Open();
  for (const char* name : {"a", "b", "c", "d"}) Execute(name);
  EXPECT_TRUE(Feed("-OOM full\r\n-NOPERM no\r\n-ERR what\r\n-NOSCRIPT not a script's call\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a!UNAVAILABLE", "b!PERMISSION_DENIED", "c!INTERNAL", "d!INTERNAL"));
}

TEST_F(CommandCoreTest, LateReplyAfterTheDeadlineIsDroppedAndTheNextIsRight) {
  Open();
  Execute("a", 10 * kMs);
  Execute("b", 50 * kMs);
  EXPECT_EQ(Next(), now_ + 10 * kMs);
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(next_, now_ + 40 * kMs);
  EXPECT_THAT(Ended(), ElementsAre("a!DEADLINE_EXCEEDED"));
  EXPECT_TRUE(Feed("+late\r\n+right\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("b=right"));
}

TEST_F(CommandCoreTest, DeadlinesEndInTheirOwnOrder) {
  Open();
  Execute("a", 50 * kMs);
  Execute("b", 10 * kMs);
  EXPECT_EQ(Next(), now_ + 10 * kMs);
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Ended(), ElementsAre("b!DEADLINE_EXCEEDED"));
  EXPECT_TRUE(Feed("+1\r\n+2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
}

TEST_F(CommandCoreTest, AReplyBeforeTheDeadlineLeavesNothingToExpire) {
  Open();
  Execute("a", 10 * kMs);
  EXPECT_TRUE(Feed("+1\r\n").ok());
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(next_, absl::InfiniteFuture());
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
}

TEST_F(CommandCoreTest, AskingWhenToTickEndsNothing) {
  Open();
  Execute("a", 10 * kMs);
  now_ += absl::Hours(1);
  Next();
  EXPECT_THAT(Ended(), IsEmpty());
}

TEST_F(CommandCoreTest, ASilentConnectionIsGivenUpThoughItsCommandsHaveEnded) {
  Open();
  Execute("a", 10 * kMs);
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(next_, now_ - 10 * kMs + absl::Seconds(5));
  now_ = next_ - kMs;
  EXPECT_TRUE(Tick().ok());
  now_ += kMs;
  EXPECT_THAT(std::string(Tick().message()), HasSubstr("no reply for 5s"));
}

TEST_F(CommandCoreTest, AGreetingThatIsNotAnsweredIsASilentConnection) {
  core_.Opened(now_);
  now_ += absl::Seconds(5);
  EXPECT_FALSE(Tick().ok());
}

TEST_F(CommandCoreTest, EachReplyGivesTheNextCommandItsOwnTime) {
  Open();
  Execute("a");
  now_ += absl::Seconds(3);
  Execute("b", absl::Seconds(60));
  EXPECT_TRUE(Feed("+1\r\n").ok());
  now_ += absl::Seconds(3);
  EXPECT_TRUE(Tick().ok());
  now_ += absl::Seconds(2);
  EXPECT_FALSE(Tick().ok());
}

TEST_F(CommandCoreTest, ClosingEndsAllInOrderAndNothingTwice) {
  Open();
  Execute("a", 10 * kMs);
  Execute("b");
  Execute("c");
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  Ended();
  core_.Closed(BackplaneUnavailable("gone"));
  EXPECT_FALSE(core_.ready());
  EXPECT_THAT(Ended(), ElementsAre("b!UNAVAILABLE", "c!UNAVAILABLE"));
  EXPECT_EQ(last_status_.message(), "gone");
  EXPECT_EQ(Output(), "");
  EXPECT_EQ(Next(), absl::InfiniteFuture());
}

TEST_F(CommandCoreTest, ANewConnectionBeginsWithoutTheOldOnesBytes) {
  Open();
  Execute("a");
  EXPECT_TRUE(Feed("$10\r\nhal").ok());
  core_.Closed(BackplaneUnavailable("gone"));
  Ended();
  Open();
  Execute("b");
  EXPECT_TRUE(Feed("+1\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("b=1"));
}

TEST_F(CommandCoreTest, ClosedBeforeItOpenedIsFine) {
  core_.Closed(BackplaneUnavailable("refused"));
  core_.Opened(now_);
  core_.Closed(BackplaneUnavailable("refused"));
  Open();
}

TEST_F(CommandCoreTest, GarbledBytesEndTheConnectionAfterTheGoodReplies) {
  Open();
  Execute("a");
  Execute("b");
  const absl::Status status = Feed("+1\r\nHTTP/1.1 200\r\n");
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
  core_.Closed(status);
  EXPECT_THAT(Ended(), ElementsAre("b!UNAVAILABLE"));
}

TEST_F(CommandCoreTest, AReplyThatNobodyAskedForEndsTheConnection) {
  Open();
  EXPECT_THAT(std::string(Feed("-ERR shutting down\r\n").message()), HasSubstr("shutting down"));
}

TEST_F(CommandCoreTest, CompletionsMayExecuteFromReplyDeadlineAndMoreRepliesFollow) {
  Open();
  const auto chain = [this](const std::string& name) {
    return [this, name](absl::StatusOr<Reply> reply) {
      Record(name)(std::move(reply));
      if (core_.ready()) Execute(name + "2");
    };
  };
  core_.Execute(Command({"a"}), now_ + absl::Seconds(1), now_, chain("a"));
  core_.Execute(Command({"b"}), now_ + 10 * kMs, now_, chain("b"));
  EXPECT_TRUE(Feed("+1\r\n").ok());
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1", "b!DEADLINE_EXCEEDED"));
  EXPECT_EQ(Output(), Command({"a"}).wire() + Command({"b"}).wire() + Command({"a2"}).wire() + Command({"b2"}).wire());
  EXPECT_TRUE(Feed("+late\r\n+3\r\n+4\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a2=3", "b2=4"));
}

TEST_F(CommandCoreTest, RepliesSplitAtEveryPositionAreTheSame) {
  const std::string wire = "+1\r\n$4\r\na\r\nb\r\n-ERR x\r\n";
  for (size_t at = 0; at <= wire.size(); ++at) {
    Open();
    for (const char* name : {"a", "b", "c"}) Execute(name);
    EXPECT_TRUE(Feed(wire.substr(0, at)).ok());
    EXPECT_TRUE(Feed(wire.substr(at)).ok());
    EXPECT_THAT(Ended(), ElementsAre("a=1", "b=a\r\nb", "c!INTERNAL")) << at;
    core_.Closed(BackplaneUnavailable("next"));
    Output();
  }
}

}  // namespace
}  // namespace actioncluster::redis
