// What a connection asks and is asked, and how it is closed, against a node that does what the test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "actioncluster/client.h"
#include "actioncluster/connection.h"
#include "actioncluster/json.h"
#include "actioncluster/rooms.h"
#include "actioncluster/status.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/connection_node.h"

namespace actioncluster::client {
namespace {

using fakes::kPatience;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = AttachmentEvent::Kind;
using Stream = ConnectionNode::Stream;

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "gone");

std::unique_ptr<Client> ClientOf(const std::vector<const ConnectionNode*>& nodes) {
  ClientOptions options;
  options.addresses.clear();
  for (const ConnectionNode* node : nodes) options.addresses.push_back(node->address());
  return *Client::Create(std::move(options));
}

class ConnectionVerbsTest : public testing::Test {
 protected:
  // Welcomes, and tells the frames that it reads; answers verbs if it is to.
  ConnectionNode::Script Answering(bool answer = true) const {
    return [=, this](Stream& stream) {
      ReadHello(stream);
      stream.Write(WelcomeFrame("me"));
      for (v1::OpenRequest frame; stream.Read(&frame);) {
        if (frame.has_verb() && answer) stream.Write(ReplyFrame(frame.verb()));
        frames_.Add(std::move(frame));
      }
      ended_half_.Add(true);
      return grpc::Status::OK;
    };
  }
  static v1::OpenRequest::Verb VerbOf(const std::string& name) {
    v1::OpenRequest::Verb verb;
    verb.set_verb(name);
    return verb;
  }

  fakes::Waiter<v1::OpenRequest> frames_;
  fakes::Waiter<bool> ended_half_;
};

TEST_F(ConnectionVerbsTest, VerbsAreSentInTheirOrderAndAnsweredByTheirIds) {
  const ConnectionNode node([&](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    std::vector<v1::OpenRequest::Verb> verbs;
    for (v1::OpenRequest frame; verbs.size() < 3 && stream.Read(&frame);) verbs.push_back(frame.verb());
    EXPECT_EQ(verbs[0].args().values(0).string_value(), "hall");
    EXPECT_EQ(verbs[0].args().values(1).number_value(), 1);
    EXPECT_EQ(verbs[1].data(), "bytes");
    v1::OpenResponse failed;
    failed.mutable_reply()->set_message_id(verbs[1].message_id());
    failed.mutable_reply()->mutable_error()->set_code(9);
    failed.mutable_reply()->mutable_error()->set_reason("NOT_MEMBER");
    stream.Write(ReplyFrame(verbs[2]));
    stream.Write(failed);
    stream.Write(failed);
    stream.Write(ReplyFrame(verbs[0]));
    return Linger(stream);
  });
  const auto client = ClientOf({&node});
  Connection connection(*client, {});
  fakes::Waiter<absl::Status> said;
  connection.Say("hall", ToValue(1), said.Callback());
  fakes::Waiter<absl::Status> refused;
  connection.SayBytes("hall", "bytes", refused.Callback());
  const auto reply = connection.Verb("paramsView");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->result().bool_value());
  EXPECT_EQ(ReasonOf(refused.Next()), v1::ERROR_REASON_NOT_MEMBER);
  EXPECT_TRUE(said.Next().ok());
}

TEST_F(ConnectionVerbsTest, AReplyThatNeverComesIsNotWaitedForWithoutEnd) {
  const ConnectionNode node(Answering(false));
  const auto client = ClientOf({&node});
  Connection connection(*client, {});
  fakes::Waiter<absl::Status> result;
  ASSERT_TRUE(connection.AwaitAttached(kPatience).ok());
  connection.Verb(VerbOf("b"), absl::Milliseconds(600),
                  [&](absl::StatusOr<Connection::Reply> reply) { result.Add(reply.status()); });
  connection.Verb(VerbOf("a"), absl::Milliseconds(300),
                  [&](absl::StatusOr<Connection::Reply> reply) { result.Add(reply.status()); });
  const absl::Status overdue = absl::DeadlineExceededError("no reply in time; it may have been done");
  EXPECT_EQ(result.Next(), overdue);
  EXPECT_EQ(result.Next(), overdue);
  EXPECT_EQ(connection.Verb(VerbOf("c"), absl::Milliseconds(300)).status(), overdue);
}

TEST_F(ConnectionVerbsTest, AReplyThatComesTooLateIsDropped) {
  absl::Notification overdue;
  const ConnectionNode node([&](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    v1::OpenRequest first;
    stream.Read(&first);
    overdue.WaitForNotificationWithTimeout(kPatience);
    v1::OpenRequest second;
    stream.Read(&second);
    stream.Write(ReplyFrame(first.verb()));
    v1::OpenResponse reply = ReplyFrame(second.verb());
    reply.mutable_reply()->mutable_result()->set_string_value("second");
    stream.Write(reply);
    return Linger(stream);
  });
  const auto client = ClientOf({&node});
  Connection connection(*client, {});
  ASSERT_TRUE(connection.AwaitAttached(kPatience).ok());
  EXPECT_EQ(connection.Verb(VerbOf("first"), absl::Milliseconds(300)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  overdue.Notify();
  const auto reply = connection.Verb(VerbOf("second"), kPatience);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->result().string_value(), "second");
}

TEST_F(ConnectionVerbsTest, WhatWasUnderWayWhenTheStreamBrokeMayHaveBeenDone) {
  const ConnectionNode lost([&](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    v1::OpenRequest frame;
    stream.Read(&frame);
    return kGone;
  });
  const ConnectionNode next(Answering());
  const auto client = ClientOf({&lost, &next});
  Connection connection(*client, {});
  EXPECT_EQ(connection.Join("hall"),
            absl::UnavailableError("the stream was lost before the reply; it may have been done"));
  EXPECT_TRUE(connection.Join("attic").ok()) << "by the next stream";
  EXPECT_EQ(frames_.Next().verb().args().values(0).string_value(), "attic");
}

TEST_F(ConnectionVerbsTest, WhatNoNodeWasThereForWasNotSent) {
  const auto client = *Client::Create({.addresses = {"127.0.0.1:1"}});
  Connection connection(*client, {});
  EXPECT_EQ(connection.Verb(VerbOf("a"), absl::Milliseconds(50)).status(),
            absl::UnavailableError("no node was reached in time; it was not sent"));
}

TEST_F(ConnectionVerbsTest, WhatNoNodeCouldReadIsNotSent) {
  const ConnectionNode node(Answering());
  const auto client = ClientOf({&node});
  Connection connection(*client, {});
  EXPECT_EQ(connection.Say("hall", ToValue("\xff")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(connection.Say("hall", google::protobuf::Value()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(connection.SayBytes("hall", std::string(5 << 20, 'x')).code(), absl::StatusCode::kResourceExhausted);
  ConnectionOptions nonsense;
  nonsense.id = "\xff";
  EXPECT_EQ(Connection::Connect(*client, std::move(nonsense), kPatience).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(connection.Join("hall").ok());
  EXPECT_EQ(node.calls().at("Open"), 1);
}

TEST_F(ConnectionVerbsTest, DetailsAreWhatTheNodeSays) {
  const ConnectionNode node([](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    v1::OpenRequest frame;
    stream.Read(&frame);
    EXPECT_EQ(frame.verb().verb(), "detailsView");
    v1::OpenResponse reply = ReplyFrame(frame.verb());
    *reply.mutable_reply()->mutable_result() = *ParseJson(
        R"({"id": "me", "rooms": ["hall"], "messages_sent": "7", "connected_at": "2026-01-01T00:00:00Z", "new": 1})");
    stream.Write(reply);
    return Linger(stream);
  });
  const auto client = ClientOf({&node});
  Connection connection(*client, {});
  const auto details = connection.Details();
  ASSERT_TRUE(details.ok()) << details.status();
  EXPECT_EQ(details->id(), "me");
  EXPECT_EQ(details->rooms(0), "hall");
  EXPECT_EQ(details->messages_sent(), 7U);
}

TEST_F(ConnectionVerbsTest, InASlowHandlerNothingElseIsToldAndNoVerbIsWaitedFor) {
  const ConnectionNode node([](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me", {"hall"}));
    stream.Write(MessageFrame("hall", 1, 0));
    stream.Write(MessageFrame("hall", 2, 0));
    v1::OpenRequest frame;
    stream.Read(&frame);
    stream.Write(ReplyFrame(frame.verb()));
    return Linger(stream);
  });
  const auto client = ClientOf({&node});
  absl::Notification leave;
  fakes::Waiter<std::string> order;
  std::unique_ptr<Connection> connection;
  absl::Notification made;
  ConnectionOptions options;
  options.on_message = [&](const v1::OpenResponse::Message& message) {
    made.WaitForNotification();
    order.Add("begin " + ToJson(message.value()));
    if (message.value().number_value() == 1) {
      EXPECT_EQ(connection->Say("hall", ToValue(3)).code(), absl::StatusCode::kFailedPrecondition);
      connection->Say("hall", ToValue(3), [&](const absl::Status& status) { order.Add("said " + status.ToString()); });
      leave.WaitForNotificationWithTimeout(kPatience);
    }
    order.Add("end " + ToJson(message.value()));
  };
  connection = std::make_unique<Connection>(*client, std::move(options));
  made.Notify();
  EXPECT_EQ(order.Next(), "begin 1");
  leave.Notify();
  for (const char* expected : {"end 1", "begin 2", "end 2", "said OK"}) EXPECT_EQ(order.Next(), expected);
}

TEST_F(ConnectionVerbsTest, QuestionsAreAnsweredByTheirHandlers) {
  const ConnectionNode node([&](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    stream.Write(InvokeFrame("1", "now"));
    stream.Write(InvokeFrame("2", "later"));
    stream.Write(InvokeFrame("3", "fail"));
    stream.Write(InvokeFrame("4", "nothing"));
    for (v1::OpenRequest frame; stream.Read(&frame);) frames_.Add(std::move(frame));
    return grpc::Status::OK;
  });
  const auto client = ClientOf({&node});
  fakes::Waiter<std::shared_ptr<Invocation>> deferred;
  ConnectionOptions options;
  options.threads = 1;
  options.methods = {
      {"now", Returning([](const v1::ServeResponse::Call& call) {
         EXPECT_EQ(call.connection_id(), "me");
         return call.args().values(0);
       })},
      {"later", [&](Invocation call) { deferred.Add(std::make_shared<Invocation>(std::move(call))); }},
      {"fail", [](Invocation call) { std::move(call).Fail(absl::NotFoundError("no such thing")); }},
  };
  Connection connection(*client, std::move(options));
  std::map<std::string, v1::OpenRequest::Answer> answers;
  for (int i = 0; i < 3; ++i) {
    const v1::OpenRequest::Answer answer = frames_.Next().answer();
    answers[answer.call_id()] = answer;
  }
  EXPECT_EQ(answers["1"].result().number_value(), 7);
  EXPECT_EQ(answers["3"].error().code(), 5);
  EXPECT_EQ(answers["3"].error().message(), "no such thing");
  EXPECT_EQ(answers["4"].error().code(), 12);
  std::move(*deferred.Next()).ReturnBytes("bytes");
  const v1::OpenRequest::Answer last = frames_.Next().answer();
  EXPECT_EQ(last.call_id(), "2");
  EXPECT_EQ(last.data(), "bytes");
}

TEST_F(ConnectionVerbsTest, WithTheStreamItsQuestionsAreNobodysAnyMore) {
  absl::Notification running;
  const ConnectionNode lost([&](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    stream.Write(InvokeFrame("1", "hang"));
    running.WaitForNotificationWithTimeout(kPatience);
    return kGone;
  });
  const ConnectionNode next(Answering());
  const auto client = ClientOf({&lost, &next});
  fakes::Waiter<bool> cancelled;
  ConnectionOptions options;
  options.methods = {{"hang", [&](Invocation call) {
                        const auto gone = std::make_shared<absl::Notification>();
                        call.OnCancel([gone] { gone->Notify(); });
                        running.Notify();
                        cancelled.Add(gone->WaitForNotificationWithTimeout(kPatience));
                        std::move(call).ReturnNothing();
                      }}};
  Connection connection(*client, std::move(options));
  EXPECT_TRUE(cancelled.Next());
  EXPECT_TRUE(connection.Join("hall").ok());
  EXPECT_TRUE(frames_.Next().has_verb()) << "the answer is not sent to another node";
}

TEST_F(ConnectionVerbsTest, ClosedItTellsTheNodeOnceWhatIsOpenHasEnded) {
  absl::Notification asked;
  const ConnectionNode node([&](Stream& stream) {
    ReadHello(stream);
    stream.Write(WelcomeFrame("me"));
    v1::OpenRequest frame;
    stream.Read(&frame);
    asked.Notify();
    frames_.Next();  // The test is about to close it.
    stream.Write(ReplyFrame(frame.verb()));
    ended_half_.Add(!stream.Read(&frame));
    return grpc::Status::OK;
  });
  const auto client = ClientOf({&node});
  fakes::Waiter<AttachmentEvent> events;
  ConnectionOptions options;
  options.on_event = events.Callback();
  Connection connection(*client, std::move(options));
  fakes::Waiter<absl::Status> said;
  connection.Say("hall", ToValue(1), said.Callback());
  asked.WaitForNotificationWithTimeout(kPatience);
  frames_.Add({});
  connection.Close(kPatience);
  EXPECT_TRUE(said.Next().ok());
  EXPECT_TRUE(ended_half_.Next());
  EXPECT_TRUE(events.NextThat([](const auto& event) { return event.kind == Kind::kEnded; }).status.ok());
  EXPECT_EQ(connection.Say("hall", ToValue(2)).code(), absl::StatusCode::kCancelled);
  connection.Close();
}

TEST_F(ConnectionVerbsTest, ClosedWithoutGraceItLeavesOpenWhatIs) {
  const ConnectionNode node(Answering(false));
  const auto client = ClientOf({&node});
  Connection connection(*client, {});
  fakes::Waiter<absl::Status> said;
  connection.Say("hall", ToValue(1), said.Callback());
  frames_.Next();
  connection.Close(absl::ZeroDuration());
  EXPECT_EQ(said.Next().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ConnectionVerbsTest, OfRoomsAndConnectionsWhatOnlyReadsIsTriedFiveTimesAndAllElseOnce) {
  const ConnectionNode node;
  const auto client = ClientOf({&node});
  Connections connections(*client);
  Rooms rooms(*client);
  const absl::Status expected(absl::StatusCode::kUnavailable, "not now");
  for (const absl::Status& status :
       {connections.Apply({}).status(), connections.Invoke({}).status(), connections.Get({}).status(),
        connections.List().status(), rooms.Create({}).status(), rooms.Destroy({}).status(), rooms.Exists({}).status(),
        rooms.List().status(), rooms.Status({}).status(), rooms.AddMember({}).status(), rooms.RemoveMember({}).status(),
        rooms.Broadcast({}).status(), rooms.Watch({}, [](const v1::WatchRoomResponse&) { return true; })}) {
    EXPECT_EQ(status, expected);
  }
  std::map<std::string, int> wanted;
  for (const char* rpc : {"Get", "List", "room Exists", "room List", "room Status", "room WatchRoom"}) wanted[rpc] = 5;
  for (const char* rpc :
       {"Apply", "Invoke", "room Create", "room Destroy", "room AddMember", "room RemoveMember", "room Broadcast"}) {
    wanted[rpc] = 1;
  }
  EXPECT_EQ(node.calls(), wanted);
}

}  // namespace
}  // namespace actioncluster::client
