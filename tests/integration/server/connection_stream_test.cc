// One node's Open streams, from the hello to the end.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"
#include "tests/integration/server/open_client.h"

namespace actioncluster {
namespace {

using ::testing::HasSubstr;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info;
}

Settings SmallOutbox(const std::string& slow_clients) {
  Settings settings;
  settings.connection_outbox_bytes = 64 << 10;
  settings.slow_clients = slow_clients;
  return settings;
}

class ConnectionStreamTest : public ::testing::Test {
 protected:
  LocalNode& node() {
    if (!node_.has_value()) node_.emplace(redis_.endpoint(), settings_);
    return *node_;
  }
  std::unique_ptr<OpenClient> Client(bool read = true) {
    return std::make_unique<OpenClient>(node().NewChannel(), read);
  }
  grpc::Status SendDirect(const std::string& id, const std::string& data) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    v1::ApplyRequest request;
    request.set_connection_id(id);
    request.set_method("sendMessage");
    request.set_data(data);
    v1::ApplyResponse response;
    const grpc::Status status = node().connections().Apply(&context, request, &response);
    missed_ = response.connection().messages_missed();
    return status;
  }
  grpc::Status Destroy(const std::string& id) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    v1::ApplyRequest request;
    request.set_connection_id(id);
    request.set_method("destroy");
    v1::ApplyResponse response;
    return node().connections().Apply(&context, request, &response);
  }
  // The stream has ended with a status; what was sent before it is in frames().
  static void ExpectEnd(OpenClient& client, grpc::StatusCode code, const std::string& says) {
    const grpc::Status status = client.AwaitEnd();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(says));
  }
  // Awaits that the node holds so many.
  void AwaitConnections(size_t count) {
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (node().io().Run([this] { return node().rooms().connections.connections(); }) != count) {
      ASSERT_LT(absl::Now(), limit);
    }
  }

  fakes::RedisServer redis_;
  Settings settings_;
  std::optional<LocalNode> node_;
  uint64_t missed_ = 0;
};

TEST_F(ConnectionStreamTest, AHelloIsWelcomedAndVerbsAreAnswered) {
  const auto client = Client();
  v1::OpenRequest hello = HelloFrame("c");
  hello.mutable_hello()->set_fingerprint("cookie");
  (*hello.mutable_hello()->mutable_claims()->mutable_fields())["name"].set_string_value("Ann");
  client->Send(hello);
  const v1::OpenResponse first = client->Next();
  ASSERT_TRUE(first.has_welcome()) << first.ShortDebugString();
  EXPECT_FALSE(first.welcome().resumed());
  EXPECT_NE(first.welcome().resume_token(), "");
  const v1::Connection& connection = first.welcome().connection();
  EXPECT_EQ(connection.id(), "c");
  EXPECT_EQ(connection.type(), "grpc");
  EXPECT_EQ(connection.fingerprint(), "cookie");
  EXPECT_EQ(connection.node_id(), node().id());
  EXPECT_THAT(connection.remote_address(), HasSubstr("unix:"));
  EXPECT_EQ(connection.claims().fields().at("name").string_value(), "Ann");
  EXPECT_TRUE(connection.can_chat());
  EXPECT_TRUE(client->Verb("paramAdd", R"(["color", "blue"])").has_result());
  EXPECT_EQ(client->Verb("paramView", R"(["color"])").result().string_value(), "blue");
  EXPECT_EQ(client->Verb("detailsView").result().struct_value().fields().at("id").string_value(), "c");
}

TEST_F(ConnectionStreamTest, AFirstFrameThatIsNoValidHelloEndsTheStream) {
  v1::OpenRequest bad_hello = HelloFrame(std::string(257, 'x'));
  for (const auto& [bytes, says] :
       std::map<std::string, std::string>{{"", "first frame"},
                                          {"\xff\xff\xff", "first frame"},
                                          {VerbFrame("1", "detailsView", "[]").SerializeAsString(), "first frame"},
                                          {bad_hello.SerializeAsString(), "id must have"}}) {
    const auto client = Client();
    client->SendBytes(bytes);
    ExpectEnd(*client, grpc::INVALID_ARGUMENT, says);
    EXPECT_EQ(client->frames().size(), 0u);
  }
}

TEST_F(ConnectionStreamTest, WrongFramesAreAnsweredAndTheStreamGoesOn) {
  const auto client = Client();
  client->Send(HelloFrame("c"));
  // So soon that the connection may not stand yet; the welcome comes first all the same.
  client->SendBytes("\xff\xff\xff");
  EXPECT_TRUE(client->Next().has_welcome());
  EXPECT_THAT(client->Next().error().message(), HasSubstr("OpenRequest"));
  client->Send(HelloFrame("c"));
  EXPECT_THAT(client->Next().error().message(), HasSubstr("once"));
  client->SendBytes("");
  EXPECT_THAT(client->Next().error().message(), HasSubstr("one of"));
  v1::OpenRequest verb = VerbFrame("7", "say", R"(["room"])");
  verb.mutable_verb()->mutable_args()->add_values();  // Neither null nor anything else.
  client->Send(verb);
  const v1::OpenResponse reply = client->Next();
  EXPECT_EQ(reply.reply().message_id(), "7");
  EXPECT_EQ(reply.reply().error().code(), grpc::INVALID_ARGUMENT);
  verb.mutable_verb()->clear_message_id();
  client->Send(verb);
  EXPECT_EQ(client->Next().error().code(), grpc::INVALID_ARGUMENT);
  v1::OpenRequest answer;
  answer.mutable_answer()->set_call_id("of nothing");
  client->Send(answer);
  EXPECT_EQ(client->Verb("noSuchVerb").error().reason(), "METHOD_NOT_FOUND");
  EXPECT_TRUE(client->Verb("detailsView").has_result());
}

TEST_F(ConnectionStreamTest, WhoClosesItsHalfIsOverAndItsIdIsFree) {
  const auto client = Client();
  client->Hello("c");
  client->CloseHalf();
  EXPECT_TRUE(client->AwaitEnd().ok());
  AwaitConnections(0);
  const auto again = Client();
  EXPECT_FALSE(again->Hello("c").resumed());
}

TEST_F(ConnectionStreamTest, WhoseStreamBreaksIsLostAndMayComeBackWithItsToken) {
  auto client = Client();
  const v1::OpenResponse::Welcome welcome = client->Hello("c");
  EXPECT_TRUE(client->Verb("paramAdd", R"(["color", "blue"])").has_result());
  client->Cancel();
  EXPECT_EQ(client->AwaitEnd().error_code(), grpc::CANCELLED);
  AwaitConnections(0);
  const auto stranger = Client();
  stranger->Send(HelloFrame("c"));
  const grpc::Status refused = stranger->AwaitEnd();
  EXPECT_EQ(InfoOf(refused).reason(), "CONNECTION_EXISTS");
  const auto back = Client();
  EXPECT_TRUE(back->Hello("c", welcome.resume_token()).resumed());
  EXPECT_EQ(back->Verb("paramView", R"(["color"])").result().string_value(), "blue");
}

TEST_F(ConnectionStreamTest, AClientThatDoesNotReadIsToldWhatItMissedWhereItIsMissing) {
  settings_ = SmallOutbox("drop");
  const auto stuck = Client(/*read=*/false);
  stuck->Send(HelloFrame("c"));
  AwaitConnections(1);
  const std::string body(32 << 10, 'x');
  int sent = 0;
  for (; missed_ < 10; ++sent) {
    ASSERT_TRUE(SendDirect("c", absl::StrCat(sent, " ", body)).ok());
    ASSERT_LT(sent, 10'000);
  }
  stuck->Read();
  ASSERT_TRUE(stuck->Next().has_welcome());
  int next = 0;
  uint64_t missed = 0;
  while (next < sent) {
    const v1::OpenResponse frame = stuck->Next();
    if (frame.has_missed()) {
      EXPECT_FALSE(frame.missed().gap());
      EXPECT_GT(frame.missed().count(), 0u);
      missed += frame.missed().count();
      next += static_cast<int>(frame.missed().count());
      continue;
    }
    EXPECT_TRUE(absl::StartsWith(frame.direct().data(), absl::StrCat(next, " "))) << next;
    ++next;
  }
  EXPECT_EQ(next, sent);
  EXPECT_GE(missed, 10u);
  ASSERT_TRUE(SendDirect("c", "again").ok());
  EXPECT_EQ(stuck->Next().direct().data(), "again");
  EXPECT_EQ(missed_, missed);
}

TEST_F(ConnectionStreamTest, WhereSlowClientsAreClosedOneIsToldSoAndMayComeBack) {
  settings_ = SmallOutbox("close");
  const auto stuck = Client(/*read=*/false);
  stuck->Send(HelloFrame("c"));
  AwaitConnections(1);
  const std::string body(32 << 10, 'x');
  while (node().io().Run([this] { return node().rooms().connections.connections(); }) == 1) SendDirect("c", body);
  stuck->Read();
  const v1::OpenResponse::Welcome welcome = stuck->Next().welcome();
  const v1::OpenResponse goodbye =
      stuck->frames().NextThat([](const v1::OpenResponse& frame) { return frame.has_goodbye(); });
  EXPECT_EQ(goodbye.goodbye().reason(), "too_slow");
  EXPECT_EQ(InfoOf(stuck->AwaitEnd()).metadata().at("limit"), "outbox");
  EXPECT_EQ(stuck->frames().size(), 0u) << "the goodbye is the last";
  const auto back = Client();
  EXPECT_TRUE(back->Hello("c", welcome.resume_token()).resumed());
}

TEST_F(ConnectionStreamTest, AClientThatNeverReadsItsGoodbyeIsCutAndMakesRoom) {
  settings_ = SmallOutbox("drop");
  settings_.max_connections = 1;
  const auto stuck = Client(/*read=*/false);
  stuck->Send(HelloFrame("c"));
  AwaitConnections(1);
  // Until nothing is written any more: then each message that comes drops one.
  const std::string body(32 << 10, 'x');
  int dropped = 0;
  for (int sent = 0; dropped < 100; ++sent) {
    const uint64_t before = missed_;
    ASSERT_TRUE(SendDirect("c", body).ok());
    dropped = missed_ == before + 1 ? dropped + 1 : 0;
    ASSERT_LT(sent, 10'000);
  }
  ASSERT_TRUE(Destroy("c").ok());
  const absl::Time begun = absl::Now();
  for (;;) {
    const auto other = Client();
    other->Send(HelloFrame("other"));
    other->CloseHalf();
    const grpc::Status status = other->AwaitEnd();
    if (status.ok()) break;
    EXPECT_EQ(InfoOf(status).metadata().at("limit"), "connections");
    ASSERT_LT(absl::Now(), begun + fakes::kPatience);
  }
  EXPECT_GT(absl::Now(), begun + ConnectionStreams::kLinger - absl::Seconds(1)) << "it had time to read";
}

TEST_F(ConnectionStreamTest, ANodeTakesNoMoreConnectionsThanItIsSetTo) {
  settings_.max_connections = 2;
  const auto first = Client();
  const auto second = Client();
  first->Hello("a");
  second->Hello("b");
  const auto third = Client();
  third->Send(HelloFrame("c"));
  const grpc::Status refused = third->AwaitEnd();
  EXPECT_EQ(InfoOf(refused).reason(), "LIMIT_EXCEEDED");
  EXPECT_EQ(InfoOf(refused).metadata().at("limit"), "connections");
}

TEST_F(ConnectionStreamTest, ADrainingNodeLetsItsConnectionsGoSomeAtATimeAndTheOthersGoOnMeanwhile) {
  constexpr size_t kMany = 100;
  std::vector<std::unique_ptr<OpenClient>> clients;
  for (size_t i = 0; i < kMany; ++i) {
    clients.push_back(Client());
    clients.back()->Hello(absl::StrCat("c-", i));
  }
  size_t left = 0;
  node().io().Run([&] {
    ConnectionHost& connections = node().rooms().connections;
    connections.Drain({"elsewhere:1"});
    left = connections.connections();
    EXPECT_GE(connections.unsettled(), left) << "the node waits for them";
  });
  EXPECT_LT(left, kMany);
  EXPECT_GT(left, kMany / 2);
  for (const auto& client : clients) {
    EXPECT_THAT(client->Next().goodbye().alternatives(), testing::ElementsAre("elsewhere:1"));
  }
}

TEST_F(ConnectionStreamTest, ADrainingNodeSaysGoodbyeAndRefusesWhoComes) {
  const auto client = Client();
  client->Hello("c");
  const fakes::Waiter<uint32_t> drained;
  node().io().Run([&] { node().rooms().drain.Begin(fakes::kPatience, drained.Callback()); });
  EXPECT_EQ(client->Next().goodbye().reason(), "draining");
  EXPECT_FALSE(client->AwaitEnd().ok());
  EXPECT_EQ(drained.Next(), 0u);
  const auto late = Client();
  late->Send(HelloFrame("late"));
  EXPECT_EQ(late->AwaitEnd().error_code(), grpc::UNAVAILABLE);
}

}  // namespace
}  // namespace actioncluster
