// What calls reach, and what arrives there.

#include "tests/cluster/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/python_host.h"

namespace actioncluster::cluster {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::Key;
using testing::UnorderedElementsAre;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";
constexpr char kThree[] = "actioncluster-worker-3";

class CallsTest : public testing::Test {
 protected:
  Cluster cluster_{3};
};

TEST_F(CallsTest, TheFirstOfAllNodesAnswersACallWithoutATargetFromAnyNode) {
  for (const Node& node : cluster_.nodes()) {
    const Answer answer = Call(node, Request("node.ping"));
    ASSERT_TRUE(answer.ok()) << testing::PrintToString(answer);
    EXPECT_THAT(answer.response.node_id(), AnyOf(kOne, kTwo, kThree));
    const auto& fields = answer.response.result().struct_value().fields();
    EXPECT_EQ(fields.at("node_id").string_value(), answer.response.node_id());
  }
}

TEST_F(CallsTest, CallAllShowsEachNodeFromAnyNode) {
  AwaitOffers(cluster_.nodes());
  for (const Node& node : cluster_.nodes()) {
    const AllAnswers answers = CallAll(node, "node.ping");
    EXPECT_TRUE(answers.status.ok()) << answers.status.error_message();
    EXPECT_THAT(answers.replies, UnorderedElementsAre(Key(kOne), Key(kTwo), Key(kThree)));
    for (const auto& [id, reply] : answers.replies) EXPECT_TRUE(reply.has_result()) << reply.ShortDebugString();
  }
}

TEST_F(CallsTest, NotifyReachesEachNodeAndSaysHowMany) {
  AwaitOffers(cluster_.nodes());
  v1::NotifyRequest request;
  request.set_method("node.log");
  *request.mutable_args() = Json(R"(["heard by all"])").list_value();
  const Notified notified = Notify(cluster_.node(2), request);
  EXPECT_TRUE(notified.status.ok()) << notified.status.error_message();
  EXPECT_EQ(notified.receivers, 3);
  for (const Node& node : cluster_.nodes()) {
    EXPECT_TRUE(Await([&] { return absl::StrContains(node.log(), "heard by all"); })) << node.id();
  }
  request.set_node_id(kThree);
  *request.mutable_args() = Json(R"(["heard by one"])").list_value();
  EXPECT_EQ(Notify(cluster_.node(1), request).receivers, 1);
  EXPECT_TRUE(Await([&] { return absl::StrContains(cluster_.node(3).log(), "heard by one"); }));
  EXPECT_FALSE(absl::StrContains(cluster_.node(2).log(), "heard by one"));
}

TEST_F(CallsTest, MethodsOfPythonAndCppApplicationsAreFoundByAnyByNodeAndByAll) {
  const auto python = StartPythonHost(cluster_.node(2));
  const AppHost cpp(cluster_.node(3), {{"py.greet", Returning(R"({"greeting": "Hello from C++"})")},
                                       {"cpp.greet", Returning(R"("Hello")")}});
  const Node& asked = cluster_.node(1);

  const v1::CallRequest greet = Request("py.greet", R"(["Ada"])");
  const Answer any = Call(asked, ToAny(greet));
  ASSERT_TRUE(any.ok()) << testing::PrintToString(any);
  EXPECT_THAT(any.response.node_id(), AnyOf(kTwo, kThree));
  const Answer first = Call(asked, greet);
  ASSERT_TRUE(first.ok()) << testing::PrintToString(first);

  const Answer from_python = Call(asked, ToNode(kTwo, greet));
  ASSERT_TRUE(from_python.ok()) << testing::PrintToString(from_python);
  EXPECT_EQ(from_python.response.node_id(), kTwo);
  const auto& fields = from_python.response.result().struct_value().fields();
  EXPECT_EQ(fields.at("greeting").string_value(), "Hello, Ada 👋");
  EXPECT_EQ(fields.at("caller").string_value(), kOne);
  const Answer from_cpp = Call(asked, ToNode(kThree, greet));
  ASSERT_TRUE(from_cpp.ok()) << testing::PrintToString(from_cpp);
  EXPECT_EQ(from_cpp.response.result().struct_value().fields().at("greeting").string_value(), "Hello from C++");

  const AllAnswers all = CallAll(asked, "py.greet", R"(["Ada"])");
  EXPECT_TRUE(all.status.ok()) << all.status.error_message();
  EXPECT_THAT(all.replies, UnorderedElementsAre(Key(kTwo), Key(kThree)));

  for (const Node& node : cluster_.nodes()) {
    const Answer answer = Call(node, ToAny(Request("cpp.greet")));
    EXPECT_EQ(answer.response.node_id(), kThree) << testing::PrintToString(answer);
    EXPECT_EQ(answer.response.result().string_value(), "Hello");
  }
}

TEST_F(CallsTest, ListMethodsSaysWhatIsOfferedWhere) {
  const AppHost two(cluster_.node(2), {{"both", Returning("1")}, {"only.two", Returning("1")}});
  const AppHost three(cluster_.node(3), {{"both", Returning("1")}});
  grpc::ClientContext context;
  v1::ListMethodsResponse response;
  ASSERT_TRUE(cluster_.node(1).rpc().ListMethods(&context, {}, &response).ok());
  ASSERT_EQ(response.methods_size(), 2) << response.ShortDebugString();
  EXPECT_EQ(response.methods(0).name(), "both");
  EXPECT_THAT(response.methods(0).node_ids(), ElementsAre(kTwo, kThree));
  EXPECT_EQ(response.methods(1).name(), "only.two");
  EXPECT_THAT(response.methods(1).node_ids(), ElementsAre(kTwo));
}

TEST_F(CallsTest, JsonArrivesAsItWasSentThereAndBack) {
  const AppHost cpp(cluster_.node(2), {{"cpp.echo", Echoing()}});
  const auto python = StartPythonHost(cluster_.node(3));
  const std::string deep = std::string(32, '[') + std::string(32, ']');
  for (const std::string json :
       {"[]", "{}", "null", "true", "\"\"", "0", "1e308", "-1e308", "5e-324", "9007199254740992", "[null]", "[[], {}]",
        "{\"\": {\"a\": [1, \"2\", null]}}", "\"👋🏽 \\u0000 \\n ü\"", deep.c_str()}) {
    for (const std::string method : {"cpp.echo", "py.echo"}) {
      const Answer answer = Call(cluster_.node(1), Request(method, absl::StrCat("[", json, "]")));
      ASSERT_TRUE(answer.ok()) << method << " " << json << ": " << testing::PrintToString(answer);
      EXPECT_EQ(answer.response.result().SerializeAsString(), Json(json).SerializeAsString()) << method << " " << json;
    }
  }
}

TEST_F(CallsTest, BytesArriveAsTheyWereSentThereAndBack) {
  const AppHost cpp(cluster_.node(2), {{"cpp.echo", Echoing()}});
  const auto python = StartPythonHost(cluster_.node(3));
  std::string large(3 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761U >> 13);
  for (const std::string& bytes : {std::string(), std::string("\0\xff\xfe", 3), large}) {
    for (const std::string method : {"cpp.echo", "py.echo"}) {
      v1::CallRequest request = Request(method);
      request.set_data(bytes);
      const Answer answer = Call(cluster_.node(1), request);
      ASSERT_TRUE(answer.ok()) << method << " of " << bytes.size() << ": "
                               << testing::PrintToString(answer.status.error_message());
      EXPECT_TRUE(answer.response.has_data());
      EXPECT_TRUE(answer.response.data() == bytes) << method << " of " << bytes.size();
    }
  }
}

TEST_F(CallsTest, WhatIsNoJsonAndWhatIsTooLargeIsRefusedWithoutHarm) {
  const AppHost app(cluster_.node(2), {{"echo", Echoing()}});
  v1::CallRequest unset = Request("echo");
  unset.mutable_args()->add_values();
  EXPECT_EQ(Call(cluster_.node(1), unset).code(), grpc::INVALID_ARGUMENT);
  v1::CallRequest infinite = Request("echo");
  infinite.mutable_args()->add_values()->set_number_value(1.0 / 0.0);
  EXPECT_EQ(Call(cluster_.node(1), infinite).code(), grpc::INVALID_ARGUMENT);
  const std::string deep = std::string(34, '[') + std::string(34, ']');
  EXPECT_EQ(Call(cluster_.node(1), Request("echo", deep)).code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Call(cluster_.node(1), Request("")).code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Call(cluster_.node(1), Request(std::string(257, 'm'))).code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Call(cluster_.node(1), Within(absl::Hours(2), Request("echo"))).code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Call(cluster_.node(1), Within(-absl::Seconds(1), Request("echo"))).code(), grpc::INVALID_ARGUMENT);
  v1::CallRequest large = Request("echo");
  large.set_data(std::string(5 << 20, 'x'));
  const Answer refused = Call(cluster_.node(1), large);
  EXPECT_EQ(refused.code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.reason(), "LIMIT_EXCEEDED");
  // What is just allowed fits what gRPC's clients take by default, there and back.
  large.set_data(std::string((4 << 20) - (64 << 10), 'x'));
  EXPECT_TRUE(Call(cluster_.node(1), large).ok());
  EXPECT_TRUE(Call(cluster_.node(1), Request("echo", "[1]")).ok());
}

TEST_F(CallsTest, WhatDoesNotExistIsSaidAtOnce) {
  constexpr absl::Duration kAtOnce = absl::Milliseconds(500);  // A tenth of the timeout.
  v1::CallRequest connection = Request("node.ping");
  connection.set_connection_id("nobody's");
  const AppHost app(cluster_.node(3), {{"only.three", Returning("1")}});
  struct Case {
    v1::CallRequest request;
    grpc::StatusCode code;
    std::string reason;
  };
  for (const auto& [request, code, reason] :
       {Case{Request("nobody.offers"), grpc::UNIMPLEMENTED, "METHOD_NOT_FOUND"},
        Case{ToAny(Request("nobody.offers")), grpc::UNIMPLEMENTED, "METHOD_NOT_FOUND"},
        Case{ToNode(kTwo, Request("only.three")), grpc::UNIMPLEMENTED, "METHOD_NOT_FOUND"},
        Case{Request("node.nothing"), grpc::UNIMPLEMENTED, "METHOD_NOT_FOUND"},
        Case{ToNode("actioncluster-worker-9", Request("node.ping")), grpc::NOT_FOUND, "NODE_NOT_FOUND"},
        Case{connection, grpc::NOT_FOUND, "CONNECTION_NOT_FOUND"}}) {
    const Answer answer = Call(cluster_.node(1), Within(absl::Seconds(5), request));
    EXPECT_EQ(answer.code(), code) << request.ShortDebugString() << testing::PrintToString(answer);
    EXPECT_EQ(answer.reason(), reason);
    EXPECT_LT(answer.took, kAtOnce);
  }
  EXPECT_EQ(CallAll(cluster_.node(1), "nobody.offers").status.error_code(), grpc::UNIMPLEMENTED);
}

}  // namespace
}  // namespace actioncluster::cluster
