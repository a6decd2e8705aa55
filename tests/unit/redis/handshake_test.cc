#include "backplane/redis/handshake.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/redis/core_test_base.h"

namespace actioncluster::redis {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::vector<Script>& Scripts() {
  static const std::vector<Script> scripts = {
      {"one", "return 1", "sha-one"}, {"none", "", "sha-none"}, {"two", "return 2", "sha-two"}};
  return scripts;
}

LinkOptions Options() {
  LinkOptions options;
  options.endpoint.user = "me";
  options.endpoint.password = "secret";
  options.endpoint.database = 3;
  options.client_name = "node";
  return options;
}

// The wire and the good reply of each step.
struct Step {
  std::string wire;
  std::string reply;
};
std::vector<Step> Steps() {
  return {{Command({"AUTH", "me", "secret"}).wire(), "+OK\r\n"},
          {Command({"SELECT", "3"}).wire(), "+OK\r\n"},
          {Command({"CLIENT", "SETNAME", "node"}).wire(), "+OK\r\n"},
          {Command({"PING"}).wire(), "+PONG\r\n"},
          {Command({"SCRIPT", "LOAD", "return 1"}).wire(), "$7\r\nsha-one\r\n"},
          {Command({"SCRIPT", "LOAD", "return 2"}).wire(), "$7\r\nsha-two\r\n"}};
}

class HandshakeTest : public CommandCoreTestBase {
 protected:
  HandshakeTest() : CommandCoreTestBase(Options(), Scripts()) {}

  // Answers the steps before `step` well.
  void AnswerUpTo(size_t step) {
    core_.Opened(now_);
    Output();
    for (size_t i = 0; i < step; ++i) ASSERT_TRUE(Feed(Steps()[i].reply).ok());
    ASSERT_FALSE(core_.ready());
  }
};

TEST_F(HandshakeTest, SaysAllAtOnceAndEmptyScriptsNotAtAll) {
  core_.Opened(now_);
  std::string wire;
  std::string replies;
  for (const Step& step : Steps()) {
    wire += step.wire;
    replies += step.reply;
  }
  EXPECT_EQ(Output(), wire);
  EXPECT_TRUE(Feed(replies).ok());
  EXPECT_TRUE(core_.ready());
}

TEST_F(HandshakeTest, ARefusalOfAnyStepEndsTheConnection) {
  for (size_t step = 0; step < Steps().size(); ++step) {
    for (const std::string reply : {"-NOPERM not you\r\n", "+WHAT\r\n", ":1\r\n", "$-1\r\n", "*0\r\n"}) {
      AnswerUpTo(step);
      const absl::Status status = Feed(reply);
      EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << step << reply;
      EXPECT_FALSE(core_.ready());
      core_.Closed(status);
    }
  }
}

TEST_F(HandshakeTest, ARefusedPasswordIsNeverShownThoughRedisQuotesIt) {
  AnswerUpTo(0);
  const absl::Status status = Feed("-ERR unknown command `AUTH`, with args beginning with: `me`, `secret`\r\n");
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("AUTH was refused"), Not(HasSubstr("secret"))));
}

TEST_F(HandshakeTest, ThatRedisTakesNoMoreClientsIsSaidThoughItSeemsToAnswerThePassword) {
  AnswerUpTo(0);
  EXPECT_THAT(std::string(Feed("-ERR max number of clients reached\r\n").message()),
              HasSubstr("max number of clients reached"));
}

TEST_F(HandshakeTest, AScriptOfAnotherHashIsNamed) {
  AnswerUpTo(5);
  EXPECT_THAT(std::string(Feed("$7\r\nsha-one\r\n").message()), HasSubstr("SCRIPT LOAD of two"));
}

TEST_F(HandshakeTest, ItBeginsAnewOnEachConnection) {
  AnswerUpTo(3);
  core_.Closed(BackplaneUnavailable("gone"));
  AnswerUpTo(Steps().size() - 1);
  EXPECT_TRUE(Feed(Steps().back().reply).ok());
  EXPECT_TRUE(core_.ready());
}

class MasterHandshakeTest : public CommandCoreTestBase {
 protected:
  static LinkOptions SentinelOptions() {
    LinkOptions options;
    options.endpoint = *ParseEndpoint("redis+sentinel://:secret@h/main");
    return options;
  }
  MasterHandshakeTest() : CommandCoreTestBase(SentinelOptions()) {}
};

TEST_F(MasterHandshakeTest, WhatSentinelsNamedIsAskedForItsRoleBeforeAllElse) {
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"AUTH", "secret"}).wire() + Command({"ROLE"}).wire() + Command({"PING"}).wire());
  EXPECT_TRUE(Feed("+OK\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+PONG\r\n").ok());
  EXPECT_TRUE(core_.ready());
}

TEST_F(MasterHandshakeTest, AReplicaIsNotUsed) {
  core_.Opened(now_);
  EXPECT_TRUE(Feed("+OK\r\n").ok());
  EXPECT_THAT(std::string(Feed("*2\r\n$5\r\nslave\r\n$1\r\nh\r\n").message()),
              AllOf(HasSubstr("ROLE"), HasSubstr("master")));
}

TEST_F(MasterHandshakeTest, AMasterThatBecomesAReplicaIsLeftAndOthersAreNot) {
  core_.Opened(now_);
  ASSERT_TRUE(Feed("+OK\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+PONG\r\n").ok());
  Execute("a");
  Execute("b");
  EXPECT_TRUE(Feed("-OOM full\r\n").ok());
  EXPECT_EQ(ReasonOf(Feed("-READONLY You can't write against a read only replica.\r\n")),
            v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_THAT(Ended(), testing::ElementsAre("a!UNAVAILABLE", "b!UNAVAILABLE"));
}

TEST(HandshakeOfTest, APasswordAloneIsTheDefaultUsersAndNoneIsNotSent) {
  LinkOptions options;
  options.endpoint.password = "secret";
  std::string out;
  Handshake(options, {}).Start(&out);
  EXPECT_EQ(out, Command({"AUTH", "secret"}).wire() + Command({"PING"}).wire());
  out.clear();
  Handshake(LinkOptions(), {}).Start(&out);
  EXPECT_EQ(out, Command({"PING"}).wire());
}

}  // namespace
}  // namespace actioncluster::redis
