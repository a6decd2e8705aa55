#include <string>
#include <vector>

#include "backplane/redis/command_core.h"
#include "tests/unit/redis/core_test_base.h"

// What happens when Redis has lost its scripts (NOSCRIPT), in every order.
namespace actioncluster::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Script kOne = {"one", "return 1", "sha-one"};
constexpr Script kTwo = {"two", "return 2", "sha-two"};
constexpr absl::string_view kNoScript = "-NOSCRIPT No matching script\r\n";
constexpr absl::string_view kLoaded = "$7\r\nsha-one\r\n$7\r\nsha-two\r\n";

std::string LoadWire() {
  return Command({"SCRIPT", "LOAD", "return 1"}).wire() + Command({"SCRIPT", "LOAD", "return 2"}).wire();
}
std::string CallWire(const std::string& name) { return Command::Call(kOne, {name}, {}).wire(); }

class ScriptReloadTest : public CommandCoreTestBase {
 protected:
  ScriptReloadTest() : CommandCoreTestBase({}, {kOne, kTwo}) {
    core_.Opened(now_);
    EXPECT_TRUE(Feed("+PONG\r\n").ok());
    EXPECT_TRUE(Feed(kLoaded).ok());
    EXPECT_TRUE(core_.ready());
    Output();
  }
};

TEST_F(ScriptReloadTest, LoadsAllScriptsAndCallsAgain) {
  Call(kOne, "a");
  Output();
  EXPECT_TRUE(Feed(kNoScript).ok());
  EXPECT_TRUE(core_.ready());
  EXPECT_THAT(Ended(), IsEmpty());
  EXPECT_EQ(Output(), LoadWire());
  EXPECT_TRUE(Feed(kLoaded).ok());
  EXPECT_EQ(Output(), CallWire("a"));
  EXPECT_TRUE(Feed("+1\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
}

TEST_F(ScriptReloadTest, WhatComesMeanwhileWaitsAndFollowsWhatDidNotRun) {
  Call(kOne, "a");
  Execute("between");
  Call(kOne, "b");
  Output();
  EXPECT_TRUE(Feed(kNoScript).ok());
  Execute("c");
  Call(kOne, "d");
  EXPECT_EQ(Output(), LoadWire()) << "one loading, nothing else";
  EXPECT_TRUE(Feed("+ran\r\n").ok());
  EXPECT_TRUE(Feed(kNoScript).ok());
  EXPECT_EQ(Output(), "");
  EXPECT_THAT(Ended(), ElementsAre("between=ran"));
  EXPECT_TRUE(Feed(kLoaded).ok());
  EXPECT_EQ(Output(), CallWire("a") + CallWire("b") + Command({"c"}).wire() + CallWire("d"));
  EXPECT_TRUE(Feed("+1\r\n+2\r\n+3\r\n+4\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1", "b=2", "c=3", "d=4"));
  Execute("e");
  EXPECT_EQ(Output(), Command({"e"}).wire()) << "nothing is held any more";
}

TEST_F(ScriptReloadTest, FlushedAgainBeforeTheCallsItIsLoadedAgain) {
  Call(kOne, "a");
  for (int round = 0; round < 8; ++round) {
    Output();
    EXPECT_TRUE(Feed(kNoScript).ok());
    EXPECT_EQ(Output(), LoadWire());
    EXPECT_TRUE(Feed(kLoaded).ok());
    EXPECT_EQ(Output(), CallWire("a"));
  }
  EXPECT_TRUE(Feed("+1\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
}

TEST_F(ScriptReloadTest, AScriptThatIsNotAmongThoseLoadedEndsWithAnError) {
  Call(kOne, "a");
  for (int round = 0; round < 8; ++round) {
    EXPECT_TRUE(Feed(kNoScript).ok());
    EXPECT_TRUE(Feed(kLoaded).ok());
  }
  EXPECT_THAT(Ended(), IsEmpty());
  EXPECT_TRUE(Feed(kNoScript).ok());
  EXPECT_THAT(Ended(), ElementsAre("a!INTERNAL"));
}

TEST_F(ScriptReloadTest, ACallPastItsDeadlineIsNotSentAgain) {
  Call(kOne, "a", 10 * kMs);
  Call(kOne, "b");
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Ended(), ElementsAre("a!DEADLINE_EXCEEDED"));
  EXPECT_TRUE(Feed(kNoScript).ok());
  EXPECT_TRUE(Feed(kNoScript).ok());
  Output();
  EXPECT_TRUE(Feed(kLoaded).ok());
  EXPECT_EQ(Output(), CallWire("b"));
}

TEST_F(ScriptReloadTest, DeadlinesHoldForWhatWaitsForTheLoading) {
  Call(kOne, "a", 10 * kMs);
  EXPECT_TRUE(Feed(kNoScript).ok());
  Execute("b", 20 * kMs);
  Execute("c");
  EXPECT_EQ(Next(), now_ + 10 * kMs);
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(next_, now_ + 10 * kMs);
  EXPECT_THAT(Ended(), ElementsAre("a!DEADLINE_EXCEEDED"));
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Ended(), ElementsAre("b!DEADLINE_EXCEEDED"));
  Output();
  EXPECT_TRUE(Feed(kLoaded).ok());
  EXPECT_EQ(Output(), Command({"c"}).wire());
  EXPECT_TRUE(Feed("+1\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("c=1"));
}

TEST_F(ScriptReloadTest, ClosingWhileLoadingEndsAllOnceAndTheNextConnectionIsClean) {
  Call(kOne, "a");
  Execute("b");
  EXPECT_TRUE(Feed(kNoScript).ok());
  Execute("c");
  core_.Closed(BackplaneUnavailable("gone"));
  EXPECT_THAT(Ended(), testing::UnorderedElementsAre("a!UNAVAILABLE", "b!UNAVAILABLE", "c!UNAVAILABLE"));
  core_.Opened(now_);
  EXPECT_TRUE(Feed("+PONG\r\n").ok());
  EXPECT_TRUE(Feed(kLoaded).ok());
  Output();
  Execute("d");
  EXPECT_EQ(Output(), Command({"d"}).wire());
}

TEST_F(ScriptReloadTest, ALoadingThatIsRefusedEndsTheConnection) {
  Call(kOne, "a");
  EXPECT_TRUE(Feed(kNoScript).ok());
  EXPECT_EQ(ReasonOf(Feed("-NOPERM no\r\n")), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(ScriptReloadTest, ALoadingThatIsNotAnsweredIsASilentConnection) {
  Call(kOne, "a", absl::Seconds(60));
  EXPECT_TRUE(Feed(kNoScript).ok());
  now_ += absl::Seconds(5);
  EXPECT_FALSE(Tick().ok());
}

class NoScriptsTest : public CommandCoreTestBase {};

TEST_F(NoScriptsTest, WithNothingToLoadTheCallEnds) {
  core_.Opened(now_);
  EXPECT_TRUE(Feed("+PONG\r\n").ok());
  Call(kOne, "a");
  EXPECT_TRUE(Feed(kNoScript).ok());
  EXPECT_THAT(Ended(), ElementsAre("a!INTERNAL"));
}

}  // namespace
}  // namespace actioncluster::redis
