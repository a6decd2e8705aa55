#include "backplane/redis/loop.h"

#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "backplane/domain/clock.h"
#include "gtest/gtest.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {
namespace {

TEST(LoopTest, PostsFromManyThreadsAllRunInEachThreadsOrder) {
  constexpr int kThreads = 8;
  constexpr int kPosts = 20000;
  std::vector<int> next(kThreads, 0);
  bool in_order = true;
  {
    fakes::LoopThread loop_thread;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kPosts; ++i) {
          loop_thread.loop().Post(
              [&, t, i] { in_order = in_order && loop_thread.loop().InLoop() && next[static_cast<size_t>(t)]++ == i; });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_TRUE(in_order);
  EXPECT_EQ(next, std::vector<int>(kThreads, kPosts));
}

TEST(LoopTest, RunEndsWhatWasPostedBeforeStopAndWhatThesePost) {
  Loop loop;
  std::vector<int> ran;
  loop.Post([&] {
    ran.push_back(1);
    loop.Post([&] {
      ran.push_back(3);
      loop.Post([&] { ran.push_back(4); });
    });
  });
  loop.Post([&] { ran.push_back(2); });
  loop.Stop();
  loop.Run();
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3, 4}));
  EXPECT_FALSE(loop.InLoop());
}

TEST(LoopTest, WhatIsPostedAfterRunIsDestroyedUnrun) {
  const auto held = std::make_shared<int>(0);
  {
    Loop loop;
    loop.Stop();
    loop.Run();
    loop.Post([held] { ++*held; });
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

TEST(LoopTest, FlushHooksRunOnceAfterAllThatATurnDid) {
  Loop loop;
  std::vector<int> order;
  int hooks = 0;
  const auto hook = loop.AddFlushHook([&] {
    if (!order.empty()) order.push_back(0);
    ++hooks;
  });
  auto removed = loop.AddFlushHook([&] { order.push_back(-1); });
  for (int i = 1; i <= 3; ++i) loop.Post([&, i] { order.push_back(i); });
  loop.Post([&] {
    removed.reset();
    loop.Stop();
  });
  loop.Run();
  EXPECT_GE(hooks, 2);
  // The removed one ran before the first turn, as nothing had happened yet.
  order.resize(5);
  EXPECT_EQ(order, (std::vector<int>{-1, 1, 2, 3, 0}));
}

TEST(TimerTest, FiresNotBeforeItsTimeAndNotInsideSet) {
  fakes::LoopThread thread;
  const fakes::Waiter<absl::Time> fired;
  std::unique_ptr<Timer> timer;
  absl::Time due;
  thread.Run([&] {
    timer = std::make_unique<Timer>(thread.loop(), [&] { fired.Add(MonotonicNow()); });
    timer->Set(MonotonicNow() - absl::Seconds(1));
    EXPECT_EQ(fired.size(), 0u);
  });
  fired.Next();
  thread.Run([&] {
    due = MonotonicNow() + absl::Milliseconds(20);
    timer->Set(due);
  });
  EXPECT_GE(fired.Next(), due);
  thread.Run([&] { timer.reset(); });
}

TEST(TimerTest, MayDestroyItselfOrSetItselfInThePastWithoutStarvingTheLoop) {
  fakes::LoopThread thread;
  const fakes::Waiter<int> fired;
  std::unique_ptr<Timer> busy;
  std::unique_ptr<Timer> brief;
  thread.Run([&] {
    busy = std::make_unique<Timer>(thread.loop(), [&] { busy->Set(absl::InfinitePast()); });
    brief = std::make_unique<Timer>(thread.loop(), [&] {
      brief.reset();
      fired.Add(1);
    });
    busy->Set(absl::InfinitePast());
    brief->Set(MonotonicNow());
  });
  EXPECT_EQ(fired.Next(), 1);
  thread.Run([&] { busy.reset(); });
}

TEST(TimerTest, CancelledReplacedAndDestroyedSettingsDoNotFire) {
  fakes::LoopThread thread;
  const fakes::Waiter<char> fired;
  std::unique_ptr<Timer> a, b, c, last;
  thread.Run([&] {
    const absl::Time soon = MonotonicNow() + absl::Milliseconds(5);
    a = std::make_unique<Timer>(thread.loop(), [&] { fired.Add('a'); });
    b = std::make_unique<Timer>(thread.loop(), [&] { fired.Add('b'); });
    c = std::make_unique<Timer>(thread.loop(), [&] { fired.Add('c'); });
    last = std::make_unique<Timer>(thread.loop(), [&] { fired.Add('l'); });
    a->Set(soon);
    a->Cancel();
    b->Set(soon);
    b.reset();
    c->Set(soon);
    c->Set(absl::InfiniteFuture());
    last->Set(soon + absl::Milliseconds(10));
  });
  EXPECT_EQ(fired.Next(), 'l');
  thread.Run([&] {
    a.reset();
    c.reset();
    last.reset();
  });
}

}  // namespace
}  // namespace actioncluster
