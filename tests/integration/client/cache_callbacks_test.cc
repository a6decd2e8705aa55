#include <grpc/support/cpu.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "actioncluster/cache.h"
#include "actioncluster/client.h"
#include "actioncluster/method_host.h"
#include "actioncluster/subscriber.h"
#include "actioncluster/worker.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/cache_fixture.h"
#include "tests/integration/client/fake_node.h"

namespace actioncluster::client {
namespace {

// What calls of the cache do in callbacks of the library. These run on few threads: whoever waits there for a stream's answer keeps it from coming.
class CacheInCallbacksTest : public CacheTest {
 protected:
  // Sends one message, and goes on until the test is over.
  FakeNode::Scripts Publishing() {
    FakeNode::Scripts scripts;
    scripts.subscribe = [this](grpc::ServerContext& context, FakeNode::SubscribeWriter& writer) {
      context.AddInitialMetadata("actioncluster-node-id", "fake");
      writer.SendInitialMetadata();
      writer.Write(v1::SubscribeResponse());
      over_.WaitForNotificationWithTimeout(kPatience);
      return grpc::Status::OK;
    };
    return scripts;
  }
  // Of the answer: who has given it.
  static int64_t Load(Client& client) {
    const auto loaded = Cache(client).Load(Of<v1::LoadRequest>("k"));
    return loaded.ok() ? loaded->version() : -1;
  }

  absl::Notification over_;
  Waiter<int64_t> versions_;
};

TEST_F(CacheInCallbacksTest, ACallGoesByItself) {
  FakeNode& node = Node(AnswerAll, Publishing());
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  const auto load = [&] { versions_.Add(Load(*client)); };
  const Subscriber subscriber(
      *client, {}, [&](const v1::SubscribeResponse&) { load(); }, [&](const AttachmentEvent&) { load(); });
  EXPECT_EQ(versions_.Next(), kByItself);
  EXPECT_EQ(versions_.Next(), kByItself);
  EXPECT_EQ(Load(*client), 100) << "others share";
  over_.Notify();
}

TEST_F(CacheInCallbacksTest, CallsInAllOfTheThreadsAtOnceAreAnswered) {
  // So many has gRPC 1.51.
  const int threads = std::clamp(static_cast<int>(gpr_cpu_num_cores() / 2), 2, 16);
  FakeNode& node = Node(AnswerAll, Publishing());
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  absl::Mutex mutex;
  int inside = 0;
  const auto all_inside = [&] { return inside == threads; };
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  for (int i = 0; i < threads; ++i) {
    subscribers.push_back(
        std::make_unique<Subscriber>(*client, v1::SubscribeRequest(), [&](const v1::SubscribeResponse&) {
          {
            absl::MutexLock lock(&mutex);
            ++inside;
            if (!mutex.AwaitWithTimeout(absl::Condition(&all_inside), kPatience)) return versions_.Add(-2);
          }
          versions_.Add(Load(*client));
        }));
  }
  for (int i = 0; i < threads; ++i) EXPECT_EQ(versions_.Next(), kByItself);
  EXPECT_EQ(Load(*client), 100) << "others share";
  over_.Notify();
}

TEST_F(CacheInCallbacksTest, WhereACallOrATaskIsCancelledACallGoesByItself) {
  FakeNode::Scripts scripts;
  absl::Notification called;
  absl::Notification running;
  scripts.serve = [&](FakeNode::ServeStream& stream) {
    v1::ServeRequest frame;
    stream.Read(&frame);
    stream.Write(Registered());
    stream.Write(CallFrame("c", "method"));
    called.WaitForNotificationWithTimeout(kPatience);
    v1::ServeResponse cancel;
    cancel.mutable_cancel()->set_call_id("c");
    stream.Write(cancel);
    while (stream.Read(&frame)) continue;
    return grpc::Status::OK;
  };
  scripts.work = [&](FakeNode::WorkStream& stream) {
    v1::WorkRequest frame;
    stream.Read(&frame);
    stream.Write(Started());
    stream.Write(TaskFrame("q/1", 7));
    running.WaitForNotificationWithTimeout(kPatience);
    stream.Write(RevokedFrame("q/1", 7, "timeout"));
    while (stream.Read(&frame) && !frame.has_stop()) continue;
    return grpc::Status::OK;
  };
  FakeNode& node = Node(AnswerAll, std::move(scripts));
  const auto client = ClientOf(node);
  const Anchor anchor(*this, *client);
  {
    std::vector<Invocation> invocations;
    MethodHost host(*client, {{"method", [&](Invocation invocation) {
                                 invocation.OnCancel([&] { versions_.Add(Load(*client)); });
                                 invocations.push_back(std::move(invocation));
                                 called.Notify();
                               }}});
    EXPECT_EQ(versions_.Next(), kByItself);
  }
  Worker worker(*client, [&](TaskContext& context) {
    const auto heard = std::make_shared<absl::Notification>();
    context.OnCancel([&, heard] {
      versions_.Add(Load(*client));
      heard->Notify();
    });
    running.Notify();
    heard->WaitForNotificationWithTimeout(kPatience);
    return TaskContent();
  });
  EXPECT_EQ(versions_.Next(), kByItself);
}

}  // namespace
}  // namespace actioncluster::client
