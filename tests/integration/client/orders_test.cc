// The client library against a node that does what the test says: how often calls are sent, and orders of events on streams.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "actioncluster/client.h"
#include "actioncluster/json.h"
#include "actioncluster/method_host.h"
#include "actioncluster/subscriber.h"
#include "actioncluster/tasks.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/fake_node.h"

namespace actioncluster::client {
namespace {

using fakes::kPatience;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;
using Kind = AttachmentEvent::Kind;

std::unique_ptr<Client> ClientOf(const std::vector<const FakeNode*>& nodes) {
  ClientOptions options;
  options.addresses.clear();
  for (const FakeNode* node : nodes) options.addresses.push_back(node->address());
  return *Client::Create(std::move(options));
}

class ClientOrdersTest : public testing::Test {
 protected:
  MethodHostOptions Telling() const {
    MethodHostOptions options;
    options.on_event = events_.Callback();
    return options;
  }
  AttachmentEvent Await(Kind kind) const {
    return events_.NextThat([kind](const AttachmentEvent& event) { return event.kind == kind; });
  }

  const std::map<std::string, Handler> work_ = {{"work", Returning([](const auto&) { return ToValue(1); })}};
  fakes::Waiter<AttachmentEvent> events_;
};

TEST_F(ClientOrdersTest, CallsThatMayBeRepeatedAreTriedFiveTimesAndAllOthersOnce) {
  const FakeNode node;
  const auto client = ClientOf({&node});
  const absl::Status expected(absl::StatusCode::kUnavailable, "not now");
  EXPECT_EQ(client->ListNodes().status(), expected);
  EXPECT_EQ(client->GetNode().status(), expected);
  EXPECT_EQ(client->ListMethods().status(), expected);
  EXPECT_EQ(client->Call({}).status(), expected);
  EXPECT_EQ(client->CallAll({}, [](const v1::CallAllResponse&) {}), expected);
  EXPECT_EQ(client->Notify({}).status(), expected);
  EXPECT_EQ(client->Drain().status(), expected);
  EXPECT_EQ(client->Publish({}).status(), expected);
  EXPECT_EQ(client->WatchNodes([](const v1::WatchNodesResponse&) { return true; }), expected);
  EXPECT_THAT(node.calls(), UnorderedElementsAre(Pair("ListNodes", 5), Pair("GetNode", 5), Pair("ListMethods", 5),
                                                 Pair("Call", 1), Pair("CallAll", 1), Pair("Notify", 1),
                                                 Pair("Drain", 1), Pair("Publish", 1), Pair("WatchNodes", 5)));
}

TEST_F(ClientOrdersTest, OfTasksWhatMayBeRepeatedIsTriedFiveTimesAndAllElseOnce) {
  const FakeNode node;
  const auto client = ClientOf({&node});
  Tasks tasks(*client);
  const absl::Status expected(absl::StatusCode::kUnavailable, "not now");
  EXPECT_EQ(tasks.Await({}, kPatience).status(), expected);
  EXPECT_EQ(tasks.Watch({}, [](const v1::Task&) { return true; }), expected);
  for (const absl::Status& status : {tasks.Get({}).status(),           tasks.List({}).status(),
                                     tasks.Count({}).status(),         tasks.ListRecurring().status(),
                                     tasks.ListFailed().status(),      tasks.ListQueues().status(),
                                     tasks.ListWorkers().status(),     tasks.Stats().status(),
                                     tasks.Enqueue({}).status(),       tasks.EnqueueMany({}).status(),
                                     tasks.Delete({}).status(),        tasks.DeleteMany({}).status(),
                                     tasks.Cancel({}).status(),        tasks.ScheduleRecurring({}).status(),
                                     tasks.StopRecurring({}).status(), tasks.RetryFailed({}).status(),
                                     tasks.RemoveFailed({}).status(),  tasks.PauseQueue({}).status(),
                                     tasks.ResumeQueue({}).status(),   tasks.DeleteQueue({}).status(),
                                     tasks.SetQueueLimits({}).status()}) {
    EXPECT_EQ(status, expected);
  }
  std::map<std::string, int> wanted;
  for (const char* rpc : {"Await", "WatchTask", "Get", "List", "Count", "ListRecurring", "ListFailed", "ListQueues",
                          "ListWorkers", "Stats", "PauseQueue", "ResumeQueue", "SetQueueLimits"}) {
    wanted[rpc] = 5;
  }
  for (const char* rpc : {"Enqueue", "EnqueueMany", "Delete", "DeleteMany", "Cancel", "ScheduleRecurring",
                          "StopRecurring", "RetryFailed", "RemoveFailed", "DeleteQueue"}) {
    wanted[rpc] = 1;
  }
  EXPECT_EQ(node.calls(), wanted);
}

TEST_F(ClientOrdersTest, ANodeThatTakesTheStreamAndDoesNotConfirmIsNotWaitedFor) {
  const FakeNode silent({.serve = [](FakeNode::ServeStream& stream) {
    for (v1::ServeRequest frame; stream.Read(&frame);) continue;
    return grpc::Status::OK;
  }});
  const FakeNode good({.serve = ConfirmAll});
  const auto client = ClientOf({&silent, &good});
  MethodHost host(*client, work_, Telling());
  EXPECT_EQ(Await(Kind::kLost).address, silent.address());
  EXPECT_EQ(Await(Kind::kAttached).address, good.address());
}

TEST_F(ClientOrdersTest, ACallThatCrossesTheWithdrawalIsStillAnswered) {
  fakes::Waiter<v1::ServeRequest> heard;
  absl::Notification ended_half;
  const FakeNode node({.serve = [&](FakeNode::ServeStream& stream) {
    v1::ServeRequest frame;
    stream.Read(&frame);
    stream.Write(Registered());
    while (stream.Read(&frame)) {
      heard.Add(frame);
      // The methods are withdrawn, and another node does not know yet.
      if (frame.has_register_()) stream.Write(CallFrame("7", "work"));
      if (frame.has_reply()) stream.Write(Registered());
    }
    ended_half.Notify();
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  MethodHost host(*client, work_, Telling());
  ASSERT_TRUE(host.AwaitAttached(kPatience).ok());
  host.Stop(kPatience);
  EXPECT_EQ(heard.Next().register_().methods_size(), 0);
  const v1::ServeRequest reply = heard.Next();
  EXPECT_EQ(reply.reply().call_id(), "7");
  EXPECT_EQ(reply.reply().result().number_value(), 1);
  EXPECT_TRUE(ended_half.HasBeenNotified());
  EXPECT_TRUE(Await(Kind::kEnded).status.ok());
}

TEST_F(ClientOrdersTest, WhatIsOfferedForConnectionsIsRunByItsScopeAndWithdrawnWithTheMethods) {
  fakes::Waiter<v1::ServeRequest> heard;
  const FakeNode node({.serve = [&](FakeNode::ServeStream& stream) {
    v1::ServeRequest frame;
    while (stream.Read(&frame)) {
      if (frame.has_register_()) stream.Write(Registered());
      if (frame.register_().methods_size() == 1) {
        v1::ServeResponse call = CallFrame("method", "join");
        stream.Write(call);
        call.mutable_call()->set_call_id("connection");
        call.mutable_call()->set_scope(v1::ServeResponse::SCOPE_CONNECTION);
        call.mutable_call()->mutable_connection()->set_type("browser");
        stream.Write(call);
        call.mutable_call()->set_call_id("hook");
        call.mutable_call()->set_scope(v1::ServeResponse::SCOPE_HOOK);
        call.mutable_call()->set_room("lobby");
        stream.Write(call);
      }
      heard.Add(frame);
    }
    return grpc::Status::OK;
  }});
  MethodHostOptions options = Telling();
  options.connection_methods["join"] =
      Returning([](const v1::ServeResponse::Call& call) { return ToValue(call.connection().type()); });
  options.hooks["join"] = [](Invocation call) {
    std::move(call).Fail(absl::PermissionDeniedError(call.call().room()));
  };
  const auto client = ClientOf({&node});
  MethodHost host(*client, {{"join", Returning([](const auto&) { return ToValue(1); })}}, options);
  const v1::ServeRequest::Register offered = heard.Next().register_();
  EXPECT_THAT(offered.methods(), ElementsAre("join"));
  EXPECT_THAT(offered.connection_methods(), ElementsAre("join"));
  EXPECT_THAT(offered.hooks(), ElementsAre("join"));
  std::map<std::string, v1::ServeRequest::Reply> replies;
  while (replies.size() < 3) {
    const v1::ServeRequest frame = heard.Next();
    ASSERT_TRUE(frame.has_reply()) << frame.ShortDebugString();
    replies[frame.reply().call_id()] = frame.reply();
  }
  EXPECT_EQ(replies["method"].result().number_value(), 1);
  EXPECT_EQ(replies["connection"].result().string_value(), "browser");
  EXPECT_EQ(replies["hook"].error().message(), "lobby");
  host.Stop(kPatience);
  const v1::ServeRequest::Register withdrawn = heard.Next().register_();
  EXPECT_EQ(withdrawn.methods_size() + withdrawn.connection_methods_size() + withdrawn.hooks_size(), 0);
}

TEST_F(ClientOrdersTest, ANodeThatDrainsAlreadyIsLeftForTheOneThatItNames) {
  const FakeNode named({.serve = ConfirmAll});
  const FakeNode draining({.serve = [&](FakeNode::ServeStream& stream) {
    stream.Write(Draining({named.address()}));
    return ConfirmAll(stream);
  }});
  const auto client = ClientOf({&draining});
  MethodHost host(*client, work_, Telling());
  EXPECT_EQ(events_.Next().kind, Kind::kLost) << "it never was attached there";
  const AttachmentEvent attached = events_.Next();
  EXPECT_EQ(attached.kind, Kind::kAttached);
  EXPECT_EQ(attached.address, named.address());
}

TEST_F(ClientOrdersTest, AlternativesThatAreNoAddressesAreLeftAside) {
  const FakeNode named({.serve = ConfirmAll});
  const FakeNode draining({.serve = [&](FakeNode::ServeStream& stream) {
    v1::ServeRequest frame;
    stream.Read(&frame);
    stream.Write(Registered());
    stream.Write(Draining({"nonsense", named.address(), ""}));
    return ConfirmAll(stream);
  }});
  const auto client = ClientOf({&draining});
  MethodHost host(*client, work_, Telling());
  EXPECT_EQ(Await(Kind::kAttached).address, draining.address());
  EXPECT_EQ(Await(Kind::kAttached).address, named.address());
}

TEST_F(ClientOrdersTest, ASubscriberGoesWhereADrainingNodeSays) {
  absl::Notification done;
  const auto stand = [&](grpc::ServerContext& context, FakeNode::SubscribeWriter& writer) {
    context.AddInitialMetadata("actioncluster-node-id", "fake");
    writer.SendInitialMetadata();
  };
  const FakeNode named({.subscribe = [&](grpc::ServerContext& context, FakeNode::SubscribeWriter& writer) {
    stand(context, writer);
    done.WaitForNotificationWithTimeout(kPatience);
    return grpc::Status::OK;
  }});
  const FakeNode draining({.subscribe = [&](grpc::ServerContext& context, FakeNode::SubscribeWriter& writer) {
    stand(context, writer);
    return GoneTo("127.0.0.1:1," + named.address());
  }});
  const auto client = ClientOf({&draining});
  fakes::Waiter<v1::SubscribeResponse> messages;
  Subscriber subscriber(*client, {}, messages.Callback(), events_.Callback());
  EXPECT_EQ(Await(Kind::kAttached).address, draining.address());
  EXPECT_EQ(Await(Kind::kAttached).address, named.address());
  EXPECT_TRUE(messages.Next().gap());
  done.Notify();
}

TEST_F(ClientOrdersTest, ASubscriptionThatDoesNotStandIsNotTakenForOne) {
  absl::Notification done;
  const FakeNode node({.subscribe = [&](grpc::ServerContext&, FakeNode::SubscribeWriter& writer) {
    writer.SendInitialMetadata();  // Without the name of the node.
    done.WaitForNotificationWithTimeout(kPatience);
    return grpc::Status::OK;
  }});
  const auto client = ClientOf({&node});
  Subscriber subscriber(
      *client, {}, [](const v1::SubscribeResponse&) {}, events_.Callback());
  EXPECT_EQ(events_.Next().kind, Kind::kLost);
  EXPECT_EQ(subscriber.AwaitAttached(absl::ZeroDuration()).code(), absl::StatusCode::kDeadlineExceeded);
  done.Notify();
}

}  // namespace
}  // namespace actioncluster::client
