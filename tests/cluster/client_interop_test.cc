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
// Until Redis has noticed that the dead node's connections are closed, it takes messages for that node: such a call is on its way to a node that is dead.
constexpr absl::Duration kNoticedWithin = absl::Milliseconds(100);

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

  void ExpectErrorsOfCallsInFlightOnly(const Callers& callers, absl::Time killed, absl::Time dead) {
    int failed = 0;
    int good = 0;
    for (const Callers::Record& record : callers.records()) {
      if (record.code == grpc::OK) {
        good += record.begun > dead ? 1 : 0;
        continue;
      }
      ++failed;
      EXPECT_EQ(record.reason, "HANDLER_FAILED") << record.message;
      EXPECT_GE(record.ended, killed) << record.message;
      EXPECT_LE(record.begun, dead + kNoticedWithin) << record.message;
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
  const absl::Time killed = absl::Now();
  cluster_.node(2).Kill();
  const absl::Time dead = absl::Now();
  const std::string elsewhere = events_.AwaitAttached();
  const absl::Duration took = absl::Now() - killed;
  std::cout << "the C++ host was attached to " << elsewhere << " after " << took << "\n";
  EXPECT_LT(took, kAttachedWithin);
  EXPECT_TRUE(AwaitAnswerOf("C++", elsewhere));
  EXPECT_TRUE(callers->AwaitEach(dead + absl::Seconds(3), [](const Callers::Record&) { return true; }))
      << "past the lease of the dead node";
  callers->Stop();
  ExpectErrorsOfCallsInFlightOnly(*callers, killed, dead);
}

TEST_F(ClientInteropTest, TheNodeUnderThePythonHostIsKilledAndNoFurtherCallFails) {
  EXPECT_EQ(events_.AwaitAttached(), cluster_.node(2).id());
  const auto callers = StartCalling();
  ASSERT_TRUE(AwaitAnswerOf("C++", cluster_.node(2).id()));
  ASSERT_TRUE(AwaitAnswerOf("Python", cluster_.node(3).id()));
  const absl::Time killed = absl::Now();
  cluster_.node(3).Kill();
  const absl::Time dead = absl::Now();
  EXPECT_TRUE(python_->AwaitOut(absl::StrCat("registered ", cluster_.node(1).id(), "\n")));
  const absl::Duration took = absl::Now() - killed;
  std::cout << "the Python host was attached to " << cluster_.node(1).id() << " after " << took << "\n";
  EXPECT_LT(took, kAttachedWithin);
  EXPECT_TRUE(AwaitAnswerOf("Python", cluster_.node(1).id()));
  EXPECT_TRUE(callers->AwaitEach(dead + absl::Seconds(3), [](const Callers::Record&) { return true; }))
      << "past the lease of the dead node";
  callers->Stop();
  ExpectErrorsOfCallsInFlightOnly(*callers, killed, dead);
}

}  // namespace
}  // namespace actioncluster::cluster
