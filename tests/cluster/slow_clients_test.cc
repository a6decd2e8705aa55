// Clients that do not read: what becomes of them, and of the others.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::cluster {
namespace {

using Frame = RawClient::Frame;

constexpr int kStuck = 10;
constexpr int kSaid = 1000;           // 64 KiB each: 640 MiB for those that are stuck.
constexpr size_t kOutbox = 64 << 10;  // The smallest: what gRPC and the kernel hold for a stream is more.

// What of a process is in memory, bytes.
size_t Resident(const Node& node) {
  const std::vector<std::string> words = absl::StrSplit(ReadFile(absl::StrCat("/proc/", node.pid(), "/statm")), ' ');
  size_t pages = 0;
  EXPECT_TRUE(absl::SimpleAtoi(words.at(1), &pages));
  return pages * 4096;
}

// What has come of numbered messages, as it comes: the number of those that came and of those that were said to be
// missing, each where it is missing.
class Count {
 public:
  void Add(const Frame& frame) {
    absl::MutexLock lock(&mutex_);
    if (frame.has_missed()) {
      missed_ += frame.missed().count();
      next_ += frame.missed().count();
    } else if (frame.has_message()) {
      const std::vector<std::string> words = absl::StrSplit(frame.message().data(), ' ');
      uint64_t number = 0;
      if (!absl::SimpleAtoi(words[0], &number) || number != next_) wrong_ = absl::StrCat(words[0], " for ", next_);
      ++came_;
      ++next_;
    }
  }
  bool AwaitAll(uint64_t count) {
    absl::MutexLock lock(&mutex_);
    const auto all = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return came_ + missed_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&all), 3 * kPatience);
  }
  uint64_t came() const {
    absl::MutexLock lock(&mutex_);
    return came_;
  }
  uint64_t missed() const {
    absl::MutexLock lock(&mutex_);
    return missed_;
  }
  std::string wrong() const {
    absl::MutexLock lock(&mutex_);
    return wrong_;
  }

 private:
  mutable absl::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t came_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t missed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string wrong_ ABSL_GUARDED_BY(mutex_);
};

class SlowClientsTest : public testing::Test {
 protected:
  explicit SlowClientsTest(const std::string& what = "drop")
      : cluster_(3,
                 {.flags = {"--connection-outbox-bytes", absl::StrCat(kOutbox), "--slow-clients", what}, .redis = {}}) {
    CreateRoom(cluster_.node(1), "hall");
    for (int i = 0; i < kStuck; ++i) {
      // A connection of its own, with which nobody else is stuck.
      channels_.push_back(cluster_.node(2).NewChannel());
      stubs_.push_back(v1::ConnectionService::NewStub(channels_.back()));
      const std::string id = absl::StrCat("stuck-", i);
      stuck_.push_back(std::make_unique<RawClient>(
          *stubs_.back(), HelloOf(id),
          RawClient::Options{
              .read_on = false,
              .on_message = [&count = counts_[static_cast<size_t>(i)]](const Frame& frame) { count.Add(frame); }}));
      stuck_.back()->AwaitWelcome();
      Good(Ask(cluster_.node(1), &Rooms::AddMember, AddOf(id, "hall")));
    }
    for (int number = 1; number <= 3; ++number) {
      readers_.push_back(OpenIn(cluster_.node(number), absl::StrCat("reader-", number), "hall"));
    }
  }

  // All that is said, and every reader hears it before the next.
  void SayAll() {
    v1::BroadcastRequest request;
    request.set_room("hall");
    const std::string ballast(64 << 10, 'x');
    for (int i = 0; i < kSaid; ++i) {
      request.set_data(absl::StrCat(i, " ", ballast));
      const absl::Time said = absl::Now();
      ASSERT_TRUE(Ask(cluster_.node(1), &Rooms::Broadcast, request).ok());
      for (const auto& reader : readers_) ASSERT_EQ(reader->messages().Next().data().size(), request.data().size());
      slowest_ = std::max(slowest_, absl::Now() - said);
    }
  }

  Cluster cluster_;
  std::vector<Count> counts_{kStuck};
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<v1::ConnectionService::Stub>> stubs_;
  std::vector<std::unique_ptr<RawClient>> stuck_;
  std::vector<std::unique_ptr<RawClient>> readers_;
  absl::Duration slowest_;
};

TEST_F(SlowClientsTest, TheyHearHowManyTheyMissedAndHoldUpNobodyAndTheirNodeDoesNotGrow) {
  const Node& holder = cluster_.node(2);
  const size_t before = Resident(holder);
  ASSERT_NO_FATAL_FAILURE(SayAll());
  const size_t after = Resident(holder);
  // Their outboxes, and what gRPC takes for each stream before it says that it is full; of 640 MiB that they did not
  // read.
  EXPECT_LT(after, before + (size_t{48} << 20));
  EXPECT_LT(slowest_, absl::Seconds(2));
  const v1::Connection seen = Good(Ask(cluster_.node(1), &Connections::Get, GetOf("stuck-0"))).connection();
  EXPECT_GT(seen.messages_missed(), 0U);
  for (const auto& client : stuck_) client->Read();
  for (Count& count : counts_) {
    EXPECT_TRUE(count.AwaitAll(kSaid)) << count.came() << " came, " << count.missed() << " missed";
    EXPECT_EQ(count.came() + count.missed(), static_cast<uint64_t>(kSaid));
    EXPECT_GT(count.missed(), 0U);
    EXPECT_EQ(count.wrong(), "");
  }
  // It goes on.
  stuck_[0]->Done("detailsView");
  std::cout << kSaid << " messages of 64 KiB: the slowest was heard by all who read after " << slowest_
            << "; a stuck one heard " << counts_[0].came() << " and was told of " << counts_[0].missed()
            << " missed; the node of " << kStuck << " such grew by "
            << (static_cast<double>(after) - static_cast<double>(before)) / (1 << 20) << " MiB\n";
}

class ClosedSlowClientsTest : public SlowClientsTest {
 protected:
  ClosedSlowClientsTest() : SlowClientsTest("close") {}
};

TEST_F(ClosedSlowClientsTest, TheyAreDisconnectedIfTheNodeIsSetSoAndHoldUpNobody) {
  const size_t before = Resident(cluster_.node(2));
  ASSERT_NO_FATAL_FAILURE(SayAll());
  EXPECT_LT(Resident(cluster_.node(2)), before + (size_t{48} << 20));
  EXPECT_LT(slowest_, absl::Seconds(2));
  EXPECT_TRUE(Await([&] { return MembersOf(cluster_.node(1), "hall").size() == 3; }));
  EXPECT_THAT(Listed(cluster_.node(3)), testing::ElementsAre("reader-1", "reader-2", "reader-3"));
  for (size_t i = 0; i < stuck_.size(); ++i) {
    stuck_[i]->Read();
    stuck_[i]->AwaitEnd();
    EXPECT_GT(counts_[i].came(), 0U);
    EXPECT_EQ(counts_[i].wrong(), "");
  }
}

TEST_F(ClosedSlowClientsTest, OneThatReadsInTimeHearsWhyItIsDisconnected) {
  v1::BroadcastRequest request;
  request.set_room("hall");
  request.set_data(absl::StrCat("0 ", std::string(1 << 20, 'x')));
  std::set<size_t> stuck;
  for (size_t i = 0; i < stuck_.size(); ++i) stuck.insert(i);
  for (int i = 0; i < kSaid && !stuck.empty(); ++i) {
    ASSERT_TRUE(Ask(cluster_.node(1), &Rooms::Broadcast, request).ok());
    // Or they were too slow themselves.
    for (const auto& reader : readers_) ASSERT_EQ(reader->messages().Next().data().size(), request.data().size());
    const std::vector<std::string> members = MembersOf(cluster_.node(1), "hall");
    // Each at once when it is disconnected: the node does not wait for long, and the others may take their time.
    std::erase_if(stuck, [&](size_t number) {
      const bool gone = !std::ranges::binary_search(members, absl::StrCat("stuck-", number));
      if (gone) stuck_[number]->Read();
      return gone;
    });
  }
  EXPECT_TRUE(stuck.empty());
  for (const auto& client : stuck_) {
    const std::string reason = client->goodbyes().Next().reason();
    const grpc::Status status = client->AwaitEnd();
    EXPECT_EQ(reason, "too_slow") << Describe(status);
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED) << Describe(status);
    EXPECT_EQ(ReasonOf(status), "LIMIT_EXCEEDED");
  }
}

}  // namespace
}  // namespace actioncluster::cluster
