// A connection against a node that does what the test says: how it stands, comes back, and ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
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
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using Kind = AttachmentEvent::Kind;
using Stream = ConnectionNode::Stream;

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "gone");

std::unique_ptr<Client> ClientOf(const std::vector<const ConnectionNode*>& nodes) {
  ClientOptions options;
  options.addresses.clear();
  for (const ConnectionNode* node : nodes) options.addresses.push_back(node->address());
  return *Client::Create(std::move(options));
}

class ConnectionTest : public testing::Test {
 protected:
  ConnectionOptions Telling(const std::string& id = "me") const {
    ConnectionOptions options;
    options.id = id;
    options.on_message = messages_.Callback();
    options.on_missed = missed_.Callback();
    options.on_left = left_.Callback();
    options.on_event = events_.Callback();
    return options;
  }
  AttachmentEvent Await(Kind kind) const {
    return events_.NextThat([kind](const AttachmentEvent& event) { return event.kind == kind; });
  }
  // The next messages, by their numbers.
  std::vector<int> Hear(int count) const {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(static_cast<int>(messages_.Next().value().number_value()));
    return numbers;
  }
  // Tells the hello, and welcomes it.
  ConnectionNode::Script Welcoming(std::vector<std::string> rooms, bool resumed,
                                   ConnectionNode::Script then = &Linger) const {
    return [=, this](Stream& stream) {
      hellos_.Add(ReadHello(stream));
      stream.Write(WelcomeFrame("me", rooms, resumed));
      return then(stream);
    };
  }

  fakes::Waiter<AttachmentEvent> events_;
  fakes::Waiter<v1::OpenRequest::Hello> hellos_;
  fakes::Waiter<v1::OpenResponse::Message> messages_;
  fakes::Waiter<MissedMessages> missed_;
  fakes::Waiter<v1::OpenResponse::Left> left_;
};

TEST_F(ConnectionTest, SaysWhoItIsAndStandsWithTheWelcome) {
  const ConnectionNode node(Welcoming({}, false));
  const auto client = ClientOf({&node});
  ConnectionOptions options = Telling("");
  options.type = "robot";
  options.fingerprint = "f";
  (*options.claims.mutable_fields())["role"] = ToValue("admin");
  const auto connection = Connection::Connect(*client, std::move(options), kPatience);
  ASSERT_TRUE(connection.ok()) << connection.status();
  const v1::OpenRequest::Hello hello = hellos_.Next();
  EXPECT_EQ(hello.id(), "");
  EXPECT_EQ(hello.type(), "robot");
  EXPECT_EQ(hello.fingerprint(), "f");
  EXPECT_EQ(hello.claims().fields().at("role").string_value(), "admin");
  EXPECT_TRUE(hello.can_chat());
  EXPECT_EQ(hello.resume_token(), "");
  EXPECT_EQ((*connection)->id(), "me");
  EXPECT_EQ(Await(Kind::kAttached).node_id, "fake");
}

TEST_F(ConnectionTest, WhoDoesNotWelcomeIsNotWaitedForWithoutEnd) {
  const ConnectionNode silent(&Linger);
  const auto client = ClientOf({&silent});
  const auto connection = Connection::Connect(*client, Telling(), absl::Milliseconds(50));
  EXPECT_EQ(connection.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ConnectionTest, ComesBackAsTheOneItWasAndHearsEachMessageOnce) {
  const ConnectionNode lost(Welcoming({"hall", "plain"}, false, [](Stream& stream) {
    stream.Write(MessageFrame("hall", 1, 5));
    stream.Write(MessageFrame("plain", 2, 0));
    stream.Write(MessageFrame("hall", 3, 8));
    return kGone;
  }));
  const ConnectionNode next(Welcoming({"hall", "plain"}, true, [](Stream& stream) {
    stream.Write(MessageFrame("hall", 3, 8));
    stream.Write(MessageFrame("hall", 4, 9));
    stream.Write(MessageFrame("plain", 5, 0));
    stream.Write(MessageFrame("plain", 5, 0));
    return Linger(stream);
  }));
  const auto client = ClientOf({&lost, &next});
  Connection connection(*client, Telling());
  EXPECT_THAT(Hear(6), ElementsAre(1, 2, 3, 4, 5, 5));
  EXPECT_EQ(hellos_.Next().resume_size(), 0);
  const v1::OpenRequest::Hello comeback = hellos_.Next();
  EXPECT_EQ(comeback.id(), "me");
  EXPECT_EQ(comeback.resume_token(), "token of me");
  ASSERT_EQ(comeback.resume_size(), 1);
  EXPECT_EQ(comeback.resume(0).room(), "hall");
  EXPECT_EQ(comeback.resume(0).offset(), 8U);
  EXPECT_EQ(Await(Kind::kLost).status.message(), "gone");
  EXPECT_EQ(Await(Kind::kAttached).address, next.address());
  EXPECT_EQ(missed_.size(), 0U);
  EXPECT_EQ(left_.size(), 0U);
}

TEST_F(ConnectionTest, WhatCannotBeHadAfterAComebackIsTold) {
  const ConnectionNode lost(Welcoming({"hall", "plain"}, false, [](Stream&) { return kGone; }));
  const ConnectionNode next([](Stream& stream) {
    ReadHello(stream);
    v1::OpenResponse welcome = WelcomeFrame("me", {"hall", "plain"}, true);
    welcome.mutable_welcome()->add_rooms_with_gaps("plain");
    stream.Write(welcome);
    return Linger(stream);
  });
  const auto client = ClientOf({&lost, &next});
  Connection connection(*client, Telling());
  const MissedMessages missed = missed_.Next();
  EXPECT_EQ(missed.count, 0U);
  EXPECT_THAT(missed.rooms, ElementsAre("plain"));
}

TEST_F(ConnectionTest, AwayForTooLongItIsANewOneAndOutOfItsRooms) {
  const ConnectionNode lost(Welcoming({"hall"}, false, [](Stream& stream) {
    stream.Write(MessageFrame("hall", 1, 5));
    return kGone;
  }));
  std::atomic<int> streams = 0;
  const ConnectionNode next([&](Stream& stream) {
    hellos_.Add(ReadHello(stream));
    stream.Write(WelcomeFrame("me", {}, false));
    return ++streams == 1 ? kGone : Linger(stream);
  });
  const auto client = ClientOf({&lost, &next});
  Connection connection(*client, Telling());
  const v1::OpenResponse::Left left = left_.Next();
  EXPECT_EQ(left.room(), "hall");
  EXPECT_EQ(left.reason(), "lost");
  hellos_.Next();
  EXPECT_EQ(hellos_.Next().resume_size(), 1);
  EXPECT_EQ(hellos_.Next().resume_size(), 0) << "it is not there any more";
}

TEST_F(ConnectionTest, AfterAWelcomeThatWasLostItsOwnIdIsNotSomebodyElses) {
  std::atomic<int> streams = 0;
  const ConnectionNode node([&](Stream& stream) {
    EXPECT_EQ(ReadHello(stream).id(), "me");
    const int stream_number = ++streams;
    if (stream_number == 1) return kGone;
    if (stream_number < 4) return ConnectionExists();
    stream.Write(WelcomeFrame("me"));
    return Linger(stream);
  });
  const auto client = ClientOf({&node});
  const auto connection = Connection::Connect(*client, Telling(), kPatience);
  EXPECT_TRUE(connection.ok()) << connection.status();
}

TEST_F(ConnectionTest, AnIdThatIsSomebodyElsesIsToldAtOnce) {
  const ConnectionNode node([](Stream& stream) {
    ReadHello(stream);
    return ConnectionExists();
  });
  const auto client = ClientOf({&node});
  const auto connection = Connection::Connect(*client, Telling(), kPatience);
  EXPECT_EQ(ReasonOf(connection.status()), v1::ERROR_REASON_CONNECTION_EXISTS);
  EXPECT_EQ(Await(Kind::kEnded).status, connection.status());
}

TEST_F(ConnectionTest, WhoseIdIsTakenWhileItIsAwayEndsForGood) {
  const ConnectionNode lost(Welcoming({}, false, [](Stream&) { return kGone; }));
  const ConnectionNode next([](Stream& stream) {
    ReadHello(stream);
    return ConnectionExists();
  });
  const auto client = ClientOf({&lost, &next});
  Connection connection(*client, Telling());
  EXPECT_EQ(ReasonOf(Await(Kind::kEnded).status), v1::ERROR_REASON_CONNECTION_EXISTS);
  EXPECT_EQ(ReasonOf(connection.Join("hall")), v1::ERROR_REASON_CONNECTION_EXISTS);
  EXPECT_EQ(lost.calls().at("Open"), 1);
}

TEST_F(ConnectionTest, SomeGoodbyesAreForGood) {
  for (const std::string reason : {"taken_over", "destroyed", "quit"}) {
    const ConnectionNode node(Welcoming({}, false, [&](Stream& stream) {
      v1::OpenResponse goodbye = GoodbyeFrame(reason);
      goodbye.mutable_goodbye()->set_message("enough");
      stream.Write(goodbye);
      return Linger(stream);
    }));
    const auto client = ClientOf({&node});
    Connection connection(*client, Telling());
    const absl::Status end = Await(Kind::kEnded).status;
    EXPECT_EQ(end.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(MetadataOf(end), ElementsAre(Pair("goodbye", reason)));
    EXPECT_THAT(std::string(end.message()), HasSubstr(reason + ": enough"));
    EXPECT_EQ(connection.AwaitAttached(kPatience), end);
    EXPECT_EQ(connection.Join("hall"), end);
    EXPECT_EQ(node.calls().at("Open"), 1);
  }
}

TEST_F(ConnectionTest, FromADrainingNodeItGoesWhereThatOneSays) {
  const ConnectionNode named(Welcoming({"hall"}, true));
  const ConnectionNode draining(Welcoming({"hall"}, false, [&](Stream& stream) {
    stream.Write(MessageFrame("hall", 1, 5));
    stream.Write(GoodbyeFrame("draining", {"nonsense", named.address()}));
    return Linger(stream);
  }));
  const auto client = ClientOf({&draining});
  Connection connection(*client, Telling());
  EXPECT_EQ(Await(Kind::kAttached).address, draining.address());
  EXPECT_EQ(Await(Kind::kAttached).address, named.address());
  hellos_.Next();
  EXPECT_EQ(hellos_.Next().resume(0).offset(), 5U);
  EXPECT_EQ(draining.calls().at("Open"), 1);
}

TEST_F(ConnectionTest, AfterAGapItAsksAnewForWhatRoomsHaveKept) {
  std::atomic<int> streams = 0;
  const ConnectionNode node([&](Stream& stream) {
    hellos_.Add(ReadHello(stream));
    const bool again = ++streams > 1;
    stream.Write(WelcomeFrame("me", {"hall", "plain"}, again));
    if (again) {
      stream.Write(MessageFrame("hall", 2, 6));
      stream.Write(MessageFrame("hall", 3, 7));
      return Linger(stream);
    }
    stream.Write(MessageFrame("hall", 1, 5));
    v1::OpenResponse missed;
    missed.mutable_missed()->set_gap(true);
    missed.mutable_missed()->set_count(4);
    stream.Write(missed);
    stream.Write(MessageFrame("hall", 3, 7));
    return Linger(stream);
  });
  const auto client = ClientOf({&node});
  Connection connection(*client, Telling());
  EXPECT_THAT(Hear(3), ElementsAre(1, 2, 3));
  const MissedMessages missed = missed_.Next();
  EXPECT_EQ(missed.count, 4U);
  EXPECT_THAT(missed.rooms, ElementsAre("plain"));
}

TEST_F(ConnectionTest, OutOfARoomItForgetsWhereItWasThere) {
  const ConnectionNode lost(Welcoming({"hall", "attic", "cellar"}, false, [](Stream& stream) {
    for (const char* room : {"hall", "attic", "cellar"}) stream.Write(MessageFrame(room, 1, 5));
    v1::OpenResponse left;
    left.mutable_left()->set_room("attic");
    left.mutable_left()->set_reason("removed");
    stream.Write(left);
    v1::OpenRequest frame;
    EXPECT_TRUE(stream.Read(&frame));
    stream.Write(ReplyFrame(frame.verb()));
    stream.Read(&frame);
    return kGone;
  }));
  const ConnectionNode next(Welcoming({"hall"}, true));
  const auto client = ClientOf({&lost, &next});
  Connection connection(*client, Telling());
  EXPECT_EQ(left_.Next().reason(), "removed");
  EXPECT_TRUE(connection.Leave("cellar").ok());
  EXPECT_EQ(connection.Say("hall", ToValue(1)).code(), absl::StatusCode::kUnavailable);
  hellos_.Next();
  const v1::OpenRequest::Hello comeback = hellos_.Next();
  ASSERT_EQ(comeback.resume_size(), 1);
  EXPECT_EQ(comeback.resume(0).room(), "hall");
}

}  // namespace
}  // namespace actioncluster::client
