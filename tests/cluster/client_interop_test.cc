// One method offered by applications in two languages, each on a node of its own, and one of the nodes is killed: what callers and hosts see.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "actioncluster/json.h"
#include "backplane/keys/keys.h"
#include "tests/cluster/callers.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/client_support.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/python_host.h"

namespace actioncluster::cluster {
namespace {

constexpr char kMethod[] = "name-language";
constexpr int kCallers = 4;
constexpr absl::Duration kAttachedWithin = absl::Seconds(2);

class ClientInteropTest : public testing::Test {
 protected:
  ClientInteropTest()
      : client_(NewClient(cluster_.node(2))),
        cpp_(*client_, {{kMethod, client::Returning([](const auto&) { return client::ToValue("C++"); })}},
             Telling(events_)),
        python_(StartPythonHost(cluster_.node(3), {&cluster_.node(1)})) {}

  // Calls by `any` through the node that stays, all the time; counts who answers.
  std::unique_ptr<Callers> StartCalling() {
    return std::make_unique<Callers>(kCallers, [this](int) {
      const Answer answer = Call(cluster_.node(1), ToAny(Request(kMethod)));
      absl::MutexLock lock(&mutex_);
      if (answer.ok()) ++answers_[{answer.response.result().string_value(), answer.response.node_id()}];
      return answer;
    });
  }

  bool AwaitAnswerOf(const std::string& language, const std::string& node_id) {
    return Await([&] {
      absl::MutexLock lock(&mutex_);
      return answers_[{language, node_id}] > 0;
    });
  }

  struct Death {
    absl::Time killed;
    // Until Redis has noticed that the dead node's connections are closed, it takes messages for that node: a call begun before is on its way to a node that
    // is dead.
    absl::Time noticed;
  };
  Death Kill(const Node& node) {
    const std::string channel =
        Keys("actioncluster").ChannelBoot(Cluster::Find(cluster_.node(1), node.id())->boot_id());
    Death death;
    death.killed = absl::Now();
    node.Kill();
    EXPECT_TRUE(Await([&] {
      return cluster_.redis().Command({"PUBSUB", "NUMSUB", channel}).view()[1].Integer().value_or(-1) == 0;
    }));
    death.noticed = absl::Now();
    return death;
  }

  void ExpectErrorsOfCallsInFlightOnly(const Callers& callers, const Death& death) {
    int failed = 0;
    int good = 0;
    for (const Callers::Record& record : callers.records()) {
      if (record.code == grpc::OK) {
        good += record.begun > death.noticed ? 1 : 0;
        continue;
      }
      ++failed;
      EXPECT_EQ(record.reason, "HANDLER_FAILED") << record.message;
      EXPECT_GE(record.ended, death.killed) << record.message;
      EXPECT_LE(record.begun, death.noticed) << record.message;
    }
    std::cout << "calls by any: " << failed << " in flight at the kill failed, " << good
              << " begun after it succeeded\n";
    EXPECT_LE(failed, kCallers) << "each has one call in flight";
    EXPECT_GT(good, 100);
  }

  Cluster cluster_{3};
  const Events events_;
  const std::unique_ptr<Client> client_;
  MethodHost cpp_;
  const std::unique_ptr<Program> python_;

  absl::Mutex mutex_;
  std::map<std::pair<std::string, std::string>, int> answers_ ABSL_GUARDED_BY(mutex_);  // By language and node.
};

TEST_F(ClientInteropTest, TheNodeUnderTheCppHostIsKilledAndNoFurtherCallFails) {
  EXPECT_EQ(events_.AwaitAttached(), cluster_.node(2).id());
  const auto callers = StartCalling();
  ASSERT_TRUE(AwaitAnswerOf("C++", cluster_.node(2).id()));
  ASSERT_TRUE(AwaitAnswerOf("Python", cluster_.node(3).id()));
  const Death death = Kill(cluster_.node(2));
  const std::string elsewhere = events_.AwaitAttached();
  const absl::Duration took = absl::Now() - death.killed;
  std::cout << "the C++ host was attached to " << elsewhere << " after " << took << "\n";
  EXPECT_LT(took, kAttachedWithin);
  EXPECT_TRUE(AwaitAnswerOf("C++", elsewhere));
  EXPECT_TRUE(callers->AwaitEach(death.noticed + absl::Seconds(3), [](const Callers::Record&) { return true; }))
      << "past the lease of the dead node";
  callers->Stop();
  ExpectErrorsOfCallsInFlightOnly(*callers, death);
}

TEST_F(ClientInteropTest, TheNodeUnderThePythonHostIsKilledAndNoFurtherCallFails) {
  EXPECT_EQ(events_.AwaitAttached(), cluster_.node(2).id());
  const auto callers = StartCalling();
  ASSERT_TRUE(AwaitAnswerOf("C++", cluster_.node(2).id()));
  ASSERT_TRUE(AwaitAnswerOf("Python", cluster_.node(3).id()));
  const Death death = Kill(cluster_.node(3));
  EXPECT_TRUE(python_->AwaitOut(absl::StrCat("registered ", cluster_.node(1).id(), "\n")));
  const absl::Duration took = absl::Now() - death.killed;
  std::cout << "the Python host was attached to " << cluster_.node(1).id() << " after " << took << "\n";
  EXPECT_LT(took, kAttachedWithin);
  EXPECT_TRUE(AwaitAnswerOf("Python", cluster_.node(1).id()));
  EXPECT_TRUE(callers->AwaitEach(death.noticed + absl::Seconds(3), [](const Callers::Record&) { return true; }))
      << "past the lease of the dead node";
  callers->Stop();
  ExpectErrorsOfCallsInFlightOnly(*callers, death);
}

}  // namespace
}  // namespace actioncluster::cluster
