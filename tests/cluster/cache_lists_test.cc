// Lists over three nodes: what is pushed is popped once, and each producer's items in their order.
//
// ACTIONTEST_ITEMS=1000000 build/release/cluster_cache --gtest_filter='CacheListsTest.*': so many items, however long it takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using testing::IsEmpty;

constexpr int kNodes = 3;
constexpr int64_t kFrame = 250;  // Operations.

int64_t Items() {
  const char* const text = std::getenv("ACTIONTEST_ITEMS");
  int64_t items = 0;
  return text != nullptr && absl::SimpleAtoi(text, &items) ? items : 30'000;
}

// What came out, seen by one client after the other's pop or at the same time.
class Popped {
 public:
  explicit Popped(int64_t each) : seen_(kNodes, std::vector<bool>(static_cast<size_t>(each))) {}

  // An item `PRODUCER NUMBER` that came to a client. Its former items are of smaller numbers.
  void Add(const std::string& item, std::vector<int64_t>& last_of_client) {
    const std::vector<std::string> words = absl::StrSplit(item, ' ');
    size_t producer = 0;
    int64_t number = 0;
    absl::MutexLock lock(&mutex_);
    if (words.size() != 2 || !absl::SimpleAtoi(words[0], &producer) || !absl::SimpleAtoi(words[1], &number) ||
        producer >= seen_.size() || number < 0 || number >= static_cast<int64_t>(seen_[producer].size())) {
      problems_.push_back(absl::StrCat("not pushed: ", item));
      return;
    }
    if (seen_[producer][static_cast<size_t>(number)]) problems_.push_back(absl::StrCat("popped twice: ", item));
    seen_[producer][static_cast<size_t>(number)] = true;
    if (number <= last_of_client[producer])
      problems_.push_back(absl::StrCat("popped after ", last_of_client[producer], ": ", item));
    last_of_client[producer] = number;
    ++count_;
  }
  int64_t count() const { return count_; }
  std::vector<std::string> problems() const {
    absl::MutexLock lock(&mutex_);
    return problems_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::vector<bool>> seen_ ABSL_GUARDED_BY(mutex_);  // By producer and number.
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int64_t> count_ = 0;
};

class CacheListsTest : public testing::Test {
 protected:
  // Pushes `each` items through the node, a frame at a time.
  static void Produce(const Node& node, size_t producer, int64_t each) {
    Pipeline pipeline(node);
    for (int64_t number = 0; number < each;) {
      std::vector<Pipeline::Operation> frame;
      for (; number < each && std::ssize(frame) < kFrame; ++number)
        *frame.emplace_back().mutable_push() = PushOf("list", absl::StrCat(producer, " ", number));
      for (const Pipeline::Result& result : pipeline.Do(std::move(frame)))
        ASSERT_TRUE(result.has_push()) << result.ShortDebugString();
    }
    EXPECT_TRUE(pipeline.Finish().ok());
  }

  // Pops until all are there, by frames, and where the list is empty by one that waits.
  static void Consume(const Node& node, int64_t all, Popped& popped) {
    Pipeline pipeline(node);
    std::vector<int64_t> last(kNodes, -1);
    bool empty = false;
    while (popped.count() < all) {
      std::vector<Pipeline::Operation> frame(empty ? 1 : static_cast<size_t>(kFrame));
      for (Pipeline::Operation& operation : frame)
        *operation.mutable_pop() = PopOf("list", empty ? absl::Milliseconds(200) : absl::ZeroDuration());
      empty = true;
      for (const Pipeline::Result& result : pipeline.Do(std::move(frame))) {
        ASSERT_TRUE(result.has_pop()) << result.ShortDebugString();
        if (!result.pop().has_data()) continue;
        empty = false;
        popped.Add(result.pop().data(), last);
      }
    }
    EXPECT_TRUE(pipeline.Finish().ok());
  }

  Cluster cluster_{kNodes};
};

TEST_F(CacheListsTest, EachItemIsPoppedOnceAndEachProducersOrderIsKept) {
  const int64_t each = Items() / kNodes;
  Popped popped(each);
  const absl::Time begun = absl::Now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kNodes; ++i) {
    const Node& node = cluster_.node(1 + static_cast<int>(i));
    threads.emplace_back([&node, i, each] { Produce(node, i, each); });
    threads.emplace_back([&node, each, &popped] { Consume(node, kNodes * each, popped); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(popped.problems(), IsEmpty());
  EXPECT_EQ(popped.count(), kNodes * each);
  EXPECT_EQ(Good(Ask(cluster_.node(1), &Cache::ListLength, On<v1::ListLengthRequest>("list"))).length(), 0);
  std::cout << popped.count() << " items pushed and popped in " << absl::Now() - begun << "\n";
  EXPECT_TRUE(Await([&] { return CacheKeysIn(cluster_.redis()).empty(); }));
}

// Clients that pop are killed all the time; their successors repeat at another node what was not answered.
TEST_F(CacheListsTest, EachItemIsPoppedOnceWhileClientsDieAndTheirSuccessorsRepeatThemselves) {
  constexpr int64_t kItems = 6000;
  Popped popped(kItems / kNodes);
  for (size_t i = 0; i < kNodes; ++i) Produce(cluster_.node(1 + static_cast<int>(i)), i, kItems / kNodes);
  std::atomic<int> deaths = 0;
  std::vector<std::thread> threads;
  for (int consumer = 0; consumer < kNodes; ++consumer) {
    threads.emplace_back([&, consumer] {
      std::vector<int64_t> last(kNodes, -1);
      int node = consumer;
      auto pipeline = std::make_unique<Pipeline>(cluster_.node(1 + node % kNodes));
      for (int64_t frame = 0; popped.count() < kItems; ++frame) {
        std::vector<Pipeline::Operation> pops(50);
        for (size_t i = 0; i < pops.size(); ++i) {
          pops[i].mutable_pop()->set_key("list");
          pops[i].mutable_pop()->set_request_id(absl::StrCat(consumer, "-", frame, "-", i));
        }
        std::optional<std::vector<Pipeline::Result>> results;
        for (bool first = true; !results.has_value(); first = false) {
          pipeline->Send(pops);
          if (first && frame % 2 == 0) pipeline->Cut();
          results = pipeline->Receive();
          if (results.has_value()) continue;
          ++deaths;
          pipeline = std::make_unique<Pipeline>(cluster_.node(1 + ++node % kNodes));
        }
        for (const Pipeline::Result& result : *results) {
          if (result.pop().has_data()) popped.Add(result.pop().data(), last);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(popped.problems(), IsEmpty());
  EXPECT_EQ(popped.count(), kItems);
  EXPECT_GT(deaths, 10);
  std::cout << kItems << " items, " << deaths << " clients died\n";
}

}  // namespace
}  // namespace actioncluster::cluster
