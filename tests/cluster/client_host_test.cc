// Methods of a C++ MethodHost, called through the cluster: their answers, and what becomes of the host's stream.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/client_support.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using client::Invocation;
using client::ReasonOf;
using client::ToValue;
using testing::ElementsAre;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";

// Nodes count them now and then.
bool AwaitApplications(const Node& by, const std::string& node_id, uint32_t count) {
  return Await([&] {
    const auto node = Cluster::Find(by, node_id);
    return node.has_value() && node->counts().applications() == count;
  });
}

TEST(ClientHostTest, EveryKindOfAnswerReachesTheCaller) {
  Cluster cluster(2);
  const auto client = NewClient(cluster.node(2));
  MethodHost host(
      *client,
      {{"greet",
        [](Invocation call) {
          std::move(call).Return(ToValue("hello, " + call.call().args().values(0).string_value()));
        }},
       {"bytes", [](Invocation call) { std::move(call).ReturnBytes(call.call().data() + "\xff"); }},
       {"nothing", [](Invocation call) { std::move(call).ReturnNothing(); }},
       {"fail",
        [](Invocation call) {
          std::move(call).Fail(client::WithMetadata(absl::OutOfRangeError("out of cheese"), "wanted", "cheddar"));
        }},
       {"throw", [](Invocation) { throw std::runtime_error("thrown"); }},
       {"drop", [](Invocation) {}},
       {"no-utf8", client::Returning([](const auto&) { return ToValue("\xff"); })},
       {"large", [](Invocation call) { std::move(call).ReturnBytes(std::string(9'000'000, 'x')); }}});
  ASSERT_TRUE(host.AwaitAttached(kPatience).ok());
  const Node& caller = cluster.node(1);

  EXPECT_EQ(Call(caller, Request("greet", "[\"you\"]")).response.result().string_value(), "hello, you");
  v1::CallRequest bytes;
  bytes.set_method("bytes");
  bytes.set_data("\xfe");
  EXPECT_EQ(Call(caller, bytes).response.data(), "\xfe\xff");
  const Answer nothing = Call(caller, Request("nothing"));
  EXPECT_TRUE(nothing.ok());
  EXPECT_EQ(nothing.response.content_case(), v1::CallResponse::CONTENT_NOT_SET);
  EXPECT_EQ(nothing.response.node_id(), kTwo);

  const Answer failed = Call(caller, Request("fail"));
  EXPECT_EQ(failed.code(), grpc::OUT_OF_RANGE);
  EXPECT_EQ(failed.status.error_message(), "out of cheese");
  EXPECT_EQ(failed.metadata("wanted"), "cheddar");
  EXPECT_EQ(failed.reason(), "HANDLER_FAILED");
  const Answer thrown = Call(caller, Request("throw"));
  EXPECT_EQ(thrown.code(), grpc::UNKNOWN);
  EXPECT_EQ(thrown.status.error_message(), "thrown");
  EXPECT_EQ(Call(caller, Request("drop")).code(), grpc::INTERNAL);
  // What the node could not even read is an error of this call, and not the end of the stream.
  EXPECT_EQ(Call(caller, Request("no-utf8")).code(), grpc::UNKNOWN);
  EXPECT_EQ(Call(caller, Request("large")).code(), grpc::UNKNOWN);
  EXPECT_TRUE(Call(caller, Request("nothing")).ok());
}

TEST(ClientHostTest, AHandlerHearsThatItsCallerHasGivenUpAndTheHostGoesOn) {
  Cluster cluster(2);
  const auto client = NewClient(cluster.node(2));
  absl::Notification running, cancelled, released;
  MethodHost host(*client, {{"slow",
                             [&](Invocation call) {
                               call.OnCancel([&] { cancelled.Notify(); });
                               running.Notify();
                               released.WaitForNotification();
                               EXPECT_TRUE(call.IsCancelled());
                             }},
                            {"quick", client::Returning([](const auto&) { return ToValue(1); })}});
  ASSERT_TRUE(host.AwaitAttached(kPatience).ok());
  grpc::ClientContext context;
  std::thread calling([&] {
    v1::CallResponse response;
    EXPECT_FALSE(cluster.node(1).rpc().Call(&context, Request("slow"), &response).ok());
  });
  ASSERT_TRUE(running.WaitForNotificationWithTimeout(kPatience));
  context.TryCancel();
  calling.join();
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(kPatience));
  EXPECT_TRUE(Call(cluster.node(1), Request("quick")).ok());
  released.Notify();
}

TEST(ClientHostTest, ACallThatOutlivesItsDeadlineIsCancelled) {
  Cluster cluster(1);
  const auto client = NewClient(cluster.node(1));
  absl::Notification cancelled;
  std::optional<Invocation> kept;
  MethodHost host(*client, {{"slow", [&](Invocation call) {
                               kept = std::move(call);
                               kept->OnCancel([&] { cancelled.Notify(); });
                             }}});
  ASSERT_TRUE(host.AwaitAttached(kPatience).ok());
  const Answer late = Call(cluster.node(1), Within(absl::Seconds(1), Request("slow")));
  EXPECT_EQ(late.code(), grpc::DEADLINE_EXCEEDED);
  ASSERT_TRUE(cancelled.WaitForNotificationWithTimeout(kPatience));
  std::move(*kept).Return(ToValue(1));
}

TEST(ClientHostTest, AGracefulStopFinishesWhatRunsAndFailsNoCall) {
  Cluster cluster(3);
  const auto two = NewClient(cluster.node(2));
  const auto three = NewClient(cluster.node(3));
  const std::map<std::string, client::Handler> work = {{"work", client::Returning([](const auto&) {
                                                          absl::SleepFor(absl::Milliseconds(2));
                                                          return ToValue(1);
                                                        })}};
  MethodHost staying(*three, work);
  ASSERT_TRUE(staying.AwaitAttached(kPatience).ok());
  const auto caller = NewClient({.addresses = {cluster.node(1).address()}, .timeout = kPatience});
  std::atomic<bool> stop = false;
  std::atomic<int> calls = 0;
  std::vector<absl::Status> failures(4);
  std::vector<std::thread> callers;
  for (absl::Status& failure : failures) {
    callers.emplace_back([&] {
      for (; !stop; ++calls) failure.Update(caller->Call(AnyCall("work")).status());
    });
  }
  for (int i = 0; i < 5; ++i) {
    const Events events;
    MethodHost leaving(*two, work, Telling(events));
    ASSERT_TRUE(leaving.AwaitAttached(kPatience).ok());
    const int before = calls;
    EXPECT_TRUE(Await([&] { return calls > before + 50; }));
    leaving.Stop(kPatience);
    EXPECT_TRUE(events.Await(AttachmentEvent::Kind::kEnded).status.ok());
  }
  stop = true;
  for (std::thread& thread : callers) thread.join();
  for (const absl::Status& failure : failures) EXPECT_TRUE(failure.ok()) << failure;
}

TEST(ClientHostTest, AStopWithoutGraceCancelsWhatRuns) {
  Cluster cluster(2);
  const auto client = NewClient(cluster.node(2));
  absl::Notification running;
  MethodHost host(*client, {{"slow", [&](Invocation call) {
                               absl::Notification cancelled;
                               call.OnCancel([&] { cancelled.Notify(); });
                               running.Notify();
                               EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(kPatience));
                             }}});
  ASSERT_TRUE(host.AwaitAttached(kPatience).ok());
  Answer answer;
  std::thread calling([&] { answer = Call(cluster.node(1), Within(kPatience, Request("slow"))); });
  ASSERT_TRUE(running.WaitForNotificationWithTimeout(kPatience));
  host.Stop(absl::ZeroDuration());
  calling.join();
  EXPECT_EQ(answer.reason(), "HANDLER_FAILED") << testing::PrintToString(answer);
  EXPECT_EQ(host.AwaitAttached(kPatience).code(), absl::StatusCode::kCancelled);
}

TEST(ClientHostTest, HeartbeatsKeepAnIdleHostAttached) {
  Cluster cluster(1);
  const auto client = NewClient(cluster.node(1));
  const Events events;
  MethodHostOptions options = Telling(events);
  options.heartbeat_timeout = absl::Seconds(2);
  MethodHost host(*client, {{"work", client::Returning([](const auto&) { return ToValue(1); })}}, options);
  EXPECT_EQ(events.AwaitAttached(), kOne);
  // Longer than the node would take silence; the proof is that nothing happens.
  EXPECT_FALSE(Await([&] { return events.size() > 0; }, absl::Seconds(5)));
  EXPECT_TRUE(Call(cluster.node(1), Request("work")).ok());
}

TEST(ClientHostTest, WhenItsNodeDrainsItIsAttachedElsewhereBeforeItLetsGoAndNoCallFails) {
  Cluster cluster(3);
  const auto two = NewClient(cluster.node(2));
  const auto three = NewClient(cluster.node(3));
  const std::map<std::string, client::Handler> work = {
      {"work", client::Returning([](const auto&) { return ToValue(1); })}};
  absl::Notification running, released;
  std::map<std::string, client::Handler> moving_work = work;
  moving_work["slow"] = [&](Invocation call) {
    running.Notify();
    EXPECT_TRUE(released.WaitForNotificationWithTimeout(kPatience));
    std::move(call).Return(ToValue("done"));
  };
  const Events events;
  MethodHost moving(*two, moving_work, Telling(events));
  MethodHost staying(*three, work);
  EXPECT_EQ(events.AwaitAttached(), kTwo);
  ASSERT_TRUE(staying.AwaitAttached(kPatience).ok());
  const auto caller = NewClient({.addresses = {cluster.node(1).address()}, .timeout = kPatience});
  absl::StatusOr<v1::CallResponse> slow;
  std::thread calling_slow([&] { slow = caller->Call(AnyCall("slow")); });
  ASSERT_TRUE(running.WaitForNotificationWithTimeout(kPatience));
  ASSERT_TRUE(AwaitApplications(cluster.node(1), kTwo, 1));
  std::atomic<bool> stop = false;
  absl::Status failed;
  std::atomic<int> calls = 0;
  std::thread calling([&] {
    for (; !stop; ++calls) failed.Update(caller->Call(AnyCall("work")).status());
  });

  v1::DrainRequest drain;
  drain.set_node_id(kTwo);
  drain.mutable_timeout()->set_seconds(20);
  absl::StatusOr<v1::DrainResponse> drained;
  std::thread draining([&] { drained = NewClient(cluster.node(1))->Drain(drain); });
  EXPECT_NE(events.AwaitAttached(), kTwo);
  EXPECT_EQ(events.size(), 0U) << "it was attached all the time";
  const int after = calls;
  EXPECT_TRUE(Await([&] { return calls > after + 50; }));
  released.Notify();
  calling_slow.join();
  draining.join();
  stop = true;
  calling.join();
  EXPECT_TRUE(failed.ok()) << failed;
  ASSERT_TRUE(slow.ok()) << slow.status();
  EXPECT_EQ(slow->node_id(), kTwo) << "what ran there has ended there";
  EXPECT_EQ(drained.value().calls_running(), 0U);
  EXPECT_TRUE(AwaitApplications(cluster.node(1), kTwo, 0)) << "nothing is left of the first stream";
  EXPECT_EQ(events.size(), 0U);
}

TEST(ClientHostTest, WhenItsNodeIsKilledItIsAttachedToAnotherThatItHasLearntOf) {
  Cluster cluster(2);
  const auto client = NewClient(cluster.node(2));
  const Events events;
  MethodHost host(*client, {{"work", client::Returning([](const auto&) { return ToValue(1); })}}, Telling(events));
  EXPECT_EQ(events.AwaitAttached(), kTwo);
  // It has asked for the list before it said so, and whoever asks later is answered later.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client->ListNodes().ok());
  const absl::Time killed = absl::Now();
  cluster.node(2).Kill();
  const AttachmentEvent lost = events.Await(AttachmentEvent::Kind::kLost);
  EXPECT_EQ(lost.status.code(), absl::StatusCode::kUnavailable) << lost.status;
  EXPECT_EQ(lost.address, cluster.node(2).address());
  EXPECT_EQ(events.AwaitAttached(), kOne);
  EXPECT_LT(absl::Now() - killed, absl::Seconds(2));
  const Answer answer = Call(cluster.node(1), ToAny(Request("work")));
  EXPECT_EQ(answer.response.node_id(), kOne) << testing::PrintToString(answer);
}

TEST(ClientHostTest, ANodeThatDoesNotAnswerIsNotWaitedFor) {
  Cluster cluster(2);
  cluster.node(1).Pause();
  const auto client = NewClient({.addresses = {cluster.node(1).address(), cluster.node(2).address()}});
  const Events events;
  const absl::Time begun = absl::Now();
  MethodHost host(*client, {{"work", client::Returning([](const auto&) { return ToValue(1); })}}, Telling(events));
  EXPECT_EQ(events.Await(AttachmentEvent::Kind::kLost).address, cluster.node(1).address());
  EXPECT_EQ(events.AwaitAttached(), kTwo);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(6));
  cluster.node(1).Resume();
}

TEST(ClientHostTest, AHostThatIsThereBeforeItsNodeIsAttachedWhenThatComes) {
  Cluster cluster(0);
  const auto reserved = std::make_unique<Ports>(2);
  const auto client = NewClient({.addresses = {"127.0.0.1:" + std::to_string(reserved->first() + 1)}});
  const Events events;
  MethodHost host(*client, {{"work", client::Returning([](const auto&) { return ToValue(1); })}}, Telling(events));
  for (int i = 0; i < 3; ++i) events.Await(AttachmentEvent::Kind::kLost);
  EXPECT_EQ(host.AwaitAttached(absl::ZeroDuration()).code(), absl::StatusCode::kDeadlineExceeded);
  Program node(
      StartCommand({"--workers", "1", "--port", std::to_string(reserved->first()), "--data-dir", cluster.dir() / "data",
                    "--redis", cluster.redis().url(), "--server-token-file", cluster.dir() / "server-token"}));
  EXPECT_EQ(events.AwaitAttached(), kOne);
  EXPECT_TRUE(host.AwaitAttached(absl::ZeroDuration()).ok());
}

TEST(ClientHostTest, WhatNoNodeWillEverTakeEndsIt) {
  Cluster cluster(1);
  const auto client = NewClient(cluster.node(1));
  const Events events;
  MethodHost host(*client, {{"node.mine", [](Invocation) {}}}, Telling(events));
  EXPECT_EQ(host.AwaitAttached(kPatience).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(events.Await(AttachmentEvent::Kind::kEnded).status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(ClientHostTest, HostsComeAndGoInAnyState) {
  Cluster cluster(1);
  const auto client = NewClient({.addresses = {"127.0.0.1:1", cluster.node(1).address()}});
  const std::map<std::string, client::Handler> work = {
      {"work", client::Returning([](const auto&) { return ToValue(1); })}};
  for (int i = 0; i < 50; ++i) {
    MethodHost host(*client, work);
    if (i % 2 == 0) {
      ASSERT_TRUE(host.AwaitAttached(kPatience).ok());
    }
    if (i % 3 == 0) host.Stop(kPatience);
  }
  EXPECT_TRUE(Await([&] { return client->ListMethods().value().methods_size() == 0; })) << "no stream is left";
}

}  // namespace
}  // namespace actioncluster::cluster
