#include <string>
#include <vector>

#include "backplane/redis/command_core.h"
#include "tests/unit/redis/core_test_base.h"

// Replies that are held until replicas have what was written, in every order.
namespace actioncluster::redis {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Script kScript = {"one", "return 1", "sha-one"};
constexpr absl::string_view kLoaded = "$7\r\nsha-one\r\n";

std::string Wire(const std::string& name) { return Command({name}).wire(); }
std::string WaitWire() { return Command({"WAIT", "2", "300"}).wire(); }

class ReplicaAcksTest : public CommandCoreTestBase {
 protected:
  ReplicaAcksTest() : CommandCoreTestBase(Options(), {kScript}) { Open(); }

  void Open() {
    core_.Opened(now_);
    EXPECT_TRUE(Feed("+PONG\r\n").ok());
    EXPECT_TRUE(Feed(kLoaded).ok());
    EXPECT_TRUE(core_.ready());
    Output();
  }

 private:
  static LinkOptions Options() {
    LinkOptions options;
    options.ack_replicas = 2;
    options.ack_timeout = 300 * kMs;
    return options;
  }
};

TEST_F(ReplicaAcksTest, OneWaitFollowsAllThatIsSentTogether) {
  Execute("a");
  Execute("b");
  EXPECT_EQ(Output(), Wire("a") + Wire("b") + WaitWire());
  EXPECT_EQ(Output(), "") << "nothing was written since";
  Execute("c");
  EXPECT_EQ(Output(), Wire("c") + WaitWire());
}

TEST_F(ReplicaAcksTest, TheGreetingIsNotWaitedFor) {
  core_.Closed(absl::UnavailableError("lost"));
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"PING"}).wire() + Command({"SCRIPT", "LOAD", "return 1"}).wire());
}

TEST_F(ReplicaAcksTest, RepliesEndInOrderWhenEnoughReplicasHaveThem) {
  Execute("a");
  Execute("b");
  Output();
  EXPECT_TRUE(Feed("+1\r\n+2\r\n").ok());
  EXPECT_THAT(Ended(), IsEmpty());
  EXPECT_TRUE(Feed(":2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1", "b=2"));
}

TEST_F(ReplicaAcksTest, EachWaitAnswersForWhatWasSentBeforeItOnly) {
  Execute("a");
  Output();
  Execute("b");
  Output();
  EXPECT_TRUE(Feed("+1\r\n:3\r\n+2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
  EXPECT_TRUE(Feed(":2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("b=2"));
}

TEST_F(ReplicaAcksTest, TooFewReplicasAreUnavailableAndWhyIsSaid) {
  Execute("a");
  Output();
  EXPECT_TRUE(Feed("+1\r\n:1\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a!UNAVAILABLE"));
  EXPECT_THAT(std::string(last_status_.message()), AllOf(HasSubstr("1 of 2 replicas"), HasSubstr("written")));
  Execute("b");
  Output();
  EXPECT_TRUE(Feed("+2\r\n:2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("b=2")) << "one that fails leaves nothing behind";
}

TEST_F(ReplicaAcksTest, AReplicaWhichCannotSayIsUnavailable) {
  Execute("a");
  Output();
  EXPECT_TRUE(Feed("+1\r\n-ERR WAIT cannot be used with replica instances.\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a!UNAVAILABLE"));
  EXPECT_THAT(std::string(last_status_.message()), HasSubstr("cannot be used"));
}

TEST_F(ReplicaAcksTest, ErrorsDoNotWait) {
  Execute("a");
  Execute("b");
  Output();
  EXPECT_TRUE(Feed("-OOM full\r\n+2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a!UNAVAILABLE"));
  EXPECT_TRUE(Feed(":2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("b=2"));
}

TEST_F(ReplicaAcksTest, AHeldReplyEndsAtItsDeadlineAndOnce) {
  Execute("a", 10 * kMs);
  Execute("b", 50 * kMs);
  Output();
  EXPECT_TRUE(Feed("+1\r\n+2\r\n").ok());
  now_ += 10 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Ended(), ElementsAre("a!DEADLINE_EXCEEDED"));
  EXPECT_EQ(next_, now_ + 40 * kMs);
  EXPECT_TRUE(Feed(":2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("b=2"));
}

TEST_F(ReplicaAcksTest, ALossEndsHeldRepliesFirstAndTheNextConnectionOwesNothing) {
  Execute("a");
  Output();
  Execute("b");
  EXPECT_TRUE(Feed("+1\r\n").ok());
  core_.Closed(absl::UnavailableError("lost"));
  EXPECT_THAT(Ended(), ElementsAre("a!UNAVAILABLE", "b!UNAVAILABLE"));
  Open();
  EXPECT_EQ(Output(), "");
  Execute("c");
  EXPECT_EQ(Output(), Wire("c") + WaitWire());
  EXPECT_TRUE(Feed("+3\r\n:2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("c=3"));
}

TEST_F(ReplicaAcksTest, AScriptThatWasLostIsWaitedForWhenItHasRun) {
  Call(kScript, "a");
  Output();
  EXPECT_TRUE(Feed("-NOSCRIPT No matching script\r\n:0\r\n").ok());
  EXPECT_THAT(Ended(), IsEmpty()) << "that WAIT had nothing to wait for";
  EXPECT_EQ(Output(), Command({"SCRIPT", "LOAD", "return 1"}).wire());
  EXPECT_TRUE(Feed(kLoaded).ok());
  EXPECT_EQ(Output(), Command::Call(kScript, {"a"}, {}).wire() + WaitWire());
  EXPECT_TRUE(Feed("+1\r\n").ok());
  EXPECT_THAT(Ended(), IsEmpty());
  EXPECT_TRUE(Feed(":2\r\n").ok());
  EXPECT_THAT(Ended(), ElementsAre("a=1"));
}

TEST_F(ReplicaAcksTest, AWaitThatIsNotAnsweredIsASilentConnection) {
  Execute("a");
  Output();
  EXPECT_TRUE(Feed("+1\r\n").ok());
  now_ += absl::Seconds(5);
  EXPECT_FALSE(Tick().ok());
}

}  // namespace
}  // namespace actioncluster::redis
