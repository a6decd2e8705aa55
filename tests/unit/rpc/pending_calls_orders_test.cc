// Feeds PendingCalls every order of everything that can happen to a call, and compares its end with a model that says
// what the end must be.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/pending_calls.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

enum class Event { kReplyOfA, kReplyOfB, kPublishReturns, kDeadline, kCancel, kLossOfA, kDisconnect };
constexpr Event kEvents[] = {Event::kReplyOfA, Event::kReplyOfB, Event::kPublishReturns, Event::kDeadline,
                             Event::kCancel,   Event::kLossOfA,  Event::kDisconnect};
enum class Publish { kReachesBoth, kReachesOnlyA, kFails };

const NodeRef kA{"node-a", "boot-a"};
const NodeRef kB{"node-b", "boot-b"};
const absl::Time kStart = absl::FromUnixSeconds(1000);
const absl::Time kDue = kStart + absl::Seconds(5);

// One order: what the table is told, what it said, and what the model says that it must say.
struct Scenario {
  std::vector<Event> order;
  Publish publish;

  std::string Describe() const {
    return absl::StrJoin(order, " ",
                         [](std::string* out, Event event) { out->append(std::to_string(static_cast<int>(event))); }) +
           " publish " + std::to_string(static_cast<int>(publish));
  }
};

std::vector<Scenario> Scenarios() {
  std::vector<Scenario> scenarios;
  for (const Publish publish : {Publish::kReachesBoth, Publish::kReachesOnlyA, Publish::kFails}) {
    std::vector<Event> order(std::begin(kEvents), std::end(kEvents));
    do {
      scenarios.push_back({order, publish});
    } while (std::next_permutation(order.begin(), order.end()));
  }
  return scenarios;
}

void Feed(PendingCalls& calls, Event event, Publish publish) {
  switch (event) {
    case Event::kReplyOfA:
      calls.Accept(1, kA.boot, {.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, "a"}, .error = {}});
      break;
    case Event::kReplyOfB:
      calls.Accept(1, kB.boot, {.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, "b"}, .error = {}});
      break;
    case Event::kPublishReturns:
      if (publish == Publish::kReachesBoth) calls.Delivered(1, {kA.boot, kB.boot});
      if (publish == Publish::kReachesOnlyA) calls.Unreachable(1, kB.boot);
      if (publish == Publish::kReachesOnlyA) calls.Doubtful(1, {kA.boot, kB.boot});
      if (publish == Publish::kFails) calls.Unsent(1, {kA.boot, kB.boot}, BackplaneUnavailable("publish"));
      break;
    case Event::kDeadline:
      calls.Expire(kDue);
      break;
    case Event::kCancel:
      calls.Cancel(1);
      break;
    case Event::kLossOfA:
      calls.Lost(kA.boot);
      break;
    case Event::kDisconnect:
      calls.BusBroken(BackplaneUnavailable("disconnect"));
      break;
  }
}

// Names an end, or a share's end, so that it can be compared: a result by its content, an error by what tells it from
// the others.
std::string Name(const absl::Status& status) {
  const std::string missing = MetadataOf(status)["missing_nodes"];
  if (absl::IsCancelled(status)) return "cancelled";
  if (!missing.empty()) return "timeout missing " + missing;
  if (ReasonOf(status) == v1::ERROR_REASON_HANDLER_FAILED) return "lost";
  const std::string message(status.message());
  return message == "publish" || message == "disconnect" ? message : "unreachable";
}

// What must come of a call that waits for A and B. Shares close one by one; the first thing that ends the call is its
// end.
class Model {
 public:
  Model(bool every, Publish publish) : every_(every), publish_(publish) {}

  void Feed(Event event) {
    if (end_.has_value()) return;
    switch (event) {
      case Event::kReplyOfA:
        return Reply("a");
      case Event::kReplyOfB:
        return Reply("b");
      case Event::kPublishReturns:
        published_ = true;
        if (publish_ == Publish::kReachesOnlyA) Close("b", "unreachable", 1);
        if (publish_ == Publish::kFails) CloseAll("publish");
        if (a_is_lost_) Close("a", "lost", 2);
        return;
      case Event::kDeadline:
        end_ = "timeout missing " + absl::StrJoin(open_, ",", [](std::string* out, const std::string& share) {
                 out->append("node-" + share);
               });
        return;
      case Event::kCancel:
        end_ = "cancelled";
        return;
      case Event::kLossOfA:
        a_is_lost_ = true;
        if (published_) Close("a", "lost", 2);
        return;
      case Event::kDisconnect:
        return CloseAll("disconnect");
    }
  }

  const std::optional<std::string>& end() const { return end_; }
  const std::vector<std::string>& shares() const { return shares_; }

 private:
  void Reply(const std::string& share) {
    if (open_.erase(share) == 0) return;
    shares_.push_back(share + " " + share);
    if (!every_ || open_.empty()) end_ = every_ ? "ok" : share;
  }
  void Close(const std::string& share, const std::string& why, int weight) {
    if (end_.has_value() || open_.erase(share) == 0) return;
    shares_.push_back(share + " " + why);
    if (weight > weight_) {
      weight_ = weight;
      heaviest_ = why;
    }
    if (open_.empty()) end_ = every_ ? "ok" : heaviest_;
  }
  void CloseAll(const std::string& why) {
    for (const std::string& share : std::set<std::string>(open_)) Close(share, why, 2);
  }

  const bool every_;
  const Publish publish_;
  bool published_ = false;
  bool a_is_lost_ = false;
  std::set<std::string> open_ = {"a", "b"};
  int weight_ = 0;
  std::string heaviest_;
  std::vector<std::string> shares_;
  std::optional<std::string> end_;
};

TEST(PendingCallsOrdersTest, FirstReplyEndsOnceAndRightInEveryOrder) {
  for (const Scenario& scenario : Scenarios()) {
    std::vector<std::string> ends;
    PendingCalls calls;
    calls.Open(1, "m", kDue, PendingCalls::First{[&ends](const absl::StatusOr<CallResult>& result) {
                 ends.push_back(result.ok() ? result->result.body : Name(result.status()));
               }});
    ASSERT_TRUE(calls.Expect(
        1, {kA, kB}, {}, "self", [](const NodeRef&) { FAIL() << "there is no fallback"; }, kStart));
    Model model(/*every=*/false, scenario.publish);
    for (const Event event : scenario.order) {
      Feed(calls, event, scenario.publish);
      model.Feed(event);
      ASSERT_EQ(ends.size(), model.end().has_value() ? 1u : 0u) << scenario.Describe();
    }
    ASSERT_EQ(ends.front(), *model.end()) << scenario.Describe();
    ASSERT_EQ(calls.size(), 0u);
  }
}

TEST(PendingCallsOrdersTest, EveryReplyReportsEachShareOnceAndEndsOnceAndRightInEveryOrder) {
  for (const Scenario& scenario : Scenarios()) {
    std::vector<std::string> ends;
    std::vector<std::string> shares;
    PendingCalls calls;
    auto on_share = [&](const std::string& node, const absl::StatusOr<Content>& result) {
      EXPECT_TRUE(ends.empty()) << "a share after the end: " << scenario.Describe();
      shares.push_back(node.substr(5) + " " + (result.ok() ? result->body : Name(result.status())));
    };
    auto done = [&ends](const absl::Status& status) { ends.push_back(status.ok() ? "ok" : Name(status)); };
    calls.Open(1, "m", kDue, PendingCalls::Every{on_share, done});
    ASSERT_TRUE(calls.Expect(
        1, {kA, kB}, {}, "self", [](const NodeRef&) {}, kStart));
    Model model(/*every=*/true, scenario.publish);
    for (const Event event : scenario.order) {
      Feed(calls, event, scenario.publish);
      model.Feed(event);
      ASSERT_EQ(ends.size(), model.end().has_value() ? 1u : 0u) << scenario.Describe();
    }
    ASSERT_EQ(ends.front(), *model.end()) << scenario.Describe();
    ASSERT_EQ(shares, model.shares()) << scenario.Describe();
    ASSERT_EQ(calls.size(), 0u);
  }
}

}  // namespace
}  // namespace actioncluster
