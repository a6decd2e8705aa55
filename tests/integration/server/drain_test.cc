// How a node goes out of service: whom it tells, for whom it waits, and for how long.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/methods/application.h"
#include "server/methods/drain_sequence.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using Calls = DrainSequence::Calls;

constexpr absl::Duration kLong = absl::Seconds(60);  // No test waits for it.
constexpr size_t kChecks = 10;                       // So often the drain has looked, and found that it is not over.

// An application that offers m at a node, and answers when it is told to.
class App {
 public:
  App(LocalNode& node, bool stays) : node_(node) {
    const fakes::Waiter<absl::Status> registered;
    node_.io().Run([&] {
      id_ = node_.rooms().host.Attach(stream_);
      node_.rooms().host.Register(id_, {"m"}, 64, absl::InfiniteDuration(), stays, registered.Callback());
    });
    EXPECT_EQ(registered.Next(), absl::OkStatus());
  }
  ~App() {
    node_.io().Run([&] { node_.rooms().host.Detach(id_); });
  }

  // The ids of its calls, and where it is told to go.
  const fakes::Waiter<std::string>& calls() const { return stream_->calls; }
  const fakes::Waiter<std::vector<std::string>>& drainings() const { return stream_->drainings; }
  void Answer(const std::string& call_id) const {
    node_.io().Run([&] { node_.rooms().host.Reply(id_, call_id, Outcome()); });
  }

 private:
  struct Stream final : public Application {
    bool SendCall(const std::string& call_id, IncomingCall) override {
      calls.Add(call_id);
      return true;
    }
    void SendCancel(const std::string&) override {}
    void SendDraining(const std::vector<std::string>& alternatives) override { drainings.Add(alternatives); }
    void Close(const absl::Status&) override {}

    const fakes::Waiter<std::string> calls;
    const fakes::Waiter<std::vector<std::string>> drainings;
  };

  LocalNode& node_;
  const std::shared_ptr<Stream> stream_ = std::make_shared<Stream>();
  MethodHost::AppId id_ = 0;
};

class DrainTest : public ::testing::Test {
 protected:
  DrainTest() {
    node_.io().Run([this] {
      node_.rooms().drain.AlsoWaitFor([this] {
        ++checks_;
        return size_t{0};
      });
    });
  }

  // How many calls it leaves.
  fakes::Waiter<uint32_t> Drain(absl::Duration timeout, Calls calls = Calls::kGoOn) {
    const fakes::Waiter<uint32_t> done;
    node_.io().Run([&] { node_.rooms().drain.Begin(timeout, done.Callback(), calls); });
    return done;
  }
  void AwaitChecks() {
    const size_t enough = checks_ + kChecks;
    const absl::Time limit = MonotonicNow() + fakes::kPatience;
    while (checks_ < enough) ASSERT_LT(MonotonicNow(), limit);
  }
  // A call that `by` makes of the application at `at`.
  static fakes::Waiter<absl::StatusOr<CallResult>> Call(LocalNode& by, const LocalNode& at) {
    const fakes::Waiter<absl::StatusOr<CallResult>> done;
    by.rooms().rpc.Call(
        {.method = "m", .arguments = {}, .target = OneNode{at.id()}, .deadline = MonotonicNow() + kLong},
        done.Callback());
    return done;
  }

  fakes::RedisServer redis_;
  std::atomic<size_t> checks_ = 0;
  LocalNode node_{redis_.endpoint()};
  LocalNode other_{redis_.endpoint()};
};

TEST_F(DrainTest, ApplicationsAreToldOfThoseNodesThatDoNotDrainThemselves) {
  LocalNode third(redis_.endpoint());
  const fakes::Waiter<uint32_t> done;
  third.io().Run([&] { third.rooms().drain.Begin(kLong, done.Callback()); });
  EXPECT_EQ(done.Next(), 0U);
  const fakes::Waiter<absl::Status> read;
  node_.io().Run([&] { node_.rooms().membership.Refresh(read.Callback()); });
  EXPECT_EQ(read.Next(), absl::OkStatus());
  const App app(node_, /*stays=*/false);
  Drain(kLong).Next();
  EXPECT_THAT(app.drainings().Next(), ElementsAre(other_.address()));
}

TEST_F(DrainTest, ApplicationsAreToldOnceOthersKnowThatTheNodeDrains) {
  const App app(node_, /*stays=*/false);
  redis_.Pause();
  const auto done = Drain(kLong);
  AwaitChecks();
  EXPECT_EQ(app.drainings().size(), 0U);
  redis_.Resume();
  app.drainings().Next();
  EXPECT_EQ(done.Next(), 0U);
}

TEST_F(DrainTest, WhatIsSentBeforeOthersHaveHeardIsStillDeclinedForAMoment) {
  const App app(node_, /*stays=*/false);
  const absl::Time begun = MonotonicNow();
  EXPECT_EQ(Drain(kLong).Next(), 0U);
  EXPECT_GE(MonotonicNow() - begun, absl::Milliseconds(100));
}

TEST_F(DrainTest, WhoStaysIsCalledUntilMostOfTheTimeIsUp) {
  App app(node_, /*stays=*/true);
  const auto done = Drain(absl::Seconds(3));
  app.drainings().Next();
  AwaitChecks();
  const auto early = Call(other_, node_);
  app.Answer(app.calls().Next());
  EXPECT_TRUE(early.Next().ok());
  EXPECT_EQ(done.Next(), 0U);
  EXPECT_EQ(ReasonOf(Call(other_, node_).Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(DrainTest, WhoWasToldToLeaveIsWaitedFor) {
  std::atomic<size_t> asked = 0;
  node_.io().Run(
      [&] { node_.rooms().drain.AlsoAwaitLeaving([&asked] { return ++asked < kChecks ? size_t{1} : size_t{0}; }); });
  EXPECT_EQ(Drain(kLong).Next(), 0U);
  EXPECT_EQ(asked, kChecks);
}

TEST_F(DrainTest, WhoDoesNotLeaveIsWaitedForThreeSecondsAtMost) {
  node_.io().Run([&] { node_.rooms().drain.AlsoAwaitLeaving([] { return size_t{1}; }); });
  const absl::Time begun = MonotonicNow();
  EXPECT_EQ(Drain(kLong).Next(), 0U);
  EXPECT_GE(MonotonicNow() - begun, absl::Seconds(3));
  EXPECT_LT(MonotonicNow() - begun, absl::Seconds(6));
}

TEST_F(DrainTest, AnswersThatCouldNotBeSentAreWaitedFor) {
  fakes::RedisProxy proxy(redis_.unix_path());
  LocalNode node(proxy.endpoint());
  size_t checks = 0;
  node.io().Run([&] {
    node.rooms().drain.AlsoWaitFor([&checks] {
      ++checks;
      return size_t{0};
    });
  });
  const App app(node, /*stays=*/false);
  const auto call = Call(other_, node);
  const std::string id = app.calls().Next();
  proxy.SetMode(fakes::RedisProxy::Mode::kCut);
  app.Answer(id);
  const fakes::Waiter<uint32_t> done;
  node.io().Run([&] { node.rooms().drain.Begin(kLong, done.Callback()); });
  while (node.io().Run([&] { return checks; }) < 3 * kChecks) std::this_thread::yield();
  EXPECT_EQ(done.size(), 0U);
  proxy.SetMode(fakes::RedisProxy::Mode::kOpen);
  EXPECT_EQ(done.Next(), 0U);
}

TEST_F(DrainTest, CallsThatAreMadeLaterAreWaitedForOnlyWhenNoMoreCanCome) {
  App app(other_, /*stays=*/false);
  const auto before = Call(node_, other_);
  const std::string first = app.calls().Next();
  const auto done = Drain(kLong);
  const auto later = Call(node_, other_);
  const std::string second = app.calls().Next();
  AwaitChecks();
  EXPECT_EQ(done.size(), 0U);
  app.Answer(first);
  EXPECT_TRUE(before.Next().ok());
  EXPECT_EQ(done.Next(), 0U);

  const auto over = Drain(kLong, Calls::kAreOver);
  AwaitChecks();
  EXPECT_EQ(over.size(), 0U);
  app.Answer(second);
  EXPECT_TRUE(later.Next().ok());
  EXPECT_EQ(over.Next(), 0U);
}

}  // namespace
}  // namespace actioncluster
