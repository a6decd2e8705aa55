// A rolling restart under load is noticed by nobody: no call fails, nothing is done twice, and each connection is back as the one it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "actioncluster/cache.h"
#include "actioncluster/connection.h"
#include "actioncluster/json.h"
#include "actioncluster/tasks.h"
#include "actioncluster/worker.h"
#include "tests/cluster/client_support.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/ports.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {
namespace {

using client::Cache;
using client::Connection;
using client::ConnectionOptions;
using client::Tasks;
using client::Worker;
using testing::IsEmpty;

constexpr int kNodes = 4;
constexpr int kCallers = 64;
constexpr int kConnections = 2'000;
constexpr absl::Duration kResumed = absl::Seconds(2);
// Each caller's, between two calls: all together make some thousand a second, which leaves the machine to those who restart.
constexpr absl::Duration kPace = absl::Milliseconds(20);
constexpr absl::Duration kRestartLimit = absl::Minutes(1);

// What failed, as long as it can be read.
class Failures {
 public:
  void Note(const std::string& what, const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    ++count_;
    if (texts_.size() < 20) texts_.push_back(absl::StrCat(what, ": ", status.ToString()));
  }
  int count() const {
    absl::MutexLock lock(&mutex_);
    return count_;
  }
  std::string text() const {
    absl::MutexLock lock(&mutex_);
    return absl::StrJoin(texts_, "\n");
  }

 private:
  mutable absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
};

// One caller's calls of all kinds, one after the other, until it is stopped.
class Caller {
 public:
  Caller(int number, ClientOptions options, Failures& failures)
      : name_(absl::StrCat("caller-", number)), client_(NewClient(std::move(options))), failures_(failures) {
    thread_ = std::thread([this] {
      for (; !stop_; absl::SleepFor(kPace)) Next();
    });
  }
  // Gives how many calls it has made.
  int Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return calls_;
  }
  ~Caller() { Stop(); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Whether each increment was done, and once.
  void ExpectExact() {
    v1::LoadRequest request;
    request.set_key(name_ + "/count");
    const auto count = Cache(*client_).Load(request);
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_EQ(count->value().number_value(), increments_) << name_;
  }

 private:
  void Next() {
    switch (calls_++ % 8) {
      case 0: {
        v1::SaveRequest request;
        request.set_key(name_);
        *request.mutable_value() = client::ToValue(calls_);
        return Check("Save", Cache(*client_).Save(request).status());
      }
      case 1: {
        v1::LoadRequest request;
        request.set_key(name_);
        return Check("Load", Cache(*client_).Load(request).status());
      }
      case 2: {
        v1::IncrementRequest request;
        request.set_key(name_ + "/count");
        request.set_by(1);
        const absl::Status done = Cache(*client_).Increment(request).status();
        if (done.ok()) ++increments_;
        return Check("Increment", done);
      }
      case 3:
        return Check("Call of a method with two hosts", client_->Call(AnyCall("common")).status());
      case 4:
        return Check("Call of a method with one host", client_->Call(AnyCall("rare")).status());
      case 5: {
        v1::EnqueueRequest request;
        request.set_name("work");
        return Check("Enqueue", Tasks(*client_).Enqueue(request).status());
      }
      case 6: {
        v1::CallRequest request;
        request.set_node_id(absl::StrCat("actioncluster-worker-", calls_ / 8 % kNodes + 1));
        request.set_method("node.ping");
        return Check(absl::StrCat("Call to ", request.node_id()), client_->Call(request).status());
      }
      default:
        return Check("ListNodes", client_->ListNodes().status());
    }
  }
  void Check(absl::string_view what, const absl::Status& status) {
    if (!status.ok()) failures_.Note(absl::StrCat(name_, " ", what), status);
  }

  const std::string name_;
  const std::unique_ptr<Client> client_;
  Failures& failures_;
  std::atomic<bool> stop_ = false;
  int calls_ = 0;
  int increments_ = 0;
  std::thread thread_;
};

// What becomes of one connection.
class Comebacks {
 public:
  client::AttachmentListener Listener() {
    return [this](const AttachmentEvent& event) {
      absl::MutexLock lock(&mutex_);
      switch (event.kind) {
        case AttachmentEvent::Kind::kAttached:
          ++attached_;
          if (lost_at_ != absl::InfiniteFuture()) longest_ = std::max(longest_, absl::Now() - lost_at_);
          lost_at_ = absl::InfiniteFuture();
          break;
        case AttachmentEvent::Kind::kLost:
          lost_at_ = std::min(lost_at_, absl::Now());
          break;
        case AttachmentEvent::Kind::kEnded:
          ended_ = event.status;
          break;
      }
    };
  }
  int attached() const {
    absl::MutexLock lock(&mutex_);
    return attached_;
  }
  absl::Duration longest() const {
    absl::MutexLock lock(&mutex_);
    return lost_at_ == absl::InfiniteFuture() ? longest_ : absl::InfiniteDuration();
  }
  absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }

 private:
  mutable absl::Mutex mutex_;
  int attached_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time lost_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Duration longest_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
};

// Four nodes of one start.
class RollingRestartTest : public testing::Test {
 protected:
  RollingRestartTest()
      : program_(StartCommand(
            {"--workers", absl::StrCat(kNodes), "--port", absl::StrCat(ports_.first()), "--data-dir", dir_ / "data"})) {
    // As the nodes do: it would cost the clients, all in this process, a tenth of the machine.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    EXPECT_TRUE(program_.AwaitOut(absl::StrCat(kNodes, " nodes are ready"))) << program_.Out() << program_.Err();
  }

  // Each node's own, the `first`-th (from 0) before the others.
  std::vector<std::string> Addresses(int first) const {
    std::vector<std::string> addresses;
    for (int i = 0; i < kNodes; ++i) {
      addresses.push_back(absl::StrCat("127.0.0.1:", ports_.first() + 1 + (first + i) % kNodes));
    }
    return addresses;
  }
  // Of all nodes: whichever takes the connection.
  std::vector<std::string> SharedAddress() const { return {absl::StrCat("127.0.0.1:", ports_.first())}; }

  void Restart() {
    Program command({StartCommand({})[0], "restart", "--data-dir", dir_ / "data"});
    const std::optional<int> status = command.Wait(kRestartLimit);
    ASSERT_EQ(status, std::make_optional(0)) << command.Out() << command.Err();
    EXPECT_THAT(program_.Out(), testing::HasSubstr(absl::StrCat("has restarted ", kNodes, " nodes")));
    EXPECT_EQ(program_.Err(), "");
  }

  const TempDir dir_;
  const Ports ports_{6};
  Program program_;
};

TEST_F(RollingRestartTest, NoCallFailsNothingIsDoneTwiceAndEachConnectionIsBackWithinTwoSeconds) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kNodes; ++i) clients.push_back(NewClient({.addresses = Addresses(i), .timeout = kPatience}));
  const client::Handler answer = client::Returning([](const auto&) { return client::ToValue(1); });
  MethodHost first(*clients[0], {{"common", answer}});
  MethodHost second(*clients[1], {{"common", answer}, {"rare", answer}});
  ASSERT_TRUE(first.AwaitAttached(kPatience).ok());
  ASSERT_TRUE(second.AwaitAttached(kPatience).ok());
  Worker worker(
      *clients[2],
      {{"work", [](client::TaskContext&) -> absl::StatusOr<client::TaskContent> { return client::ToValue(1); }}});
  ASSERT_TRUE(worker.AwaitAttached(kPatience).ok());

  std::vector<Comebacks> comebacks(kConnections);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < kConnections; ++i) {
    ConnectionOptions options;
    options.id = absl::StrCat("connection-", i);
    options.on_event = comebacks[i].Listener();
    connections.push_back(std::make_unique<Connection>(*clients[i % kNodes], std::move(options)));
  }
  for (const auto& connection : connections) ASSERT_TRUE(connection->AwaitAttached(kPatience).ok());
  for (int i = 0; i < kConnections; ++i) {
    const auto set = connections[i]->Verb("paramAdd", client::Args("number", i));
    ASSERT_TRUE(set.ok()) << set.status();
  }

  Failures failures;
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < kCallers; ++i) {
    const std::vector<std::string> addresses = i % 4 == 3 ? SharedAddress() : Addresses(i);
    callers.push_back(std::make_unique<Caller>(
        i, ClientOptions{.addresses = addresses, .timeout = kPatience, .coalesce = i % 2 == 0}, failures));
  }
  const absl::Time begun = absl::Now();
  Restart();
  const absl::Duration took = absl::Now() - begun;
  int calls = 0;
  for (const auto& caller : callers) calls += caller->Stop();
  EXPECT_EQ(failures.count(), 0) << "of " << calls << " calls:\n" << failures.text();
  for (const auto& caller : callers) caller->ExpectExact();

  absl::Duration longest;
  int back = 0;
  for (int i = 0; i < kConnections; ++i) {
    ASSERT_TRUE(connections[i]->AwaitAttached(kPatience).ok()) << comebacks[i].ended();
    longest = std::max(longest, comebacks[i].longest());
    back += comebacks[i].attached() - 1;
    EXPECT_GE(comebacks[i].attached(), 2) << "no node was left out";
    const auto number = connections[i]->Verb("paramView", client::Args("number"));
    ASSERT_TRUE(number.ok()) << number.status();
    EXPECT_EQ(number->result().number_value(), i) << "it is the one that it was";
  }
  EXPECT_LE(longest, kResumed);
  std::cout << calls << " calls, " << failures.count() << " failed; " << back << " comebacks, the longest in "
            << longest << "; restarted within " << took << "\n";
}
TEST_F(RollingRestartTest, CallersInPythonLoseNothingEither) {
  const auto one = NewClient({.addresses = Addresses(0)});
  const auto two = NewClient({.addresses = Addresses(1)});
  const client::Handler answer = client::Returning([](const auto&) { return client::ToValue(1); });
  MethodHost first(*one, {{"common", answer}});
  MethodHost second(*two, {{"common", answer}, {"rare", answer}});
  ASSERT_TRUE(first.AwaitAttached(kPatience).ok());
  ASSERT_TRUE(second.AwaitAttached(kPatience).ok());
  std::vector<std::string> command = {"/usr/bin/python3", PYTHON_CALLERS, SERVICE_CONFIG, "8"};
  for (const std::string& address : Addresses(0)) command.push_back(address);
  Program callers(command, {absl::StrCat("PYTHONPATH=", PYTHON_STUBS)});
  ASSERT_TRUE(callers.AwaitOut("calling\n")) << callers.Err();
  Restart();
  callers.Signal(SIGTERM);
  EXPECT_EQ(callers.Wait(), std::make_optional(0)) << callers.Err();
  EXPECT_THAT(callers.Out(), testing::MatchesRegex("calling\ncalls [0-9]+\n"));
  std::cout << callers.Out();
}

}  // namespace
}  // namespace actioncluster::cluster
