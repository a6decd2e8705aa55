// What the server side does with connections, through whole nodes inside this process, on one Redis.
#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/grpc/content.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"
#include "tests/integration/server/open_client.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Stub = v1::ConnectionService::Stub;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info;
}

class ConnectionServiceTest : public ::testing::Test {
 protected:
  template <class Request, class Response>
  static grpc::Status Ask(LocalNode& node, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                          const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    return (node.connections().*rpc)(&context, request, response);
  }
  static v1::ApplyRequest ApplyOf(const std::string& id, const std::string& method, absl::string_view arguments) {
    v1::ApplyRequest request;
    request.set_connection_id(id);
    request.set_method(method);
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(std::string(arguments), request.mutable_args()).ok());
    return request;
  }
  static grpc::Status Apply(LocalNode& node, const v1::ApplyRequest& request, v1::ApplyResponse* response = nullptr) {
    v1::ApplyResponse ignored;
    return Ask(node, &Stub::Apply, request, response == nullptr ? &ignored : response);
  }
  static grpc::Status Get(LocalNode& node, const std::string& id, v1::Connection* connection = nullptr) {
    v1::ConnectionServiceGetRequest request;
    request.set_connection_id(id);
    v1::ConnectionServiceGetResponse response;
    const grpc::Status status = Ask(node, &Stub::Get, request, &response);
    if (connection != nullptr) *connection = response.connection();
    return status;
  }
  static v1::InvokeRequest InvokeOf(const std::string& id, absl::Duration timeout) {
    v1::InvokeRequest request;
    request.set_connection_id(id);
    request.set_method("ask");
    request.set_data("question");
    request.mutable_timeout()->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(timeout % absl::Seconds(1))));
    request.mutable_timeout()->set_seconds(absl::ToInt64Seconds(timeout));
    return request;
  }
  struct Page {
    grpc::Status status;
    std::vector<std::string> ids;
    std::vector<std::string> missing;
    std::string next;
  };
  static Page List(LocalNode& node, const v1::ConnectionServiceListRequest& request) {
    v1::ConnectionServiceListResponse response;
    Page page;
    page.status = Ask(node, &Stub::List, request, &response);
    for (const v1::Connection& connection : response.connections()) page.ids.push_back(connection.id());
    page.missing = {response.missing_nodes().begin(), response.missing_nodes().end()};
    page.next = response.next_page_token();
    return page;
  }

  fakes::RedisServer redis_;
  LocalNode one_{redis_.endpoint()};
  LocalNode two_{redis_.endpoint()};
  OpenClient client_{two_.NewChannel()};
};

TEST_F(ConnectionServiceTest, AConnectionIsReadAndChangedFromEveryNode) {
  client_.Hello("c");
  v1::ApplyResponse applied;
  ASSERT_TRUE(Apply(one_, ApplyOf("c", "set", R"(["role", "guest"])"), &applied).ok());
  EXPECT_EQ(applied.connection().attributes().at("role").string_value(), "guest");
  for (LocalNode* node : {&one_, &two_}) {
    v1::Connection connection;
    ASSERT_TRUE(Get(*node, "c", &connection).ok());
    EXPECT_EQ(connection.id(), "c");
    EXPECT_EQ(connection.node_id(), two_.id());
    EXPECT_EQ(connection.attributes().at("role").string_value(), "guest");
  }
  v1::ApplyRequest message;
  message.set_connection_id("c");
  message.set_method("sendMessage");
  message.set_data("hello");
  ASSERT_TRUE(Apply(one_, message).ok());
  EXPECT_EQ(client_.Next().direct().data(), "hello");
  ASSERT_TRUE(Apply(one_, ApplyOf("c", "destroy", R"(["enough"])")).ok());
  const v1::OpenResponse goodbye = client_.Next();
  EXPECT_EQ(goodbye.goodbye().reason(), "destroyed");
  EXPECT_EQ(goodbye.goodbye().message(), "enough");
  client_.AwaitEnd();
  EXPECT_EQ(InfoOf(Get(one_, "c")).reason(), "CONNECTION_NOT_FOUND");
}

TEST_F(ConnectionServiceTest, WhatCannotBeDoneSaysWhy) {
  client_.Hello("c");
  EXPECT_EQ(InfoOf(Get(one_, "nobody")).reason(), "CONNECTION_NOT_FOUND");
  EXPECT_EQ(InfoOf(Apply(one_, ApplyOf("c", "noSuchMethod", "[]"))).reason(), "METHOD_NOT_FOUND");
  EXPECT_EQ(Apply(one_, ApplyOf("c", "set", "[1]")).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Get(one_, "").error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Get(one_, std::string(257, 'x')).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Apply(one_, ApplyOf("c", std::string(257, 'x'), "[]")).error_code(), grpc::INVALID_ARGUMENT);
  v1::ApplyRequest apply = ApplyOf("c", "set", "[]");
  apply.mutable_args()->add_values();
  EXPECT_THAT(Apply(one_, apply).error_message(), HasSubstr("args"));
  apply.set_data(std::string(kMaxContentBytes + 1, 'x'));
  EXPECT_EQ(InfoOf(Apply(one_, apply)).reason(), "LIMIT_EXCEEDED");
  apply = ApplyOf("c", "set", "[]");
  apply.mutable_timeout();
  EXPECT_THAT(Apply(one_, apply).error_message(), HasSubstr("timeout"));
  v1::InvokeRequest invoke = InvokeOf("c", absl::Seconds(1));
  invoke.clear_method();
  v1::InvokeResponse answer;
  EXPECT_THAT(Ask(one_, &Stub::Invoke, invoke, &answer).error_message(), HasSubstr("method"));
}

TEST_F(ConnectionServiceTest, AConnectionThatItsNodeDoesNotHoldIsLookedForOnceMoreAndNoOftener) {
  const fakes::Waiter<absl::StatusOr<Presence::Claimed>> claimed;
  two_.io().Run([&] {
    Rooms& rooms = two_.rooms();
    rooms.presence.Claim("ghost", rooms.membership.self(), "", "a token", claimed.Callback());
  });
  ASSERT_TRUE(claimed.Next().ok());
  const uint64_t before = one_.rooms().rpc.counters().calls;
  const grpc::Status status = Get(one_, "ghost");
  EXPECT_EQ(InfoOf(status).reason(), "CONNECTION_NOT_FOUND");
  EXPECT_EQ(InfoOf(status).metadata().at("node_id"), two_.id());
  EXPECT_EQ(one_.rooms().rpc.counters().calls, before + 2);
}

TEST_F(ConnectionServiceTest, TheClientIsAskedFromAnotherNodeAndItsAnswerComesBack) {
  client_.Hello("c");
  const auto ask = [this](auto answer) {
    v1::InvokeResponse response;
    grpc::Status status;
    std::thread caller([&] { status = Ask(one_, &Stub::Invoke, InvokeOf("c", fakes::kPatience / 2), &response); });
    const v1::OpenResponse frame = client_.Next();
    EXPECT_EQ(frame.invoke().method(), "ask");
    EXPECT_EQ(frame.invoke().data(), "question");
    v1::OpenRequest request;
    request.mutable_answer()->set_call_id(frame.invoke().call_id());
    answer(*request.mutable_answer());
    client_.Send(request);
    caller.join();
    return std::pair(status, response);
  };
  const auto [ok, answered] = ask([](auto& answer) { answer.set_data("answer"); });
  EXPECT_TRUE(ok.ok()) << ok.error_message();
  EXPECT_EQ(answered.data(), "answer");
  EXPECT_EQ(answered.node_id(), two_.id());
  const auto [failed, nothing] = ask([](auto& answer) {
    answer.mutable_error()->set_code(grpc::PERMISSION_DENIED);
    answer.mutable_error()->set_message("not you");
  });
  EXPECT_EQ(failed.error_code(), grpc::PERMISSION_DENIED);
  EXPECT_EQ(InfoOf(failed).reason(), "HANDLER_FAILED");
  const auto [wrong, none] = ask([](auto& answer) { answer.mutable_result(); });
  EXPECT_EQ(InfoOf(wrong).reason(), "HANDLER_FAILED");
  EXPECT_THAT(wrong.error_message(), HasSubstr("result"));
}

TEST_F(ConnectionServiceTest, AnAnswerThatDoesNotComeIsATimeoutAndAClientThatGoesIsNotFound) {
  client_.Hello("c");
  v1::InvokeResponse response;
  EXPECT_EQ(InfoOf(Ask(one_, &Stub::Invoke, InvokeOf("c", absl::Milliseconds(50)), &response)).reason(), "RPC_TIMEOUT");
  v1::InvokeRequest again = InvokeOf("c", fakes::kPatience / 2);
  again.set_method("ask again");
  grpc::Status status;
  std::thread caller([&] { status = Ask(one_, &Stub::Invoke, again, &response); });
  client_.frames().NextThat([](const v1::OpenResponse& frame) { return frame.invoke().method() == "ask again"; });
  client_.Cancel();
  caller.join();
  EXPECT_EQ(InfoOf(status).reason(), "CONNECTION_NOT_FOUND");
  EXPECT_EQ(InfoOf(status).metadata().at("asked"), "true");
}

TEST_F(ConnectionServiceTest, AllConnectionsAreListedPageByPageByNodeAndId) {
  std::vector<std::unique_ptr<OpenClient>> clients;
  for (int i = 0; i < 5; ++i) {
    LocalNode& node = i < 3 ? one_ : two_;
    clients.push_back(std::make_unique<OpenClient>(node.NewChannel()));
    v1::OpenRequest hello = HelloFrame(absl::StrCat("c", 4 - i));
    if (i % 2 == 0) hello.mutable_hello()->set_type("even");
    clients.back()->Send(hello);
    ASSERT_TRUE(clients.back()->Next().has_welcome());
  }
  for (const int size : {0, 1, 2, 3, 5}) {
    v1::ConnectionServiceListRequest request;
    request.set_page_size(size);
    std::vector<std::string> all;
    int pages = 0;
    for (;; ++pages) {
      const Page page = List(two_, request);
      ASSERT_TRUE(page.status.ok()) << page.status.error_message();
      EXPECT_THAT(page.missing, IsEmpty());
      EXPECT_LE(page.ids.size(), static_cast<size_t>(size == 0 ? 100 : size));
      all.insert(all.end(), page.ids.begin(), page.ids.end());
      if (page.next.empty()) break;
      request.set_page_token(page.next);
    }
    EXPECT_THAT(all, ElementsAre("c2", "c3", "c4", "c0", "c1")) << size;
    EXPECT_LE(pages, 5);
  }
  v1::ConnectionServiceListRequest request;
  request.set_type("even");
  EXPECT_THAT(List(one_, request).ids, UnorderedElementsAre("c0", "c2", "c4"));
  request.set_node_id(one_.id());
  EXPECT_THAT(List(two_, request).ids, ElementsAre("c2", "c4"));
  request.set_room("no such room");
  EXPECT_THAT(List(two_, request).ids, IsEmpty());
}

TEST_F(ConnectionServiceTest, ListingsThatCannotBeSayWhy) {
  v1::ConnectionServiceListRequest request;
  request.set_node_id("no such node");
  EXPECT_EQ(InfoOf(List(one_, request).status).reason(), "NODE_NOT_FOUND");
  request.Clear();
  request.set_page_size(1001);
  EXPECT_EQ(List(one_, request).status.error_code(), grpc::INVALID_ARGUMENT);
  request.set_page_size(-1);
  EXPECT_EQ(List(one_, request).status.error_code(), grpc::INVALID_ARGUMENT);
  request.Clear();
  request.set_page_token("no token");
  EXPECT_EQ(List(one_, request).status.error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ConnectionServiceTest, ANodeThatDoesNotAnswerIsNamedAndTheOthersAreListed) {
  OpenClient other(one_.NewChannel());
  other.Hello("here");
  client_.Hello("there");
  absl::Notification stuck;
  // Outlives the test, where the loop may still be waking up from it.
  const auto go_on = std::make_shared<absl::Notification>();
  two_.io().loop().Post([&stuck, go_on] {
    stuck.Notify();
    go_on->WaitForNotification();
  });
  stuck.WaitForNotification();
  const Page page = List(one_, {});
  go_on->Notify();
  EXPECT_TRUE(page.status.ok()) << page.status.error_message();
  EXPECT_THAT(page.ids, ElementsAre("here"));
  EXPECT_THAT(page.missing, ElementsAre(two_.id()));
}

}  // namespace
}  // namespace actioncluster
