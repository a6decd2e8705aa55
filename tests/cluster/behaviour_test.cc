// What an application sees of the cache, tasks, calls and messages, wherever it runs; and where it runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/behaviour.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/task_worker.h"
#include "tests/fakes/subscription.h"

namespace actioncluster::cluster {
namespace {

using fakes::Subscription;
using testing::ElementsAre;
using testing::UnorderedElementsAre;
using Tasks = v1::TaskService::Stub;

constexpr absl::Duration kShort = absl::Milliseconds(300);
constexpr absl::Duration kLong = absl::Minutes(1);
constexpr char kQueue[] = "mail";

TEST_P(BehaviourTest, ValuesAreSavedLoadedComparedCountedAndDestroyed) {
  EXPECT_EQ(WhyNotLoaded("k"), "CACHE_KEY_NOT_FOUND");
  v1::SaveRequest json = On<v1::SaveRequest>("k");
  *json.mutable_value() = Json(R"({"n": [1, null]})");
  EXPECT_FALSE(Do(&Cache::Save, json).replaced());
  EXPECT_EQ(ToJson(Do(&Cache::Load, On<v1::LoadRequest>("k")).value()), R"({"n":[1,null]})");
  const v1::SaveResponse saved = Do(&Cache::Save, SaveOf("k", std::string("\0bytes", 6)));
  EXPECT_TRUE(saved.replaced());
  const v1::LoadResponse loaded = Do(&Cache::Load, On<v1::LoadRequest>("k"));
  EXPECT_EQ(loaded.data(), std::string("\0bytes", 6));
  EXPECT_EQ(loaded.version(), saved.version());
  EXPECT_FALSE(loaded.has_expires_at());

  auto compared = On<v1::CompareAndSaveRequest>("k");
  compared.set_data("newer");
  compared.set_version(saved.version());
  EXPECT_GT(Do(&Cache::CompareAndSave, compared).version(), saved.version());
  EXPECT_EQ(Why(&Cache::CompareAndSave, compared), "VERSION_MISMATCH");
  EXPECT_EQ(Loaded("k"), "newer");

  auto increment = On<v1::IncrementRequest>("count");
  increment.set_by(INT64_MAX - 1);
  EXPECT_EQ(Do(&Cache::Increment, increment).value(), INT64_MAX - 1);
  increment.set_by(1);
  increment.set_request_id("once");
  EXPECT_EQ(Do(&Cache::Increment, increment).value(), INT64_MAX);
  EXPECT_EQ(Do(&Cache::Increment, increment).value(), INT64_MAX);
  EXPECT_EQ(Why(&Cache::Increment, On<v1::IncrementRequest>("k")), "NOT_AN_INTEGER");

  EXPECT_TRUE(Do(&Cache::Destroy, On<v1::DestroyRequest>("k")).destroyed());
  EXPECT_FALSE(Do(&Cache::Destroy, On<v1::DestroyRequest>("k")).destroyed());
  EXPECT_EQ(WhyNotLoaded("k"), "CACHE_KEY_NOT_FOUND");
}

TEST_P(BehaviourTest, ManyValuesGoTogetherAndEachHasItsOwnOutcome) {
  v1::SaveManyRequest save;
  for (const char* key : {"a", "b", ""}) *save.add_entries() = SaveOf(key, "of many");
  const v1::SaveManyResponse saved = Do(&Cache::SaveMany, save);
  ASSERT_EQ(saved.outcomes_size(), 3);
  EXPECT_FALSE(saved.outcomes(0).has_error() || saved.outcomes(1).has_error());
  EXPECT_EQ(saved.outcomes(2).error().code(), grpc::INVALID_ARGUMENT);
  v1::LoadManyRequest load;
  for (const char* key : {"b", "absent"}) load.add_keys(key);
  const v1::LoadManyResponse loaded = Do(&Cache::LoadMany, load);
  ASSERT_EQ(loaded.outcomes_size(), 2);
  EXPECT_EQ(loaded.outcomes(0).entry().data(), "of many");
  EXPECT_EQ(loaded.outcomes(1).error().reason(), "CACHE_KEY_NOT_FOUND");

  std::vector<Pipeline::Operation> operations(3);
  *operations[0].mutable_save() = SaveOf("a", "by a stream");
  *operations[1].mutable_load() = On<v1::LoadRequest>("a");
  *operations[2].mutable_push() = PushOf("a", "item");
  Pipeline pipeline(Any());
  const std::vector<Pipeline::Result> results = pipeline.Do(operations);
  EXPECT_TRUE(results[0].save().replaced());
  EXPECT_EQ(results[1].load().data(), "by a stream");
  EXPECT_EQ(results[2].push().length(), 1);
  EXPECT_TRUE(pipeline.Finish().ok());

  v1::DestroyManyRequest destroy;
  for (const char* key : {"a", "absent"}) destroy.add_keys(key);
  const v1::DestroyManyResponse destroyed = Do(&Cache::DestroyMany, destroy);
  ASSERT_EQ(destroyed.outcomes_size(), 2);
  EXPECT_TRUE(destroyed.outcomes(0).destroyed());
  EXPECT_FALSE(destroyed.outcomes(1).destroyed());
}

TEST_P(BehaviourTest, ValuesExpireAndReadingMayExtendThem) {
  v1::SaveRequest save = SaveOf("brief", "here");
  SetDuration(kShort, save.mutable_expire_after());
  Do(&Cache::Save, save);
  save.set_key("extended");
  SetDuration(10 * kShort, save.mutable_expire_after());
  Do(&Cache::Save, save);
  auto load = On<v1::LoadRequest>("extended");
  SetDuration(kLong, load.mutable_expire_after());
  const absl::Time begun = absl::Now();
  const v1::LoadResponse loaded = Do(&Cache::Load, load);
  EXPECT_LT(absl::AbsDuration(ToTime(loaded.expires_at()) - begun - kLong), absl::Seconds(20));
  EXPECT_TRUE(Await([&] { return !Ask(Any(), &Cache::Load, On<v1::LoadRequest>("brief")).ok(); }));
  EXPECT_EQ(WhyNotLoaded("brief"), "CACHE_KEY_NOT_FOUND");
  EXPECT_EQ(Loaded("extended"), "here");
}

TEST_P(BehaviourTest, ALockExcludesOthersAndGoesToWhoWaits) {
  Do(&Cache::Save, SaveOf("door", "closed"));
  const v1::LockResponse ann = Do(&Cache::Lock, LockOf("door", "ann", kLong));
  ASSERT_TRUE(ann.acquired());
  const v1::LockResponse refused = Do(&Cache::Lock, LockOf("door", "bob", kLong));
  EXPECT_FALSE(refused.acquired());
  EXPECT_EQ(refused.held_by(), "ann");
  EXPECT_EQ(Do(&Cache::CheckLock, On<v1::CheckLockRequest>("door")).held_by(), "ann");
  EXPECT_EQ(WhyNotLoaded("door"), "KEY_LOCKED");
  EXPECT_EQ(Why(&Cache::Save, SaveOf("door", "bob's")), "KEY_LOCKED");
  v1::SaveRequest anns = SaveOf("door", "ann's");
  anns.set_token(ann.token());
  Do(&Cache::Save, anns);

  const auto bob = WaitForLock(Any(), LockOf("door", "bob", kLong, kLong));
  EXPECT_TRUE(Do(&Cache::Unlock, UnlockOf("door", ann.token())).released());
  const v1::LockResponse bobs = Good(bob->Await());
  EXPECT_TRUE(bobs.acquired());
  EXPECT_GT(bobs.token(), ann.token());
  EXPECT_EQ(Why(&Cache::Save, anns), "LEASE_LOST");
  EXPECT_EQ(Why(&Cache::Unlock, UnlockOf("door", ann.token())), "LEASE_LOST");

  auto reading = On<v1::LoadRequest>("door");
  SetDuration(kLong, reading.mutable_wait_for_lock());
  const auto reader = WaitForLoad(Any(), reading);
  EXPECT_TRUE(Do(&Cache::Unlock, UnlockOf("door", bobs.token())).released());
  EXPECT_EQ(Good(reader->Await()).data(), "ann's");
  // One that nobody gives up ends by itself.
  ASSERT_TRUE(Do(&Cache::Lock, LockOf("window", "ann", kShort)).acquired());
  EXPECT_TRUE(Good(WaitForLock(Any(), LockOf("window", "bob", kLong, kLong))->Await()).acquired());
}

TEST_P(BehaviourTest, ListsAreFirstInFirstOutAndAnItemGoesToWhoWaits) {
  EXPECT_EQ(Do(&Cache::Pop, PopOf("list")).content_case(), v1::PopResponse::CONTENT_NOT_SET);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(Do(&Cache::Push, PushOf("list", absl::StrCat(i))).length(), i);
  EXPECT_EQ(Do(&Cache::ListLength, On<v1::ListLengthRequest>("list")).length(), 3);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(Do(&Cache::Pop, PopOf("list")).data(), absl::StrCat(i));
  const auto waits = WaitForItem(Any(), PopOf("list", kLong));
  v1::PushRequest push = PushOf("list", "late");
  push.set_request_id("once");
  EXPECT_EQ(Do(&Cache::Push, push).length(), Do(&Cache::Push, push).length());
  EXPECT_EQ(Good(waits->Await()).data(), "late");
  EXPECT_EQ(Do(&Cache::ListLength, On<v1::ListLengthRequest>("list")).length(), 0);
}

TEST_P(BehaviourTest, WhatIsListedDumpedAndClearedComesBackByARestore) {
  for (const char* key : {"p/1", "p/2", "other"}) Do(&Cache::Save, SaveOf(key, key));
  for (const char* item : {"x", "y"}) Do(&Cache::Push, PushOf("p/list", item));
  EXPECT_THAT(KeysBy("p/"), UnorderedElementsAre("p/1", "p/2"));
  v1::SizeRequest all;
  EXPECT_EQ(Do(&Cache::Size, all).size(), 3);

  std::vector<v1::RestoreRequest> frames(1);
  frames[0].mutable_begin()->set_restore_id("of this test");
  grpc::ClientContext dumping;
  const auto dump = Any().cache().Dump(&dumping, {});
  for (v1::DumpResponse frame; dump->Read(&frame);) {
    v1::RestoreRequest& restored = frames.emplace_back();
    if (frame.has_entry()) *restored.mutable_entry() = frame.entry();
    if (frame.has_end()) restored.mutable_end()->set_entries(frame.end().entries());
  }
  EXPECT_TRUE(dump->Finish().ok());

  v1::ClearRequest some;
  some.set_prefix("p/");
  const v1::ClearResponse cleared = Do(&Cache::Clear, some);
  EXPECT_EQ(cleared.values(), 2);
  EXPECT_EQ(cleared.lists(), 1);
  EXPECT_THAT(KeysBy(""), ElementsAre("other"));

  grpc::ClientContext restoring;
  v1::RestoreResponse restored;
  const auto restore = Any().cache().Restore(&restoring, &restored);
  for (const v1::RestoreRequest& frame : frames) EXPECT_TRUE(restore->Write(frame));
  restore->WritesDone();
  const grpc::Status status = restore->Finish();
  EXPECT_TRUE(status.ok()) << Describe(status);
  EXPECT_EQ(restored.values(), 3);
  EXPECT_EQ(restored.lists(), 1);
  EXPECT_EQ(Loaded("p/2"), "p/2");
  for (const char* item : {"x", "y"}) EXPECT_EQ(Do(&Cache::Pop, PopOf("p/list")).data(), item);
}

TEST_P(BehaviourTest, ATaskRunsOnceAndItsResultIsAwaited) {
  TaskWorker worker(Any(), {.queues = {kQueue}, .name = "postman"}, Holding);
  const std::string id = Enqueue(Any(), WithId("letter-1", WithData("dear", Retained(NewTask("send", kQueue)))));
  v1::EnqueueRequest again = WithId("letter-1", NewTask("send", kQueue));
  const v1::EnqueueResponse repeated = Do(&Tasks::Enqueue, again);
  EXPECT_EQ(repeated.task_id(), id);
  EXPECT_FALSE(repeated.created());

  const TaskWorker::Task task = worker.tasks().Next();
  EXPECT_EQ(task.id(), id);
  EXPECT_EQ(task.data(), "dear");
  EXPECT_EQ(GetTask(Any(), id).state(), v1::TASK_STATE_ACTIVE);
  TaskWorker::Outcomes halfway;
  v1::WorkRequest::Progress& progress = *halfway.add_progress();
  progress.set_task_id(id);
  progress.set_token(task.token());
  *progress.mutable_result() = Json("50");
  worker.Send(halfway);
  EXPECT_TRUE(Await([&] { return GetTask(Any(), id).progress().value().number_value() == 50; }));
  worker.Send(Done(task, "sent"));
  const v1::AwaitResponse ended = Ended(id);
  EXPECT_EQ(ended.state(), v1::TASK_STATE_DONE);
  EXPECT_EQ(ended.data(), "sent");
  v1::GetRequest absent;
  absent.set_task_id(absl::StrCat(id, "0"));
  EXPECT_EQ(Why(&Tasks::Get, absent), "TASK_NOT_FOUND");
  EXPECT_EQ(worker.tasks().size(), 0U);
}

TEST_P(BehaviourTest, TasksOfALaterTimeAndRecurringOnesRunWhenTheyAreDue) {
  const TaskWorker worker(Any(), {.queues = {kQueue}, .concurrency = 4}, Completing);
  const absl::Time begun = absl::Now();
  const std::string later = Enqueue(Any(), After(2 * kShort, NewTask("later", kQueue)));
  EXPECT_EQ(GetTask(Any(), later).state(), v1::TASK_STATE_SCHEDULED);
  EXPECT_EQ(worker.tasks().Next().id(), later);
  EXPECT_GE(absl::Now() - begun, 2 * kShort - absl::Milliseconds(20));

  v1::ScheduleRecurringRequest recurring;
  recurring.set_id("tick");
  SetDuration(kShort, recurring.mutable_every());
  *recurring.mutable_task() = NewTask("tick", kQueue);
  EXPECT_TRUE(Do(&Tasks::ScheduleRecurring, recurring).created());
  EXPECT_FALSE(Do(&Tasks::ScheduleRecurring, recurring).created());
  std::set<std::string> slots;
  for (int i = 0; i < 3; ++i) slots.insert(worker.tasks().Next().id());
  EXPECT_EQ(slots.size(), 3U);
  v1::ListRecurringRequest list;
  list.set_queue(kQueue);
  EXPECT_EQ(Do(&Tasks::ListRecurring, list).recurring_size(), 1);
  v1::StopRecurringRequest stop;
  stop.set_queue(kQueue);
  stop.set_id("tick");
  EXPECT_TRUE(Do(&Tasks::StopRecurring, stop).stopped());
  EXPECT_EQ(Do(&Tasks::ListRecurring, list).recurring_size(), 0);
}

TEST_P(BehaviourTest, ATaskThatFailsIsTriedAgainAndThenKeptForSomebodyToRetry) {
  TaskWorker worker(Any(), {.queues = {kQueue}}, Holding);
  v1::EnqueueRequest request = Retained(NewTask("send", kQueue));
  request.mutable_retry()->set_max_attempts(2);
  SetDuration(absl::Milliseconds(10), request.mutable_retry()->mutable_backoff());
  const std::string id = Enqueue(Any(), request);
  for (uint32_t attempt = 1; attempt <= 2; ++attempt) {
    const TaskWorker::Task task = worker.tasks().Next();
    EXPECT_EQ(task.attempt(), attempt);
    worker.Send(FailedBy(task, "no such street"));
  }
  const v1::AwaitResponse ended = Ended(id);
  EXPECT_EQ(ended.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(ended.error().message(), "no such street");
  v1::ListFailedRequest list;
  list.set_queue(kQueue);
  const v1::ListFailedResponse failed = Do(&Tasks::ListFailed, list);
  ASSERT_EQ(failed.tasks_size(), 1);
  EXPECT_EQ(failed.tasks(0).id(), id);
  EXPECT_EQ(failed.tasks(0).attempts(), 2U);

  v1::RetryFailedRequest retry;
  retry.set_task_id(id);
  EXPECT_EQ(Do(&Tasks::RetryFailed, retry).retried(), 1U);
  worker.Send(Done(worker.tasks().Next()));
  EXPECT_TRUE(Await([&] { return GetTask(Any(), id).state() == v1::TASK_STATE_DONE; }));
  EXPECT_EQ(Do(&Tasks::ListFailed, list).tasks_size(), 0);
}

TEST_P(BehaviourTest, AMethodIsCalledByAnyByAllByNodeAndByConnection) {
  Node& home = Any();
  const AppHost app(home, {{"echo", Echoing()}, {"both", Returning("1")}});
  const AppHost other(Any(), {{"both", Returning("1")}});
  const auto ann = Open(home, "ann");
  AwaitOffers(deployment_.cluster->nodes());
  const v1::CallRequest echo = Request("echo", R"([{"n": [null]}])");
  v1::CallRequest to_ann = echo;
  to_ann.set_connection_id("ann");
  for (const v1::CallRequest& request : {echo, ToAny(echo), ToNode(home.id(), echo), to_ann}) {
    const Answer answer = Call(Any(), request);
    EXPECT_EQ(answer.response.node_id(), home.id()) << testing::PrintToString(answer);
    EXPECT_EQ(ToJson(answer.response.result()), R"({"n":[null]})");
  }
  const AllAnswers all = CallAll(Any(), "both");
  EXPECT_TRUE(all.status.ok()) << Describe(all.status);
  EXPECT_GE(all.replies.size(), 1U);
  for (const auto& [node, reply] : all.replies) EXPECT_EQ(reply.result().number_value(), 1) << node;
  v1::NotifyRequest notify;
  notify.set_method("echo");
  const Notified notified = Notify(Any(), notify);
  EXPECT_EQ(notified.receivers, 1) << Describe(notified.status);
  EXPECT_TRUE(
      app.calls().NextThat([](const AppHost::Frame::Call& call) { return call.notification(); }).notification());
}

TEST_P(BehaviourTest, WhatIsMissingFailsOrIsLateIsSaidByItsReason) {
  const auto failing = [](const AppHost::Frame::Call&) { return ErrorOf(grpc::OUT_OF_RANGE, "too far"); };
  const AppHost app(Any(), {{"fails", failing}, {"hangs", NeverAnswering()}});
  v1::CallRequest to_nobody = Request("node.ping");
  to_nobody.set_connection_id("nobody's");
  EXPECT_EQ(Call(Any(), Request("nobody.offers")).reason(), "METHOD_NOT_FOUND");
  EXPECT_EQ(Call(Any(), ToNode("actioncluster-worker-99", Request("node.ping"))).reason(), "NODE_NOT_FOUND");
  EXPECT_EQ(Call(Any(), to_nobody).reason(), "CONNECTION_NOT_FOUND");
  const Answer failed = Call(Any(), Request("fails"));
  EXPECT_EQ(failed.code(), grpc::OUT_OF_RANGE) << testing::PrintToString(failed);
  EXPECT_EQ(failed.reason(), "HANDLER_FAILED");
  EXPECT_EQ(failed.status.error_message(), "too far");
  constexpr absl::Duration kTime = absl::Seconds(1);  // In which it reaches the application.
  const Answer late = Call(Any(), Within(kTime, Request("hangs")));
  EXPECT_EQ(late.reason(), "RPC_TIMEOUT") << testing::PrintToString(late);
  EXPECT_GE(late.took, kTime);
  EXPECT_EQ(app.cancels().Next(),
            app.calls().NextThat([](const auto& call) { return call.method() == "hangs"; }).call_id());
}

TEST_P(BehaviourTest, NodesListThemselvesAndServe) {
  std::vector<std::string> ids;
  for (const Node& node : deployment_.cluster->nodes()) ids.push_back(node.id());
  for (const Node& node : deployment_.cluster->nodes()) {
    EXPECT_EQ(Cluster::ListedBy(node), ids);
    EXPECT_TRUE(node.IsServing());
    v1::GetNodeRequest itself;
    grpc::ClientContext context;
    v1::GetNodeResponse response;
    EXPECT_TRUE(node.cluster().GetNode(&context, itself, &response).ok());
    EXPECT_EQ(response.node().id(), node.id());
  }
}

TEST_P(BehaviourTest, MessagesReachWhoIsSubscribedToTheirTypeOrAPattern) {
  const Subscription exact(Any().pubsub(), {{"mail.in"}});
  const Subscription pattern(Any().pubsub(), {{}, {"mail.*"}});
  const Subscription other(Any().pubsub(), {{"news"}, {"post.*"}});
  for (const Subscription* subscription : {&exact, &pattern, &other}) EXPECT_NE(subscription->AwaitOpen(), "");
  Publish("mail.in", "1");
  Publish("mail.out", "2");
  Publish("mail.in", "3");
  Publish("news", "4");
  const auto texts = [](const Subscription& subscription, int count) {
    std::vector<std::string> said;
    for (int i = 0; i < count; ++i) {
      const Subscription::Message message = subscription.Next();
      EXPECT_FALSE(message.gap()) << message.ShortDebugString();
      said.push_back(absl::StrCat(message.message_type(), " ", message.data()));
    }
    return said;
  };
  EXPECT_THAT(texts(exact, 2), ElementsAre("mail.in 1", "mail.in 3"));
  EXPECT_THAT(texts(pattern, 3), ElementsAre("mail.in 1", "mail.out 2", "mail.in 3"));
  EXPECT_THAT(texts(other, 1), ElementsAre("news 4"));
  EXPECT_EQ(exact.unread() + pattern.unread() + other.unread(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, BehaviourTest,
                         testing::Values(Way{"SolitaryNode", SolitaryNode}, Way{"ThreeNodes", ThreeNodes},
                                         Way{"ThreeNodesByTls", ThreeNodesByTls},
                                         Way{"ThreeNodesBySentinel", ThreeNodesBySentinel}),
                         [](const testing::TestParamInfo<Way>& way) { return way.param.name; });

}  // namespace
}  // namespace actioncluster::cluster
