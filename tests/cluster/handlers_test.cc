// What becomes of a call when the handler does not simply return.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/python_host.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;

constexpr char kTwo[] = "actioncluster-worker-2";
// A call that ends by what happened, and not at its deadline, takes no longer.
constexpr absl::Duration kAtOnce = absl::Seconds(1);

class HandlersTest : public testing::Test {
 protected:
  Node& caller() { return cluster_.node(1); }
  Node& callee() { return cluster_.node(2); }

  Cluster cluster_{2};
};

TEST_F(HandlersTest, AnErrorReachesTheCallerWithItsCodeMessageMetadataAndNode) {
  AppHost::Reply failure;
  failure.mutable_error()->set_code(grpc::OUT_OF_RANGE);
  failure.mutable_error()->set_message("out of cheese");
  (*failure.mutable_error()->mutable_metadata())["wanted"] = "cheddar";
  const AppHost cpp(callee(), {{"cpp.fail", [&](const AppHost::Frame::Call&) { return failure; }}});
  const auto python = StartPythonHost(callee());
  for (const std::string method : {"cpp.fail", "py.fail"}) {
    const Answer answer = Call(caller(), Request(method));
    EXPECT_EQ(answer.code(), grpc::OUT_OF_RANGE) << testing::PrintToString(answer);
    EXPECT_EQ(answer.status.error_message(), "out of cheese");
    EXPECT_EQ(answer.reason(), "HANDLER_FAILED");
    EXPECT_EQ(answer.metadata("wanted"), "cheddar");
    EXPECT_EQ(answer.metadata("node_id"), kTwo);
    const AllAnswers all = CallAll(caller(), method);
    EXPECT_TRUE(all.status.ok()) << all.status.error_message();
    ASSERT_TRUE(all.replies.contains(kTwo));
    EXPECT_EQ(all.replies.at(kTwo).error().message(), "out of cheese");
    EXPECT_EQ(all.replies.at(kTwo).error().reason(), "HANDLER_FAILED");
  }
}

TEST_F(HandlersTest, AnExceptionInPythonIsAFailureOfThatCallAlone) {
  const auto python = StartPythonHost(callee());
  const Answer answer = Call(caller(), Request("py.throw"));
  EXPECT_EQ(answer.code(), grpc::UNKNOWN) << testing::PrintToString(answer);
  EXPECT_EQ(answer.reason(), "HANDLER_FAILED");
  EXPECT_THAT(answer.status.error_message(), HasSubstr("no such key"));
  EXPECT_TRUE(Call(caller(), Request("py.greet")).ok());
}

TEST_F(HandlersTest, AnApplicationThatGoesAwayEndsItsCallsAtOnce) {
  const auto python = StartPythonHost(callee());
  const Answer by_python = Call(caller(), Within(absl::Seconds(30), Request("py.hang-up")));
  EXPECT_EQ(by_python.code(), grpc::UNKNOWN) << testing::PrintToString(by_python);
  EXPECT_EQ(by_python.reason(), "HANDLER_FAILED");
  EXPECT_EQ(by_python.metadata("node_id"), kTwo);
  EXPECT_LT(by_python.took, kAtOnce);

  AppHost cpp(callee(), {{"cpp.hang-up", NeverAnswering()}});
  Answer by_cpp;
  std::thread calling([&] { by_cpp = Call(caller(), Within(absl::Seconds(30), Request("cpp.hang-up"))); });
  cpp.calls().Next();
  cpp.HangUp();
  calling.join();
  EXPECT_EQ(by_cpp.reason(), "HANDLER_FAILED") << testing::PrintToString(by_cpp);
  EXPECT_LT(by_cpp.took, kAtOnce);
  // And what it offered is no longer there, for anyone.
  EXPECT_TRUE(Await([&] { return Call(caller(), Request("cpp.hang-up")).reason() == "METHOD_NOT_FOUND"; }));
}

TEST_F(HandlersTest, ADeadlineEndsTheCallAndTellsTheApplication) {
  AppHost app(callee(), {{"slow", NeverAnswering()}, {"quick", Returning("1")}});
  const Answer answer = Call(caller(), Within(absl::Seconds(1), Request("slow")));
  EXPECT_EQ(answer.code(), grpc::DEADLINE_EXCEEDED) << testing::PrintToString(answer);
  EXPECT_EQ(answer.reason(), "RPC_TIMEOUT");
  EXPECT_EQ(answer.metadata("missing_nodes"), kTwo);
  EXPECT_GE(answer.took, absl::Seconds(1));
  EXPECT_LT(answer.took, absl::Seconds(1) + kAtOnce);
  const std::string call_id = app.calls().Next().call_id();
  EXPECT_EQ(app.cancels().Next(), call_id);
  // A late reply, one that never was, and one twice: nobody minds.
  for (const std::string& id : {call_id, std::string("no such call"), call_id}) app.SendReply(id, ResultOf("1"));
  EXPECT_TRUE(Call(caller(), Request("quick")).ok());
}

TEST_F(HandlersTest, AtItsDeadlineACallOfAllEndsWithWhatIsMissing) {
  const AppHost slow(callee(), {{"uneven", NeverAnswering()}});
  const AppHost quick(caller(), {{"uneven", Returning("1")}});
  const AllAnswers answers = CallAll(caller(), "uneven", "[]", absl::Seconds(1));
  EXPECT_THAT(answers.replies, testing::ElementsAre(testing::Key("actioncluster-worker-1")));
  EXPECT_EQ(answers.status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(ErrorInfoOf(answers.status).metadata().at("missing_nodes"), kTwo);
}

TEST_F(HandlersTest, TheDeadlineOfTheGrpcCallCountsIfItIsSmallerThanTheTimeout) {
  const AppHost app(callee(), {{"slow", NeverAnswering()}});
  const absl::Time begin = absl::Now();
  EXPECT_EQ(Call(caller(), Within(absl::Seconds(30), Request("slow")), absl::Seconds(1)).code(),
            grpc::DEADLINE_EXCEEDED);
  const AppHost::Frame::Call call = app.calls().Next();
  const absl::Time deadline =
      absl::FromUnixSeconds(call.deadline().seconds()) + absl::Nanoseconds(call.deadline().nanos());
  EXPECT_LT(deadline, begin + absl::Seconds(2));
  EXPECT_EQ(app.cancels().Next(), call.call_id());
  EXPECT_LT(absl::Now(), begin + absl::Milliseconds(500) + kAtOnce);
}

TEST_F(HandlersTest, WhenTheCallerGoesAwayTheApplicationIsTold) {
  const AppHost app(callee(), {{"slow", NeverAnswering()}});
  grpc::ClientContext context;
  std::thread calling([&] {
    v1::CallResponse response;
    EXPECT_EQ(caller().rpc().Call(&context, Within(absl::Seconds(30), Request("slow")), &response).error_code(),
              grpc::CANCELLED);
  });
  const std::string call_id = app.calls().Next().call_id();
  context.TryCancel();
  EXPECT_EQ(app.cancels().Next(), call_id);
  calling.join();
}

TEST_F(HandlersTest, ANodeThatIsKilledEndsTheCallsItRanAtOnce) {
  const AppHost app(callee(), {{"slow", NeverAnswering()}});
  Answer answer;
  absl::Time ended;
  std::thread calling([&] {
    answer = Call(caller(), Within(absl::Seconds(30), Request("slow")));
    ended = absl::Now();
  });
  app.calls().Next();
  callee().Kill();
  const absl::Time killed = absl::Now();
  calling.join();
  EXPECT_EQ(answer.reason(), "HANDLER_FAILED") << testing::PrintToString(answer);
  EXPECT_EQ(answer.metadata("node_id"), kTwo);
  EXPECT_LT(ended - killed, kAtOnce);
  RecordProperty("ended_after", absl::FormatDuration(ended - killed));
}

TEST_F(HandlersTest, ACallerNodeThatIsKilledHasItsCallsCancelled) {
  const AppHost app(callee(), {{"slow", NeverAnswering()}});
  std::thread calling([&] { EXPECT_FALSE(Call(caller(), Within(absl::Seconds(30), Request("slow"))).ok()); });
  const std::string call_id = app.calls().Next().call_id();
  caller().Kill();
  EXPECT_EQ(app.cancels().Next(), call_id);
  calling.join();
}

}  // namespace
}  // namespace actioncluster::cluster
