// The stream between an application and its node.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;

class ServeTest : public testing::Test {
 protected:
  Cluster cluster_{2};
};

v1::ServeRequest Registering(const std::string& method) {
  v1::ServeRequest frame;
  frame.mutable_register_()->add_methods(method);
  return frame;
}

v1::ServeRequest ForConnections(const std::string& method) {
  v1::ServeRequest frame;
  frame.mutable_register_()->add_connection_methods(method);
  return frame;
}

v1::ServeRequest Hooking(const std::string& hook) {
  v1::ServeRequest frame;
  frame.mutable_register_()->add_hooks(hook);
  return frame;
}

// As the node itself knows it now.
double ApplicationsOf(const Node& node) {
  const auto info = Call(node, ToNode("actioncluster-worker-2", Request("node.info"))).response.result();
  return info.struct_value().fields().at("counts").struct_value().fields().at("applications").number_value();
}

TEST_F(ServeTest, ABadFrameEndsItsStreamWithWhatIsWrong) {
  v1::ServeRequest many = Registering("m");
  for (int i = 0; i < 1023; ++i) many.mutable_register_()->add_methods("m" + std::to_string(i));
  many.mutable_register_()->add_hooks("join");  // All that it offers counts.
  v1::ServeRequest greedy = Registering("m");
  greedy.mutable_register_()->set_max_in_flight(4097);
  v1::ServeRequest nervous = Registering("m");
  nervous.mutable_register_()->mutable_heartbeat_timeout()->set_nanos(1);
  v1::ServeRequest reply;
  reply.mutable_reply()->set_call_id("1");
  struct Case {
    v1::ServeRequest frame;
    grpc::StatusCode code;
    std::string message;
  };
  for (const auto& [frame, code, message] :
       {Case{reply, grpc::FAILED_PRECONDITION, "register"}, Case{{}, grpc::INVALID_ARGUMENT, "frame"},
        Case{Registering("node.mine"), grpc::INVALID_ARGUMENT, "node."},
        Case{Registering(""), grpc::INVALID_ARGUMENT, "methods"},
        Case{Registering(std::string(257, 'm')), grpc::INVALID_ARGUMENT, "256"},
        Case{Registering("connection/ban"), grpc::INVALID_ARGUMENT, "connection_methods"},
        Case{Registering("hook/join"), grpc::INVALID_ARGUMENT, "hooks"},
        Case{ForConnections(""), grpc::INVALID_ARGUMENT, "connection_methods"},
        Case{ForConnections("set"), grpc::INVALID_ARGUMENT, "of their own"},
        Case{ForConnections("destroy"), grpc::INVALID_ARGUMENT, "of their own"},
        Case{Hooking("say"), grpc::INVALID_ARGUMENT, "say.receive"}, Case{many, grpc::RESOURCE_EXHAUSTED, "1024"},
        Case{greedy, grpc::INVALID_ARGUMENT, "max_in_flight"},
        Case{nervous, grpc::INVALID_ARGUMENT, "heartbeat_timeout"}}) {
    AppHost app(cluster_.node(1), {}, {.send_register = false});
    app.Send(frame);
    const grpc::Status status = app.AwaitEnd();
    EXPECT_EQ(status.error_code(), code) << frame.ShortDebugString().substr(0, 100) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(message));
  }
}

TEST_F(ServeTest, ABadReplyFailsItsCallAndNoOther) {
  AppHost::Reply unset;
  unset.mutable_result();
  const AppHost app(cluster_.node(2),
                    {{"bad", [&](const AppHost::Frame::Call&) { return unset; }}, {"good", Returning("1")}});
  const Answer answer = Call(cluster_.node(1), Request("bad"));
  EXPECT_EQ(answer.reason(), "HANDLER_FAILED") << testing::PrintToString(answer);
  EXPECT_TRUE(Call(cluster_.node(1), Request("good")).ok());
}

TEST_F(ServeTest, SilencePastTheHeartbeatTimeoutEndsTheStreamAndItsCalls) {
  const AppHost app(cluster_.node(2), {{"silent", NeverAnswering()}}, {.heartbeat_timeout = absl::Seconds(1)});
  const Answer answer = Call(cluster_.node(1), Within(absl::Seconds(30), Request("silent")));
  EXPECT_EQ(answer.reason(), "HANDLER_FAILED") << testing::PrintToString(answer);
  EXPECT_LT(answer.took, absl::Seconds(3));
  const grpc::Status status = app.AwaitEnd();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), HasSubstr("heartbeat"));
}

TEST_F(ServeTest, HeartbeatsKeepASilentApplicationAttached) {
  AppHost app(cluster_.node(2), {{"quiet", Returning("1")}}, {.heartbeat_timeout = absl::Seconds(2)});
  v1::ServeRequest heartbeat;
  heartbeat.mutable_heartbeat();
  const absl::Time end = absl::Now() + absl::Seconds(4);
  Await([&] {
    app.Send(heartbeat);
    absl::SleepFor(absl::Milliseconds(200));
    return absl::Now() > end;
  });
  EXPECT_TRUE(Call(cluster_.node(1), Request("quiet")).ok());
}

TEST_F(ServeTest, PastItsLimitAnApplicationGetsNoMoreAndAReplicaTakesOver) {
  AppHost busy(cluster_.node(2), {{"work", NeverAnswering()}}, {.max_in_flight = 1});
  Answer first;
  std::thread calling([&] { first = Call(cluster_.node(1), Within(absl::Seconds(30), Request("work"))); });
  const std::string call_id = busy.calls().Next().call_id();

  const Answer refused = Call(cluster_.node(1), Request("work"));
  EXPECT_EQ(refused.code(), grpc::RESOURCE_EXHAUSTED) << testing::PrintToString(refused);
  EXPECT_EQ(refused.reason(), "LIMIT_EXCEEDED");
  EXPECT_EQ(busy.calls().size(), 0U);

  const AppHost beside(cluster_.node(2), {{"work", Returning("2")}});
  EXPECT_EQ(Call(cluster_.node(1), Request("work")).response.result().number_value(), 2);
  {
    const AppHost elsewhere(cluster_.node(1), {{"work", Returning("3")}});
    EXPECT_EQ(
        Call(cluster_.node(2), ToNode("actioncluster-worker-1", Request("work"))).response.result().number_value(), 3);
  }
  busy.SendReply(call_id, ResultOf("1"));
  calling.join();
  EXPECT_EQ(first.response.result().number_value(), 1) << testing::PrintToString(first);
  busy.HangUp();
  busy.AwaitEnd();
  ASSERT_TRUE(Await([&] { return ApplicationsOf(cluster_.node(2)) == 1; })) << "its node has not heard of its end";
  EXPECT_EQ(Call(cluster_.node(1), Request("work")).response.result().number_value(), 2);
}

TEST_F(ServeTest, ALaterRegisterWithdrawsWhatItDoesNotName) {
  AppHost app(cluster_.node(2), {{"old", Returning("1")}, {"new", Returning("1")}}, {.send_register = false});
  ASSERT_TRUE(app.Send(Registering("old")));
  ASSERT_TRUE(Await([&] { return Call(cluster_.node(1), Request("old")).ok(); }));
  ASSERT_TRUE(app.Send(Registering("new")));
  ASSERT_TRUE(Await([&] { return Call(cluster_.node(1), Request("new")).ok(); }));
  EXPECT_EQ(Call(cluster_.node(1), Request("old")).reason(), "METHOD_NOT_FOUND");
}

TEST_F(ServeTest, ANotificationAsksForNoReplyAndTakesAPlaceUntilThereIsOne) {
  AppHost app(cluster_.node(2), {{"event", NeverAnswering()}}, {.max_in_flight = 1});
  v1::NotifyRequest request;
  request.set_method("event");
  EXPECT_EQ(Notify(cluster_.node(1), request).receivers, 1);
  const AppHost::Frame::Call call = app.calls().Next();
  EXPECT_TRUE(call.notification());
  EXPECT_EQ(call.caller_node_id(), "actioncluster-worker-1");
  EXPECT_EQ(Call(cluster_.node(1), Request("event")).reason(), "LIMIT_EXCEEDED");
  app.SendReply(call.call_id(), ResultOf("1"));
  // The reply may come to its node later than a call that begins after it.
  std::thread calling([&] { EXPECT_TRUE(Await([&] { return Call(cluster_.node(1), Request("event")).ok(); })); });
  app.SendReply(app.calls().Next().call_id(), ResultOf("1"));
  calling.join();
}

}  // namespace
}  // namespace actioncluster::cluster
