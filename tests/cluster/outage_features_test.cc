// What calls do while Redis is away, and when it is back: README's table has a row for each feature. Streams have tests of their own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "backplane/keys/keys.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"
#include "tests/cluster/outage_probes.h"

namespace actioncluster::cluster {
namespace {

constexpr absl::Duration kAtOnce = absl::Milliseconds(500);
constexpr absl::Duration kLimit = absl::Seconds(5);
constexpr absl::Duration kRecovery = absl::Seconds(2);

class OutageFeaturesTest : public testing::Test {
 protected:
  OutageFeaturesTest() {
    PrepareProbes(asked_);
    ann_.AwaitWelcome();
    probes_ = ProbesThatNeedRedis(home_);
    // Before anything is wrong.
    for (const Probe& probe : probes_) {
      const Heard heard = Ask(probe, asked_, kPatience);
      EXPECT_TRUE(heard.IsDone()) << probe.name << ": " << testing::PrintToString(heard);
    }
    const std::string watched = Keys(fakes::kNamespace).ChannelRoom(kWatchedRoom);
    EXPECT_TRUE(Await([&] {
      return cluster_.redis().Command({"PUBSUB", "NUMSUB", watched}).view()[1].Integer().value_or(-1) == 0;
    })) << "the node holds on to what nobody watches any more";
  }

  // What was heard of each, asked all at once, in the probes' order.
  std::vector<Heard> AskAll(absl::Duration limit) {
    std::vector<Heard> heard(probes_.size(), Heard(grpc::Status::OK));
    ForAll([&](size_t i) { heard[i] = Ask(probes_[i], asked_, limit); });
    return heard;
  }
  void ExpectAllFailAtOnce() {
    const std::vector<Heard> heard = AskAll(kLimit);
    for (size_t i = 0; i < probes_.size(); ++i) {
      EXPECT_TRUE(heard[i].IsOutage()) << probes_[i].name << ": " << testing::PrintToString(heard[i]);
      EXPECT_LT(heard[i].took, kAtOnce) << probes_[i].name << ": " << testing::PrintToString(heard[i]);
    }
  }
  // Until each has been done, it says at once that Redis is away, and nothing else.
  void ExpectAllRecover(absl::Time back) {
    std::vector<absl::Duration> after(probes_.size());
    ForAll([&](size_t i) {
      while (true) {
        const Heard heard = Ask(probes_[i], asked_, kLimit);
        after[i] = absl::Now() - back;
        if (heard.IsDone()) return;
        EXPECT_TRUE(heard.IsOutage()) << probes_[i].name << ": " << testing::PrintToString(heard);
        if (after[i] > kPatience) return;
        absl::SleepFor(absl::Milliseconds(50));  // Many ask, and nobody more often.
      }
    });
    const auto last = std::ranges::max_element(after);
    std::cout << "all is done again " << *last << " after Redis is back, at last "
              << probes_[static_cast<size_t>(last - after.begin())].name << "\n";
    for (size_t i = 0; i < probes_.size(); ++i) EXPECT_LT(after[i], kRecovery) << probes_[i].name;
  }
  void AwaitNotServing() {
    for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return !node.IsServing(); })) << node.id();
  }

 private:
  // Each on a thread of its own.
  void ForAll(const std::function<void(size_t)>& act) const {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < probes_.size(); ++i) threads.emplace_back([&act, i] { act(i); });
    for (std::thread& thread : threads) thread.join();
  }

 protected:
  Cluster cluster_{
      2, {.flags = {}, .redis = {.password = "", .args = {"--appendonly", "yes", "--appendfsync", "always"}}}};
  const Node& asked_ = cluster_.node(1);
  const Node& home_ = cluster_.node(2);
  const AppHost app_{home_, {{"echo", Echoing()}}};
  RawClient ann_{home_, HelloOf("ann"), {.on_invoke = [](const RawClient::Frame::Invoke&) { return "42"; }}};
  std::vector<Probe> probes_;
};

TEST_F(OutageFeaturesTest, WhatNeedsRedisFailsAtOnceWhileItIsDeadAndIsDoneSoonAfterItsReturn) {
  cluster_.redis().Kill();
  // An application at the node that is asked needs no Redis, as long as the lease holds.
  EXPECT_TRUE(Call(home_, Request("echo", "[1]")).ok());
  ExpectAllFailAtOnce();
  AwaitNotServing();
  EXPECT_TRUE(Await([&] { return Call(home_, Request("echo", "[1]")).reason() == "BACKPLANE_UNAVAILABLE"; }));
  ExpectAllFailAtOnce();
  cluster_.redis().Start();
  ExpectAllRecover(absl::Now());
  for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return node.IsServing(); })) << node.id();
}

TEST_F(OutageFeaturesTest, WhatNeedsRedisEndsByItsDeadlineWhileItHangsThenAtOnceAndIsDoneSoonAfterItGoesOn) {
  constexpr absl::Duration kShort = absl::Seconds(1);
  cluster_.redis().Pause();
  const std::vector<Heard> heard = AskAll(kShort);
  for (size_t i = 0; i < probes_.size(); ++i) {
    EXPECT_TRUE(heard[i].IsOutage() || heard[i].code == grpc::DEADLINE_EXCEEDED)
        << probes_[i].name << ": " << testing::PrintToString(heard[i]);
    EXPECT_LT(heard[i].took, kShort + kAtOnce) << probes_[i].name << ": " << testing::PrintToString(heard[i]);
  }
  AwaitNotServing();
  // A connection that is mute for 5 s is given up.
  EXPECT_TRUE(Await([&] { return Ask(probes_[0], asked_, kLimit).took < kAtOnce; }));
  ExpectAllFailAtOnce();
  cluster_.redis().Resume();
  ExpectAllRecover(absl::Now());
  for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return node.IsServing(); })) << node.id();
}

TEST_F(OutageFeaturesTest, APauseThatIsShorterThanTheDeadlineIsWaitedForAndNothingFails) {
  cluster_.redis().Pause();
  std::vector<Heard> heard;
  std::thread asking([&] { heard = AskAll(kLimit); });
  absl::SleepFor(absl::Milliseconds(500));  // As long as it is away: that is what this is about. Less than the lease.
  cluster_.redis().Resume();
  asking.join();
  for (size_t i = 0; i < probes_.size(); ++i) {
    EXPECT_TRUE(heard[i].IsDone()) << probes_[i].name << ": " << testing::PrintToString(heard[i]);
  }
}

}  // namespace
}  // namespace actioncluster::cluster
