// Nodes come and go, and whoever watches is told.

#include <gmock/gmock.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/node_watch.h"

namespace actioncluster::cluster {
namespace {

using testing::Contains;
using testing::ElementsAre;
using Watch = v1::WatchNodesResponse;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";
constexpr char kThree[] = "actioncluster-worker-3";

v1::DrainResponse Drain(const Node& by, const std::string& node_id, int seconds) {
  grpc::ClientContext context;
  v1::DrainRequest request;
  request.set_node_id(node_id);
  request.mutable_timeout()->set_seconds(seconds);
  v1::DrainResponse response;
  const grpc::Status status = by.cluster().Drain(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

TEST(WatchTest, NodesThatJoinChangeLeaveAndAreLostAreTold) {
  Cluster cluster(2);
  const NodeWatch watch(cluster.node(1));
  watch.AwaitEvent(Watch::EVENT_JOINED, kOne);
  watch.AwaitEvent(Watch::EVENT_JOINED, kTwo);

  const Node& third = cluster.Start();
  const v1::Node joined = watch.AwaitEvent(Watch::EVENT_JOINED, kThree);
  EXPECT_EQ(joined.pid(), third.pid());
  EXPECT_THAT(joined.addresses(), Contains(third.address()));
  {
    const AppHost app(third, {{"work", Returning("1")}});
    EXPECT_THAT(watch.AwaitEvent(Watch::EVENT_UPDATED, kThree).methods(), ElementsAre("work"));
  }
  EXPECT_THAT(watch.AwaitEvent(Watch::EVENT_UPDATED, kThree).methods(), ElementsAre());
  ExpectCleanStop(third.program());
  EXPECT_EQ(watch.AwaitEvent(Watch::EVENT_LEFT, kThree).boot_id(), joined.boot_id());

  cluster.node(2).Kill();
  watch.AwaitEvent(Watch::EVENT_LOST, kTwo);
  EXPECT_THAT(Cluster::ListedBy(cluster.node(1)).value(), ElementsAre(kOne));
}

TEST(DrainTest, ADrainedNodeFinishesWhatItHasAndNewCallsGoElsewhere) {
  Cluster cluster(3);
  const NodeWatch watch(cluster.node(1));
  AppHost two(cluster.node(2), {{"work", NeverAnswering()}});
  Answer running;
  std::thread calling([&] { running = Call(cluster.node(1), Within(absl::Seconds(30), Request("work"))); });
  const std::string call_id = two.calls().Next().call_id();
  const AppHost three(cluster.node(3), {{"work", Returning("3")}});

  EXPECT_EQ(Drain(cluster.node(1), kTwo, 1).calls_running(), 1U);
  EXPECT_TRUE(watch.AwaitEvent(Watch::EVENT_DRAINING, kTwo).draining());
  EXPECT_THAT(two.drainings().Next().alternatives(), Contains(cluster.node(3).address()));
  EXPECT_FALSE(cluster.node(2).IsServing());
  for (int i = 0; i < 20; ++i) {
    for (const v1::CallRequest& request : {Request("work"), ToAny(Request("work"))}) {
      const Answer answer = Call(cluster.node(1 + i % 2), request);
      EXPECT_EQ(answer.response.node_id(), kThree) << testing::PrintToString(answer);
    }
  }
  const Answer declined = Call(cluster.node(1), ToNode(kTwo, Request("work")));
  EXPECT_EQ(declined.code(), grpc::UNAVAILABLE) << testing::PrintToString(declined);

  two.SendReply(call_id, ResultOf("2"));
  calling.join();
  EXPECT_EQ(running.response.result().number_value(), 2) << testing::PrintToString(running);
  EXPECT_EQ(Drain(cluster.node(3), kTwo, 5).calls_running(), 0U);
  // It is out of service, and still there: to be stopped by whoever started it.
  EXPECT_THAT(Cluster::ListedBy(cluster.node(1)).value(), ElementsAre(kOne, kTwo, kThree));
  ExpectCleanStop(cluster.node(2).program());
}

TEST(DrainTest, SigtermDrainsSoThatRunningCallsEndWell) {
  Cluster cluster(2);
  AppHost app(cluster.node(2), {{"work", NeverAnswering()}});
  Answer running;
  std::thread calling([&] { running = Call(cluster.node(1), Within(absl::Seconds(30), Request("work"))); });
  const std::string call_id = app.calls().Next().call_id();
  cluster.node(2).program().Signal(SIGTERM);
  app.drainings().Next();
  app.SendReply(call_id, ResultOf("2"));
  calling.join();
  EXPECT_EQ(running.response.result().number_value(), 2) << testing::PrintToString(running);
  EXPECT_EQ(cluster.node(2).program().Wait(), std::make_optional(0));
  app.AwaitEnd();
}

TEST(DrainTest, TheOnlyHostIsCalledWhereItIsUntilItHasWithdrawn) {
  Cluster cluster(3);
  AppHost two(cluster.node(2), {{"work", Returning("2")}}, {.stays = true});
  ASSERT_TRUE(Call(cluster.node(1), ToAny(Request("work"))).ok());
  v1::DrainResponse drained;
  std::thread draining([&] { drained = Drain(cluster.node(1), kTwo, 60); });
  two.drainings().Next();
  for (const v1::CallRequest& request : {Request("work"), ToAny(Request("work")), ToNode(kTwo, Request("work"))}) {
    const Answer answer = Call(cluster.node(1), request);
    EXPECT_EQ(answer.response.node_id(), kTwo) << testing::PrintToString(answer);
  }
  const AppHost three(cluster.node(3), {{"work", Returning("3")}});
  AwaitOffers(cluster.nodes());
  EXPECT_EQ(Call(cluster.node(1), ToAny(Request("work"))).response.node_id(), kThree) << "there is another now";
  two.Withdraw();
  // Within its own limit for those who do not go, or this would take half a minute.
  draining.join();
  EXPECT_EQ(drained.calls_running(), 0U);
  EXPECT_EQ(Call(cluster.node(2), ToAny(Request("work"))).response.node_id(), kThree);
}

TEST(DrainTest, CallsWaitForTheOnlyHostWhileItIsBetweenTwoNodes) {
  Cluster cluster(3);
  auto two = std::make_unique<AppHost>(cluster.node(2), AppHost::Handlers{{"work", Returning("2")}});
  ASSERT_TRUE(Call(cluster.node(1), ToAny(Request("work"))).ok());
  cluster.node(2).program().Signal(SIGTERM);
  two->drainings().Next();
  Answer declined;
  std::thread calling([&] { declined = Call(cluster.node(1), ToAny(Request("work"))); });
  two.reset();
  EXPECT_EQ(cluster.node(2).program().Wait(), std::make_optional(0));
  Answer late;
  std::thread calling_late([&] { late = Call(cluster.node(3), Request("work")); });
  const AppHost three(cluster.node(3), {{"work", Returning("3")}});
  calling.join();
  calling_late.join();
  EXPECT_EQ(declined.response.node_id(), kThree) << testing::PrintToString(declined);
  EXPECT_EQ(late.response.node_id(), kThree) << testing::PrintToString(late);
}

TEST(DrainTest, WhatDoesNotComeBackFromADrainIsMissingAfterAMoment) {
  Cluster cluster(2);
  auto two = std::make_unique<AppHost>(cluster.node(2), AppHost::Handlers{{"work", Returning("2")}});
  ASSERT_TRUE(Call(cluster.node(1), ToAny(Request("work"))).ok());
  cluster.node(2).program().Signal(SIGTERM);
  two->drainings().Next();
  two.reset();
  EXPECT_EQ(cluster.node(2).program().Wait(), std::make_optional(0));
  EXPECT_EQ(Call(cluster.node(1), ToAny(Request("work"))).reason(), "METHOD_NOT_FOUND");
  EXPECT_EQ(Call(cluster.node(1), ToAny(Request("never there"))).reason(), "METHOD_NOT_FOUND");
}

TEST(DrainTest, ANodeThatStopsTakesNoConnectionAndFinishesTheCallsThatItHas) {
  Cluster cluster(2);
  AppHost app(cluster.node(1), {{"work", NeverAnswering()}});
  Answer running;
  std::thread calling([&] { running = Call(cluster.node(2), Within(absl::Seconds(30), Request("work"))); });
  const std::string call_id = app.calls().Next().call_id();
  const NodeWatch watch(cluster.node(1));
  cluster.node(2).program().Signal(SIGTERM);
  watch.AwaitEvent(Watch::EVENT_DRAINING, kTwo);
  // The directory knows of it first.
  EXPECT_TRUE(Await([&] {
    const auto answer = CallRaw(cluster.node(2).NewChannel(), "/actioncluster.v1.ClusterService/ListNodes", "");
    return answer.status.error_code() == grpc::UNAVAILABLE;
  }));
  // It is made elsewhere, and there is none; or gRPC has not heard yet that the server is shut down, and says so of what was never begun.
  EXPECT_THAT(Call(cluster.node(2), Request("node.ping")).code(), testing::AnyOf(grpc::UNAVAILABLE, grpc::CANCELLED));
  app.SendReply(call_id, ResultOf("1"));
  calling.join();
  EXPECT_EQ(running.response.result().number_value(), 1) << testing::PrintToString(running);
  EXPECT_EQ(cluster.node(2).program().Wait(), std::make_optional(0));
  watch.AwaitEvent(Watch::EVENT_LEFT, kTwo);
}

TEST(DrainTest, AStreamThatNobodyEndsDoesNotHoldUpAStop) {
  Cluster cluster(1);
  grpc::GenericStub stub(cluster.node(1).NewChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto health = stub.PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  void* tag;
  bool ok = false;
  health->StartCall(nullptr);
  queue.Next(&tag, &ok);
  const grpc::Slice of_all("");
  health->WriteLast(grpc::ByteBuffer(&of_all, 1), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  ASSERT_TRUE(ok);
  grpc::ByteBuffer state;
  health->Read(&state, nullptr);
  queue.Next(&tag, &ok);
  ASSERT_TRUE(ok) << "the watch stands";
  ExpectCleanStop(cluster.node(1).program());
  EXPECT_FALSE(std::filesystem::exists(cluster.node(1).pid_path()));
  grpc::Status end;
  health->Finish(&end, nullptr);
  queue.Next(&tag, &ok);
  EXPECT_EQ(end.error_code(), grpc::UNAVAILABLE) << "CANCELLED would say that it was never begun";
  queue.Shutdown();
}

TEST(DrainTest, ShutdownByACallStopsThatNodeInGoodOrder) {
  Cluster cluster(1);
  cluster.Start({.workers = 2});
  const NodeWatch watch(cluster.node(1));
  watch.AwaitEvent(Watch::EVENT_JOINED, kTwo);
  const pid_t pid = cluster.node(2).pid();
  ASSERT_GT(pid, 0);
  EXPECT_EQ(Call(cluster.node(1), Request("node.shutdown")).code(), grpc::INVALID_ARGUMENT)
      << "a slip, and all would stop";
  const Answer answer = Call(cluster.node(1), ToNode(kTwo, Request("node.shutdown")));
  EXPECT_TRUE(answer.ok()) << testing::PrintToString(answer);
  watch.AwaitEvent(Watch::EVENT_LEFT, kTwo);
  EXPECT_TRUE(Await([&] { return !IsAlive(pid); }));
  EXPECT_FALSE(std::filesystem::exists(cluster.node(2).pid_path()));
  // The other node of the same start goes on.
  EXPECT_TRUE(cluster.node(3).IsServing());
  EXPECT_TRUE(Call(cluster.node(1), ToNode(kThree, Request("node.ping"))).ok());
}

}  // namespace
}  // namespace actioncluster::cluster
