#include "backplane/redis/sentinel_core.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/redis/core_test_base.h"

namespace actioncluster::redis {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

LinkOptions Options() {
  LinkOptions options;
  options.endpoint =
      *ParseEndpoint("redis+sentinel://me:redis-secret@s0,s1,s2/main/3?sentinel-user=seer&sentinel-password=secret");
  options.client_name = "node";
  return options;
}

class SentinelCoreTest : public CoreTestBase<SentinelCore> {
 protected:
  SentinelCore& core() override { return core_; }

  // Connects to a sentinel that answers so.
  absl::Status Answer(const std::string& reply) {
    core_.Opened(now_);
    Output();
    return Feed(absl::StrCat("+OK\r\n+OK\r\n+PONG\r\n", reply));
  }

  SentinelCore core_{Options()};
};

TEST_F(SentinelCoreTest, AsksForTheMasterAsTheSentinelsUserNotAsRediss) {
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"AUTH", "seer", "secret"}).wire() + Command({"CLIENT", "SETNAME", "node"}).wire() +
                          Command({"PING"}).wire() + Command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"}).wire());
  EXPECT_FALSE(core_.ready());
  EXPECT_TRUE(Feed("+OK\r\n+OK\r\n+PONG\r\n*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6380\r\n").ok());
  EXPECT_TRUE(core_.ready());
  EXPECT_EQ(core_.answer(), (HostPort{"10.0.0.1", 6380}));
}

TEST_F(SentinelCoreTest, WhatIsNoAddressIsAnErrorThatSaysSo) {
  EXPECT_THAT(std::string(Answer("*-1\r\n").message()), HasSubstr("knows no master main"));
  EXPECT_THAT(std::string(Answer("-NOPERM no\r\n").message()), HasSubstr("NOPERM no"));
  for (const std::string reply :
       {"+OK\r\n", "*0\r\n", "*1\r\n$1\r\nh\r\n", "*2\r\n$1\r\nh\r\n$1\r\n0\r\n", "*2\r\n$1\r\nh\r\n$5\r\n65536\r\n",
        "*2\r\n$1\r\nh\r\n$1\r\nx\r\n", "*2\r\n$0\r\n\r\n$1\r\n1\r\n", "*3\r\n$1\r\nh\r\n$1\r\n1\r\n$1\r\n1\r\n",
        "garbage\r\n"}) {
    EXPECT_EQ(ReasonOf(Answer(reply)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << reply;
    EXPECT_FALSE(core_.ready()) << reply;
  }
}

TEST_F(SentinelCoreTest, ARefusedPasswordIsNotShown) {
  core_.Opened(now_);
  EXPECT_THAT(std::string(Feed("-ERR unknown command `AUTH`, with args beginning with: `secret`\r\n").message()),
              AllOf(HasSubstr("AUTH was refused"), Not(HasSubstr("secret"))));
}

TEST_F(SentinelCoreTest, EachIsAskedOnceARoundAndTheirComplaintsDoNotDependOnTheOrder) {
  EXPECT_EQ(core_.asked().host, "s0");
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_EQ(core_.asked().host, "s1");
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_EQ(core_.asked().host, "s2");
  EXPECT_FALSE(core_.Pass("mute"));
  const std::string complaint = core_.complaint();
  EXPECT_EQ(complaint, "sentinel s0:26379: away; sentinel s1:26379: away; sentinel s2:26379: mute");
  EXPECT_EQ(core_.asked().host, "s0") << "and so again in the next round";
  core_.Distrust();
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_TRUE(core_.Pass("mute"));
  EXPECT_FALSE(core_.Pass("away"));
  EXPECT_EQ(core_.complaint(), complaint);
}

TEST_F(SentinelCoreTest, TheOneWhoseMasterWasGoodIsAskedFirstAgain) {
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_TRUE(Answer("*2\r\n$1\r\nh\r\n$1\r\n1\r\n").ok());
  core_.Closed(BackplaneUnavailable("it has answered"));
  EXPECT_EQ(core_.asked().host, "s1");
}

TEST_F(SentinelCoreTest, AfterAStaleAnswerTheNextIsAskedAndTheRoundIsNew) {
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_TRUE(Answer("*2\r\n$1\r\nh\r\n$1\r\n1\r\n").ok());
  core_.Distrust();
  EXPECT_EQ(core_.asked().host, "s2");
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_TRUE(core_.Pass("away")) << "each of the three has a turn in it";
  EXPECT_EQ(core_.asked().host, "s1");
}

TEST_F(SentinelCoreTest, OneThatKnowsBetterIsAskedNextInANewRound) {
  EXPECT_TRUE(core_.Pass("away"));
  core_.Prefer(2);
  EXPECT_EQ(core_.asked().host, "s2");
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_TRUE(core_.Pass("away"));
  EXPECT_FALSE(core_.Pass("away"));
}

TEST_F(SentinelCoreTest, AnAnswerIsForgottenWithItsConnection) {
  EXPECT_TRUE(Answer("*2\r\n$1\r\nh\r\n$1\r\n1\r\n").ok());
  core_.Closed(BackplaneUnavailable("gone"));
  EXPECT_FALSE(core_.ready());
}

}  // namespace
}  // namespace actioncluster::redis
