#include "backplane/redis/tracking_core.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/unit/redis/core_test_base.h"

namespace actioncluster::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kAskEvery = absl::Seconds(1);
constexpr char kChannel[] = "__redis__:invalidate";

std::string Bulk(absl::string_view text) { return absl::StrCat("$", text.size(), "\r\n", text, "\r\n"); }
std::string Message(absl::string_view payload) {
  return absl::StrCat("*3\r\n", Bulk("message"), Bulk(kChannel), payload);
}
std::string Keys(const std::vector<std::string>& names) {
  std::string array = absl::StrCat("*", names.size(), "\r\n");
  for (const std::string& name : names) absl::StrAppend(&array, Bulk(name));
  return Message(array);
}
std::string Pong(absl::string_view number) { return absl::StrCat("*2\r\n", Bulk("pong"), Bulk(number)); }
const std::string kSubscribed = absl::StrCat("*3\r\n", Bulk("subscribe"), Bulk(kChannel), ":1\r\n");
const std::string kNil = Message("*-1\r\n");
const std::string kForeign = Message(Bulk("v{ns:c:k}"));

class TrackingCoreTest : public CoreTestBase<TrackingCore>, private TrackingListener {
 protected:
  TrackingCore& core() override { return core_; }

  // Up to its subscription, at now_; asks its question 1.
  void Open() {
    core_.Opened(now_);
    ASSERT_TRUE(Feed("+PONG\r\n:17\r\n").ok());
    ASSERT_TRUE(Feed("+OK\r\n" + kSubscribed).ok());
    Output();
  }
  // A second later: the next question. Gives what it was.
  std::string Ask() {
    now_ += kAskEvery;
    EXPECT_TRUE(Tick().ok());
    return Output();
  }
  std::vector<std::string> Events() { return std::exchange(events_, {}); }
  // As an event; of seconds since the test's beginning.
  std::string Proof(double seconds) const { return absl::StrCat("proven ", seconds); }

 private:
  void Changed(const std::vector<absl::string_view>& names) override { events_.push_back(absl::StrJoin(names, "+")); }
  void Doubt() override { events_.emplace_back("doubt"); }
  void Proven(absl::Time when) override { events_.push_back(Proof(absl::ToDoubleSeconds(when - start_))); }

  const absl::Time start_ = now_;
  std::vector<std::string> events_;

 protected:
  TrackingCore core_{{}, {"v{ns:c:", "l{ns:c:"}, kAskEvery, *this};
};

TEST_F(TrackingCoreTest, RedirectsToItselfAndIsReadyWhenItIsSubscribed) {
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"PING"}).wire() + Command({"CLIENT", "ID"}).wire());
  EXPECT_TRUE(Feed("+PONG\r\n").ok());
  EXPECT_EQ(Output(), "");
  EXPECT_TRUE(Feed(":17\r\n").ok());
  EXPECT_EQ(Output(),
            Command({"CLIENT", "TRACKING", "ON", "REDIRECT", "17", "BCAST", "PREFIX", "v{ns:c:", "PREFIX", "l{ns:c:"})
                    .wire() +
                Command({"SUBSCRIBE", kChannel}).wire());
  EXPECT_TRUE(Feed("+OK\r\n").ok());
  EXPECT_FALSE(core_.ready());
  EXPECT_TRUE(Feed(kSubscribed).ok());
  EXPECT_TRUE(core_.ready());
  EXPECT_EQ(Output(), Command({"PING", "1"}).wire()) << "it is asked at once";
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(TrackingCoreTest, NamesThatChangedAreHeard) {
  Open();
  EXPECT_TRUE(Feed(Keys({"v{ns:c:a}"}) + Keys({"l{ns:c:b}", std::string("v\0{", 3)}) + Keys({})).ok());
  EXPECT_THAT(Events(), ElementsAre("v{ns:c:a}", std::string("l{ns:c:b}+v\0{", 13), ""));
}

TEST_F(TrackingCoreTest, AnAnswerProvesWhatWasBeforeTheQuestionBefore) {
  Open();  // SUBSCRIBE and question 1 at 0 s.
  now_ += 100 * kMs;
  EXPECT_TRUE(Feed(Pong("1")).ok());
  EXPECT_THAT(Events(), ElementsAre(Proof(0)));
  now_ += 900 * kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(Output(), Command({"PING", "2"}).wire());
  EXPECT_THAT(Events(), IsEmpty()) << "a question proves nothing";
  EXPECT_TRUE(Feed(Pong("2")).ok());
  EXPECT_THAT(Events(), ElementsAre(Proof(0)));
  EXPECT_EQ(Ask(), Command({"PING", "3"}).wire());
  EXPECT_TRUE(Feed(Pong("3")).ok());
  EXPECT_THAT(Events(), ElementsAre(Proof(1)));
}

TEST_F(TrackingCoreTest, OneQuestionIsAskedAtATime) {
  Open();
  EXPECT_EQ(Ask(), "");
  EXPECT_TRUE(Feed(Pong("1")).ok());
  EXPECT_EQ(Next(), now_) << "the next one is due";
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(Output(), Command({"PING", "2"}).wire());
}

TEST_F(TrackingCoreTest, WithoutAnAnswerTheConnectionIsGivenUpThoughMessagesCome) {
  Open();
  EXPECT_EQ(Next(), now_ + absl::Seconds(5));
  now_ += absl::Seconds(5) - kMs;
  EXPECT_TRUE(Tick().ok());
  EXPECT_TRUE(Feed(Keys({"k"})).ok());
  now_ += kMs;
  EXPECT_FALSE(Tick().ok());
}

TEST_F(TrackingCoreTest, AfterAnAnswerTheNextQuestionIsDueASecondAfterTheLast) {
  Open();
  now_ += 300 * kMs;
  EXPECT_TRUE(Feed(Pong("1")).ok());
  EXPECT_EQ(Next(), now_ + 700 * kMs);
}

TEST_F(TrackingCoreTest, AnEmptiedRedisIsADoubtAndItGoesOn) {
  Open();
  EXPECT_TRUE(Feed(kNil + Keys({"a"}) + Pong("1")).ok());
  EXPECT_THAT(Events(), ElementsAre("doubt", "a", Proof(0)));
}

TEST_F(TrackingCoreTest, WhatOthersPublishThereIsADoubtAndNamesNothing) {
  Open();
  EXPECT_TRUE(Feed(kForeign + Message(Bulk("")) + Pong("1")).ok());
  EXPECT_THAT(Events(), ElementsAre("doubt", "doubt", Proof(0)));
}

TEST_F(TrackingCoreTest, ALossIsADoubtAndNothingOfItProvesAnythingLater) {
  Open();
  EXPECT_TRUE(Feed(Pong("1")).ok());
  now_ += kAskEvery;
  EXPECT_TRUE(Tick().ok());
  core_.Closed(BackplaneUnavailable("gone"));
  EXPECT_THAT(Events(), ElementsAre(Proof(0), "doubt"));
  EXPECT_FALSE(core_.ready());
  EXPECT_EQ(Output(), "") << "the question was not for the next connection";
  EXPECT_EQ(Next(), absl::InfiniteFuture());
  now_ += absl::Seconds(9);
  Open();
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_TRUE(Feed(Pong("3")).ok());
  EXPECT_THAT(Events(), ElementsAre(Proof(10)));
}

TEST_F(TrackingCoreTest, BytesSplitAtEveryPositionAreTheSame) {
  for (size_t at = 0, size = 1; at <= size; ++at) {
    Open();
    const std::string wire = Keys({"a", "b"}) + Pong(absl::StrCat(at + 1)) + kNil + Keys({"c"});
    size = wire.size();
    EXPECT_TRUE(Feed(wire.substr(0, at)).ok());
    EXPECT_TRUE(Feed(wire.substr(at)).ok());
    EXPECT_THAT(Events(), ElementsAre("a+b", Proof(0), "doubt", "c")) << at;
    core_.Closed(BackplaneUnavailable("next"));
    Events();
  }
}

TEST_F(TrackingCoreTest, WhatItIsNeverToldEndsTheConnection) {
  for (const std::string& wire :
       {std::string("+OK\r\n"), std::string(":1\r\n"), std::string("$-1\r\n"), std::string("*0\r\n"),
        std::string("+PONG\r\n"), std::string("-BUSY a script\r\n"), std::string("garbage\r\n"), kSubscribed,
        Pong("99999"), Pong(""), std::string("*2\r\n$4\r\npong\r\n*0\r\n"), Message("*1\r\n:1\r\n"),
        absl::StrCat("*3\r\n", Bulk("message"), Bulk("other"), "*0\r\n")}) {
    Open();
    const absl::Status status = Feed(wire);
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << wire;
    core_.Closed(status);
    EXPECT_THAT(Events(), ElementsAre("doubt")) << wire;
  }
}

TEST_F(TrackingCoreTest, AnAnswerThatWasNotAskedForEndsTheConnection) {
  Open();
  EXPECT_TRUE(Feed(Pong("1")).ok());
  EXPECT_FALSE(Feed(Pong("1")).ok());
}

TEST_F(TrackingCoreTest, ARedisThatRefusesOrMisunderstandsIsNoUse) {
  for (const std::string wire : {"-LOADING Redis is loading\r\n", "+PONG\r\n-NOPERM no\r\n", "+PONG\r\n+x\r\n",
                                 "+PONG\r\n:17\r\n-ERR unknown subcommand\r\n", "+PONG\r\n:17\r\n+QUEUED\r\n",
                                 "+PONG\r\n:17\r\n+OK\r\n-NOPERM no\r\n", "+PONG\r\n:17\r\n+OK\r\n+OK\r\n"}) {
    core_.Opened(now_);
    const absl::Status status = Feed(wire);
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << wire;
    EXPECT_FALSE(core_.ready());
    core_.Closed(status);
  }
}

}  // namespace
}  // namespace actioncluster::redis
