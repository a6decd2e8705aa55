#include "client/connection_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "actioncluster/json.h"
#include "actioncluster/status.h"

namespace actioncluster::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const absl::Time kStart = absl::FromUnixSeconds(1'000);

v1::OpenResponse::Welcome WelcomeOf(const std::vector<std::string>& rooms, bool resumed) {
  v1::OpenResponse::Welcome welcome;
  welcome.mutable_connection()->set_id("me");
  welcome.mutable_connection()->mutable_rooms()->Assign(rooms.begin(), rooms.end());
  welcome.set_resume_token("secret");
  welcome.set_resumed(resumed);
  return welcome;
}

v1::OpenResponse::Message Said(const std::string& room, uint64_t offset) {
  v1::OpenResponse::Message message;
  message.set_room(room);
  message.set_offset(offset);
  return message;
}

class ConnectionCoreTest : public testing::Test {
 protected:
  // Adds a verb, and gives its number.
  uint64_t Add(const std::string& verb, absl::Time deadline = absl::InfiniteFuture(), const std::string& room = "") {
    v1::OpenRequest::Verb request;
    request.set_verb(verb);
    if (!room.empty()) *request.mutable_args() = Args(room);
    ConnectionCore::OnReply on_reply = [](absl::StatusOr<ConnectionCore::Reply>) {};
    return *core_.Add(std::move(request), deadline, on_reply);
  }
  // The verb that is sent next; empty: none.
  std::string Send() {
    v1::OpenRequest frame;
    return core_.Fill(&frame) ? frame.verb().verb() : "";
  }
  static ConnectionCore::Reply ReplyTo(uint64_t id) {
    ConnectionCore::Reply reply;
    reply.set_message_id(std::to_string(id));
    reply.mutable_result()->set_bool_value(true);
    return reply;
  }
  static std::vector<absl::StatusCode> Codes(const std::vector<ConnectionCore::Over>& over) {
    std::vector<absl::StatusCode> codes;
    for (const ConnectionCore::Over& each : over) codes.push_back(each.reply.status().code());
    return codes;
  }

  ConnectionCore core_{v1::OpenRequest::Hello()};
};

TEST_F(ConnectionCoreTest, AMessageIsHeardOnceByItsOffset) {
  EXPECT_TRUE(core_.Hear(Said("a", 5)));
  EXPECT_FALSE(core_.Hear(Said("a", 5)));
  EXPECT_FALSE(core_.Hear(Said("a", 4)));
  EXPECT_TRUE(core_.Hear(Said("b", 4)));
  EXPECT_TRUE(core_.Hear(Said("a", 9)));
  EXPECT_TRUE(core_.Hear(Said("plain", 0)));
  EXPECT_TRUE(core_.Hear(Said("plain", 0)));
}

TEST_F(ConnectionCoreTest, WithoutATokenNothingIsResumed) {
  core_.Hear(Said("a", 5));
  EXPECT_THAT(core_.Hello().resume(), IsEmpty());
  core_.Welcome(WelcomeOf({"a"}, true));
  EXPECT_EQ(core_.Hello().resume_size(), 1);
  EXPECT_EQ(core_.Hello().resume_token(), "secret");
}

TEST_F(ConnectionCoreTest, ResumesOnlyRoomsThatItIsIn) {
  core_.Welcome(WelcomeOf({"a", "b", "c"}, false));
  for (const char* room : {"a", "b", "c"}) core_.Hear(Said(room, 5));
  core_.Left("a");
  core_.Welcome(WelcomeOf({"c"}, true));
  ASSERT_EQ(core_.Hello().resume_size(), 1);
  EXPECT_EQ(core_.Hello().resume(0).room(), "c");
}

TEST_F(ConnectionCoreTest, ANewConnectionIsInNoneOfItsFormerRooms) {
  core_.Welcome(WelcomeOf({"a"}, false));
  const uint64_t joined = Add("roomAdd", absl::InfiniteFuture(), "b");
  Send();
  core_.Accept(ReplyTo(joined));
  core_.Hear(Said("c", 7));
  EXPECT_THAT(core_.Welcome(WelcomeOf({}, false)).lost_rooms, ElementsAre("a", "b", "c"));
  EXPECT_TRUE(core_.Hear(Said("c", 3))) << "what it heard as another means nothing";
}

TEST_F(ConnectionCoreTest, KnowsWhichRoomsHaveNoHistory) {
  core_.Welcome(WelcomeOf({"a", "b"}, false));
  core_.Hear(Said("a", 5));
  core_.Hear(Said("c", 0));
  EXPECT_THAT(core_.RoomsWithoutHistory(), ElementsAre("b", "c"));
  EXPECT_TRUE(core_.CanResume());
  core_.Left("a");
  EXPECT_FALSE(core_.CanResume());
}

TEST_F(ConnectionCoreTest, WhatWasNotSentWaitsForTheNextStream) {
  Add("first");
  Add("second");
  EXPECT_EQ(Send(), "first");
  EXPECT_THAT(Codes(core_.StreamLost()), ElementsAre(absl::StatusCode::kUnavailable));
  Add("third");
  EXPECT_EQ(Send(), "second");
  EXPECT_EQ(Send(), "third");
  EXPECT_EQ(Send(), "");
  EXPECT_FALSE(core_.idle());
  EXPECT_EQ(core_.StreamLost().size(), 2U);
  EXPECT_TRUE(core_.idle());
}

TEST_F(ConnectionCoreTest, EachVerbIsOverOnce) {
  const uint64_t id = Add("a", kStart);
  EXPECT_FALSE(core_.Accept(ReplyTo(id)).has_value()) << "nobody can answer what was not sent";
  Send();
  EXPECT_TRUE(core_.Accept(ReplyTo(id)).has_value());
  EXPECT_FALSE(core_.Accept(ReplyTo(id)).has_value());
  EXPECT_FALSE(core_.Drop(id).has_value());
  EXPECT_THAT(core_.Expire(kStart), IsEmpty());
  EXPECT_THAT(core_.StreamLost(), IsEmpty());
  ConnectionCore::Reply nonsense;
  nonsense.set_message_id("x");
  EXPECT_FALSE(core_.Accept(nonsense).has_value());
}

TEST_F(ConnectionCoreTest, WhatIsOverdueSaysWhetherItMayHaveBeenDone) {
  Add("sent", kStart);
  Send();
  Add("unsent", kStart + absl::Seconds(1));
  Add("later", kStart + absl::Seconds(3));
  EXPECT_EQ(core_.next_deadline(), kStart);
  EXPECT_THAT(core_.Expire(kStart - absl::Seconds(1)), IsEmpty());
  EXPECT_THAT(Codes(core_.Expire(kStart + absl::Seconds(2))),
              ElementsAre(absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kUnavailable));
  EXPECT_EQ(core_.next_deadline(), kStart + absl::Seconds(3));
  EXPECT_EQ(Send(), "later");
}

TEST_F(ConnectionCoreTest, NoMoreAreOpenThanMay) {
  for (size_t i = 0; i < ConnectionCore::kMaxOpen; ++i) Add("a");
  bool called = false;
  ConnectionCore::OnReply on_reply = [&](absl::StatusOr<ConnectionCore::Reply>) { called = true; };
  EXPECT_EQ(core_.Add({}, absl::InfiniteFuture(), on_reply).status().code(), absl::StatusCode::kResourceExhausted);
  std::move(on_reply)(ConnectionCore::Reply());
  EXPECT_TRUE(called) << "it stayed the caller's";
}

TEST_F(ConnectionCoreTest, ShutItStillSaysWhatWasThereAndEndedNothing) {
  Add("first");
  core_.Shut(absl::CancelledError("closed"));
  ConnectionCore::OnReply on_reply = [](absl::StatusOr<ConnectionCore::Reply>) {};
  EXPECT_EQ(core_.Add({}, absl::InfiniteFuture(), on_reply).status(), absl::CancelledError("closed"));
  EXPECT_EQ(Send(), "first");
  EXPECT_THAT(Codes(core_.End(absl::AbortedError("taken"))), ElementsAre(absl::StatusCode::kUnavailable));
}

TEST_F(ConnectionCoreTest, AtTheEndWhatWasNotSentEndsAsItDoes) {
  Add("sent");
  Send();
  Add("unsent");
  EXPECT_THAT(Codes(core_.End(absl::AbortedError("taken"))),
              ElementsAre(absl::StatusCode::kUnavailable, absl::StatusCode::kAborted));
  EXPECT_TRUE(core_.idle());
}

TEST_F(ConnectionCoreTest, ATakenIdIsFinalUnlessAHelloOfOursMayHaveTakenIt) {
  v1::Error error;
  error.set_code(6);
  error.set_reason("CONNECTION_EXISTS");
  const absl::Status exists = FromProto(error);
  EXPECT_TRUE(core_.IsFinal(exists));
  EXPECT_FALSE(core_.IsFinal(absl::AlreadyExistsError("of another kind")));
  core_.HelloLost();
  EXPECT_FALSE(core_.IsFinal(exists));
  core_.Welcome(WelcomeOf({}, false));
  core_.HelloLost();
  EXPECT_TRUE(core_.IsFinal(exists)) << "it has a token now, and showed it";
}

}  // namespace
}  // namespace actioncluster::client
