// What streams that stand, and calls that wait, do while Redis is away, and when it is back: README's table has a row for each feature.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "backplane/keys/keys.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"
#include "tests/cluster/node_watch.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_worker.h"
#include "tests/fakes/subscription.h"

namespace actioncluster::cluster {
namespace {

using fakes::Subscription;
using testing::ElementsAre;
using testing::IsEmpty;
using Event = v1::WatchRoomResponse;
using Tasks = v1::TaskService::Stub;

constexpr absl::Duration kAtOnce = absl::Milliseconds(500);
constexpr absl::Duration kLong = absl::Minutes(1);
constexpr char kQueue[] = "outage";

class OutageStreamsTest : public testing::Test {
 protected:
  // Dead, for longer than the lease.
  void TakeRedisAway() {
    cluster_.redis().Kill();
    for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return !node.IsServing(); })) << node.id();
    const absl::Time killed = absl::Now();
    EXPECT_TRUE(Await([&] { return absl::Now() > killed + 2 * kLease; }));
  }
  void BringRedisBack() {
    cluster_.redis().Start();
    for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return node.IsServing(); })) << node.id();
  }
  static std::string TryVerb(RawClient& client, const std::string& verb, absl::string_view arguments) {
    const absl::Time begun = absl::Now();
    const std::string error = ErrorIn(client.Do(verb, arguments));
    EXPECT_LT(absl::Now() - begun, kAtOnce) << verb;
    return error;
  }

  static constexpr absl::Duration kLease = absl::Seconds(2);
  Cluster cluster_{2,
                   {.lease = kLease,
                    .flags = {},
                    .redis = {.password = "", .args = {"--appendonly", "yes", "--appendfsync", "always"}}}};
  Node& one_ = cluster_.node(1);
  Node& two_ = cluster_.node(2);
};

TEST_F(OutageStreamsTest, SubscriptionsStayAndTheFirstMessageAfterwardsTellsOfTheGap) {
  const Subscription news(two_.pubsub(), {{"news"}});
  EXPECT_NE(news.AwaitOpen(), "");
  TakeRedisAway();
  BringRedisBack();
  v1::PublishRequest publish;
  publish.set_message_type("news");
  publish.set_data("after");
  EXPECT_TRUE(AskStub(one_.pubsub(), &v1::PubSubService::Stub::Publish, publish, kPatience).ok());
  Subscription::Message message = news.Next();
  EXPECT_TRUE(message.gap());
  if (message.message_type().empty()) message = news.Next();  // The gap may have a frame of its own.
  EXPECT_EQ(message.data(), "after");
}

TEST_F(OutageStreamsTest, ApplicationsStayAttachedAndAreCalledAgainWhenRedisIsBack) {
  const AppHost echo(two_, {{"echo", Echoing()}});
  TakeRedisAway();
  BringRedisBack();
  EXPECT_TRUE(Await([&] { return Call(one_, Request("echo", "[1]")).ok(); }));
}

TEST_F(OutageStreamsTest, WorkersKeepTheirTaskAndTheirAttachmentAndWhatTheySayMeanwhileIsRecordedLater) {
  TaskWorker worker(two_, {.queues = {kQueue}}, Holding);
  const std::string id = Enqueue(one_, WithId("long", Retained(NewTask("work", kQueue))));
  const TaskWorker::Task task = worker.tasks().Next();
  v1::AwaitRequest request;
  request.set_task_id(id);
  Answered<v1::AwaitResponse> awaited;
  std::thread awaiting([&] { awaited = Ask(one_, &Tasks::Await, request, kLong); });
  // Somebody wants to hear of its changes.
  const std::string tasks = Keys("actioncluster").Queue(kQueue)[0];
  ASSERT_TRUE(Await([&] {
    return cluster_.redis().Command({"HEXISTS", tasks, "a:long"}).view().Integer().value() == 1;
  }));
  TakeRedisAway();
  EXPECT_TRUE(worker.Send(Done(task, "meanwhile")));
  TaskWorker late(two_, {.queues = {kQueue}}, Completing);
  BringRedisBack();
  EXPECT_EQ(worker.recorded().Next().state(), v1::TASK_STATE_DONE);
  awaiting.join();
  EXPECT_EQ(Good(awaited).data(), "meanwhile");
  // Neither has lost its place.
  for (int i = 0; i < 2; ++i) Enqueue(one_, NewTask("work", kQueue));
  worker.tasks().Next();
  late.recorded().Next();
  EXPECT_EQ(worker.revoked().size(), 0U);
}

TEST_F(OutageStreamsTest, CallersInLineForALockOrAnItemStayThereAndGetItWhenRedisIsBack) {
  const v1::LockResponse held = Good(Ask(one_, &Cache::Lock, LockOf("door", "ann", kLong)));
  const auto lock = WaitForLock(two_, LockOf("door", "bob", kLong, kLong));
  const auto item = WaitForItem(two_, PopOf("list", kLong));
  ASSERT_TRUE(Await(
      [&] { return WaitingForLock(cluster_.redis(), "door") == 1 && WaitingForItem(cluster_.redis(), "list") == 1; }));
  TakeRedisAway();
  EXPECT_FALSE(lock->has_ended() || item->has_ended());
  BringRedisBack();
  EXPECT_TRUE(Good(Ask(one_, &Cache::Unlock, UnlockOf("door", held.token()))).released());
  Good(Ask(one_, &Cache::Push, PushOf("list", "late")));
  EXPECT_TRUE(Good(lock->Await()).acquired());
  EXPECT_EQ(Good(item->Await()).data(), "late");
}

TEST_F(OutageStreamsTest, ConnectionsStayWithTheirRoomsAndWhatTheyAskOfThemselvesWorksMeanwhile) {
  CreateRoom(one_, "hall");
  CreateRoom(one_, "other");
  RawClient ann(two_, HelloOf("ann"));
  const RawClient::Frame::Welcome welcome = ann.AwaitWelcome();
  ann.Done("roomAdd", R"(["hall"])");
  TakeRedisAway();
  EXPECT_EQ(TryVerb(ann, "detailsView", "[]"), "");
  EXPECT_EQ(TryVerb(ann, "paramAdd", R"(["language", "en"])"), "");
  EXPECT_EQ(TryVerb(ann, "paramsView", "[]"), "");
  EXPECT_EQ(TryVerb(ann, "say", R"(["hall", "lost"])"), "BACKPLANE_UNAVAILABLE");
  EXPECT_EQ(TryVerb(ann, "roomAdd", R"(["other"])"), "BACKPLANE_UNAVAILABLE");
  EXPECT_EQ(TryVerb(ann, "roomView", R"(["hall"])"), "BACKPLANE_UNAVAILABLE");
  BringRedisBack();
  EXPECT_TRUE(Await([&] { return Ask(one_, &Rooms::Broadcast, BroadcastOf("hall", "1")).ok(); }));
  EXPECT_TRUE(ann.missed().Next().gap());
  EXPECT_EQ(ann.NextText(), "1");
  EXPECT_EQ(ErrorIn(ann.Do("say", R"(["hall", "again"])")), "");
  EXPECT_EQ(ann.NextText(), "\"again\"");
  EXPECT_THAT(MembersOf(one_, "hall"), ElementsAre("ann"));
  EXPECT_THAT(MembersOf(one_, "other"), IsEmpty());
  // What it had set meanwhile goes along with it, wherever it comes back.
  ann.HangUp();
  ann.AwaitEnd();
  RawClient back(one_, Resuming(welcome));
  EXPECT_EQ(back.AwaitWelcome().connection().params().at("language").string_value(), "en");
}

TEST_F(OutageStreamsTest, ConnectionsThatGoMeanwhileAreGoneWhenRedisIsBack) {
  CreateRoom(one_, "hall");
  auto quits = OpenIn(two_, "quits", "hall");
  auto leaves = OpenIn(two_, "leaves", "hall");
  const auto stays = OpenIn(two_, "stays", "hall");
  TakeRedisAway();
  EXPECT_EQ(TryVerb(*quits, "quit", "[]"), "");
  leaves->Close();
  EXPECT_TRUE(leaves->AwaitEnd().ok());
  BringRedisBack();
  EXPECT_TRUE(Await([&] { return MembersOf(one_, "hall") == std::vector<std::string>{"stays"}; }));
  for (const char* id : {"quits", "leaves"}) {
    EXPECT_TRUE(Await([&] {
      return ReasonOf(Ask(one_, &Connections::Get, GetOf(id)).status) == "CONNECTION_NOT_FOUND";
    })) << id;
  }
  EXPECT_EQ(Good(Ask(one_, &Connections::Get, GetOf("stays"))).connection().id(), "stays");
}

TEST_F(OutageStreamsTest, WatchersOfRoomsTasksAndNodesStayAndSeeHowItIsWhenRedisIsBack) {
  CreateRoom(one_, "hall");
  const auto ann = OpenIn(two_, "ann", "hall");
  const RoomWatch room(one_, "hall");
  EXPECT_THAT(room.Next(Event::KIND_SNAPSHOT), ElementsAre("ann"));
  const std::string id = Enqueue(one_, Retained(NewTask("work", kQueue)));
  grpc::ClientContext context;
  v1::WatchTaskRequest request;
  request.set_task_id(id);
  const auto task = one_.tasks().WatchTask(&context, request);
  v1::WatchTaskResponse seen;
  ASSERT_TRUE(task->Read(&seen));
  EXPECT_EQ(seen.task().state(), v1::TASK_STATE_READY);
  const NodeWatch nodes(one_);
  nodes.AwaitEvent(v1::WatchNodesResponse::EVENT_JOINED, two_.id());
  TakeRedisAway();
  BringRedisBack();
  EXPECT_THAT(room.Next(Event::KIND_SNAPSHOT), ElementsAre("ann"));
  const TaskWorker worker(two_, {.queues = {kQueue}}, Completing);
  while (seen.task().state() != v1::TASK_STATE_DONE && task->Read(&seen)) {
  }
  EXPECT_EQ(seen.task().state(), v1::TASK_STATE_DONE);
  EXPECT_TRUE(task->Finish().ok());
  two_.Kill();
  nodes.AwaitEvent(v1::WatchNodesResponse::EVENT_LOST, two_.id());
}

}  // namespace
}  // namespace actioncluster::cluster
