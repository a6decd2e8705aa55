// Published messages and those who hear them, with real nodes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/subscription.h"

namespace actioncluster::cluster {
namespace {

using fakes::Subscription;

constexpr char kNews[] = "news";
constexpr char kFlood[] = "flood";

grpc::Status Publish(const Node& node, const std::string& type, const std::string& data) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::PublishRequest request;
  request.set_message_type(type);
  request.set_data(data);
  v1::PublishResponse response;
  return node.pubsub().Publish(&context, request, &response);
}

// What of a process is in memory, bytes.
size_t Resident(const Node& node) {
  const std::vector<std::string> words = absl::StrSplit(ReadFile(absl::StrCat("/proc/", node.pid(), "/statm")), ' ');
  size_t pages = 0;
  EXPECT_TRUE(absl::SimpleAtoi(words.at(1), &pages));
  return pages * 4096;
}

// The publisher and number of messages that say `PUBLISHER NUMBER`, checked as they come: of each publisher, all of them, in order.
class Ledger {
 public:
  Ledger(int publishers, int each) : each_(each), next_(static_cast<size_t>(publishers)) {}

  void Add(const v1::SubscribeResponse& message) {
    const std::vector<std::string> words = absl::StrSplit(message.data(), ' ');
    size_t publisher = 0;
    int number = 0;
    absl::MutexLock lock(&mutex_);
    if (words.size() < 2 || !absl::SimpleAtoi(words[0], &publisher) || !absl::SimpleAtoi(words[1], &number) ||
        publisher >= next_.size() || number != next_[publisher]++ || message.missed() > 0 || message.gap()) {
      if (wrong_.empty()) wrong_ = message.ShortDebugString();
    }
    ++heard_;
  }
  bool AwaitAll() {
    const auto complete = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return heard_ >= each_ * static_cast<int>(next_.size());
    };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&complete), absl::Seconds(100));
  }
  // The first message that was out of order, came twice, or followed a loss; empty: all are right.
  std::string wrong() const {
    absl::MutexLock lock(&mutex_);
    return wrong_;
  }
  int heard() const {
    absl::MutexLock lock(&mutex_);
    return heard_;
  }

 private:
  const int each_;
  mutable absl::Mutex mutex_;
  std::vector<int> next_ ABSL_GUARDED_BY(mutex_);
  int heard_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string wrong_ ABSL_GUARDED_BY(mutex_);
};

TEST(PubSubTest, OfAThousandSubscribersOneIsStuckAndTheOthersHearEverythingInOrder) {
  constexpr int kSubscribers = 1000;
  constexpr int kEach = 200;    // Messages of each of three publishers.
  constexpr int kFloods = 600;  // Of 64 KiB: more than twice what the stuck one's outbox holds.
  Cluster cluster(3);
  std::deque<Ledger> ledgers;
  std::vector<std::unique_ptr<Subscription>> subscriptions;
  for (int i = 0; i < kSubscribers - 1; ++i) {
    Ledger& ledger = ledgers.emplace_back(3, kEach);
    const Subscription::Interest interest =
        i % 10 == 0 ? Subscription::Interest{{}, {"new*"}} : Subscription::Interest{{kNews}};
    subscriptions.push_back(std::make_unique<Subscription>(
        cluster.node(1 + i % 3).pubsub(), interest,
        Subscription::Options{.on_message = [&ledger](const v1::SubscribeResponse& message) { ledger.Add(message); }}));
  }
  const Node& holder = cluster.node(2);
  Subscription stuck(holder.pubsub(), {{kNews, kFlood}}, {.read = false});
  for (const auto& subscription : subscriptions) ASSERT_NE(subscription->AwaitOpen(), "");
  ASSERT_EQ(stuck.AwaitOpen(), holder.id());

  const size_t before = Resident(holder);
  const std::string ballast(64 << 10, 'x');
  for (int i = 0; i < kFloods; ++i) ASSERT_TRUE(Publish(cluster.node(1), kFlood, ballast).ok());
  const size_t grown = Resident(holder) - std::min(before, Resident(holder));
  const absl::Time begun = absl::Now();
  std::vector<std::thread> publishers;
  for (int p = 0; p < 3; ++p) {
    publishers.emplace_back([&cluster, p] {
      for (int i = 0; i < kEach; ++i) {
        EXPECT_TRUE(Publish(cluster.node(1 + p), kNews, absl::StrCat(p, " ", i)).ok());
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  for (Ledger& ledger : ledgers) {
    ASSERT_TRUE(ledger.AwaitAll()) << ledger.heard() << " heard";
    EXPECT_EQ(ledger.wrong(), "");
  }
  const absl::Duration took = absl::Now() - begun;

  stuck.Read();
  uint64_t told = 0;
  uint64_t received = 0;
  while (told + received < kFloods + 3 * kEach) {
    const v1::SubscribeResponse message = stuck.Next();
    told += message.missed();
    if (!message.message_type().empty()) ++received;
  }
  EXPECT_EQ(told + received, static_cast<uint64_t>(kFloods) + 3 * kEach);
  EXPECT_GT(told, 0u);
  // Its outbox, and what gRPC and the allocator hold on the way of 600 messages; of the 37.5 MiB that it did not read.
  EXPECT_LT(grown, size_t{30} << 20);
  std::cout << kSubscribers - 1 << " subscribers heard " << 3 * kEach << " messages each in " << took << ", "
            << absl::ToDoubleMicroseconds(took) / (3.0 * kEach * (kSubscribers - 1))
            << " us a delivery; the stuck one heard " << received << " and was told of " << told
            << " missed; its node grew by " << grown / 1024 << " KiB\n";
}

TEST(PubSubTest, SubscribersOfOtherNodesHearOnWhenANodeIsKilled) {
  Cluster cluster(3);
  Subscription there(cluster.node(2).pubsub(), {{kNews}});
  Subscription orphan(cluster.node(3).pubsub(), {{kNews}});
  ASSERT_NE(there.AwaitOpen(), "");
  ASSERT_NE(orphan.AwaitOpen(), "");
  cluster.node(3).Kill();
  EXPECT_EQ(orphan.AwaitEnd().error_code(), grpc::UNAVAILABLE);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Publish(cluster.node(1 + i % 2), kNews, absl::StrCat(i)).ok());
    EXPECT_EQ(there.Next().data(), absl::StrCat(i));
  }
}

TEST(PubSubTest, ANodeThatStopsEndsItsStreamsAndNamesOthers) {
  Cluster cluster(2);
  Subscription subscription(cluster.node(2).pubsub(), {{kNews}});
  ASSERT_NE(subscription.AwaitOpen(), "");
  ExpectCleanStop(cluster.node(2).program());
  const grpc::Status end = subscription.AwaitEnd();
  EXPECT_EQ(end.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(end).metadata().at("alternatives"), cluster.node(1).address());
}

TEST(PubSubTest, OnePausedNodeHoldsUpNobodyElse) {
  Cluster cluster(3);
  Subscription there(cluster.node(2).pubsub(), {{kNews}});
  Subscription paused(cluster.node(3).pubsub(), {{kNews}});
  ASSERT_NE(there.AwaitOpen(), "");
  ASSERT_NE(paused.AwaitOpen(), "");
  cluster.node(3).Pause();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Publish(cluster.node(1), kNews, absl::StrCat(i)).ok());
    EXPECT_EQ(there.Next().data(), absl::StrCat(i));
  }
  cluster.node(3).Resume();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(paused.Next().data(), absl::StrCat(i));
}

}  // namespace
}  // namespace actioncluster::cluster
