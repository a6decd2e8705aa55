// Calls through the C++ client: what they give, how they fail, and when.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/client_support.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using client::Args;
using client::NodeIdOf;
using client::ReasonOf;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";

v1::CallRequest Request(const std::string& method, google::protobuf::ListValue args = {}) {
  v1::CallRequest request;
  request.set_method(method);
  *request.mutable_args() = std::move(args);
  return request;
}

// A node alone, which can be started again on its own port.
class Restartable {
 public:
  Restartable(Cluster& cluster, std::string data_dir) : cluster_(cluster), data_dir_(std::move(data_dir)), ports_(2) {}

  void Start() {
    program_.emplace(
        StartCommand({"--workers", "1", "--port", absl::StrCat(ports_.first()), "--data-dir", data_dir_, "--redis",
                      cluster_.redis().url(), "--server-token-file", cluster_.dir() / "server-token"}));
    EXPECT_TRUE(program_->AwaitOut("node is ready")) << program_->Err();
  }
  void Stop() { ExpectCleanStop(*program_); }
  std::string address() const { return absl::StrCat("127.0.0.1:", ports_.first() + 1); }

 private:
  Cluster& cluster_;
  const std::string data_dir_;
  const Ports ports_;
  std::optional<Program> program_;
};

TEST(ClientCallsTest, EveryCallGivesWhatTheNodeSays) {
  Cluster cluster(2);
  const AppHost app(cluster.node(2), {{"echo", Echoing()}});
  const auto client = NewClient(cluster.node(1));

  const auto reply = client->Call(Request("echo", Args("hi")));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(client::ToJson(reply->result()), "\"hi\"");
  EXPECT_EQ(reply->node_id(), kTwo);

  v1::CallAllRequest all;
  all.set_method("node.ping");
  std::vector<std::string> answered;
  const absl::Status whole =
      client->CallAll(all, [&](const v1::CallAllResponse& each) { answered.push_back(each.node_id()); });
  EXPECT_TRUE(whole.ok()) << whole;
  EXPECT_THAT(answered, UnorderedElementsAre(kOne, kTwo));

  v1::NotifyRequest notice;
  notice.set_method("echo");
  EXPECT_EQ(client->Notify(notice)->receivers(), 1);

  const auto methods = client->ListMethods();
  ASSERT_TRUE(methods.ok()) << methods.status();
  ASSERT_EQ(methods->methods_size(), 1);
  EXPECT_EQ(methods->methods(0).name(), "echo");

  EXPECT_EQ(client->ListNodes()->nodes_size(), 2);
  EXPECT_EQ(client->GetNode()->node().id(), kOne);
  v1::GetNodeRequest other;
  other.set_node_id(kTwo);
  EXPECT_EQ(client->GetNode(other)->node().id(), kTwo);

  v1::PublishRequest message;
  message.set_message_type("nobody.listens");
  EXPECT_EQ(client->Publish(message)->receivers(), 0);
}

TEST(ClientCallsTest, ErrorsSayWhyAndWhere) {
  Cluster cluster(2);
  const AppHost app(cluster.node(2), {{"fail", [](const AppHost::Frame::Call&) {
                                         AppHost::Reply reply;
                                         reply.mutable_error()->set_code(11);
                                         reply.mutable_error()->set_message("out of cheese");
                                         (*reply.mutable_error()->mutable_metadata())["wanted"] = "cheddar";
                                         return reply;
                                       }}});
  const auto client = NewClient(cluster.node(1));

  const absl::Status failed = client->Call(Request("fail")).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(failed.message(), "out of cheese");
  EXPECT_EQ(ReasonOf(failed), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_EQ(NodeIdOf(failed), kTwo);
  EXPECT_EQ(client::MetadataOf(failed).at("wanted"), "cheddar");

  v1::CallAllRequest all;
  all.set_method("fail");
  absl::Status share;
  EXPECT_TRUE(
      client->CallAll(all, [&](const v1::CallAllResponse& each) { share = client::FromProto(each.error()); }).ok());
  EXPECT_EQ(ReasonOf(share), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_EQ(NodeIdOf(share), kTwo);

  const absl::Status missing = client->Call(Request("nobody.offers.this")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(ReasonOf(missing), v1::ERROR_REASON_METHOD_NOT_FOUND);
  v1::GetNodeRequest nowhere;
  nowhere.set_node_id("nowhere");
  EXPECT_EQ(ReasonOf(client->GetNode(nowhere).status()), v1::ERROR_REASON_NODE_NOT_FOUND);
}

TEST(ClientCallsTest, ACallThatTakesTooLongEndsWithTheNodesOwnAnswer) {
  Cluster cluster(1);
  const AppHost app(cluster.node(1), {{"never", NeverAnswering()}});
  const auto client = NewClient({.addresses = {cluster.node(1).address()}, .timeout = absl::Milliseconds(300)});
  v1::CallRequest request = Request("never");
  const auto expect_timeout = [&](absl::Duration timeout) {
    const absl::Time begun = absl::Now();
    const absl::Status status = client->Call(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_RPC_TIMEOUT) << status;
    EXPECT_EQ(client::MetadataOf(status)["missing_nodes"], kOne);
    EXPECT_GE(absl::Now() - begun, timeout);
  };
  expect_timeout(client->options().timeout);
  request.mutable_timeout()->set_nanos(400'000'000);
  expect_timeout(absl::Milliseconds(400));

  v1::CallAllRequest all;
  all.set_method("never");
  const absl::Status whole = client->CallAll(all, [](const v1::CallAllResponse&) { FAIL(); });
  EXPECT_EQ(ReasonOf(whole), v1::ERROR_REASON_RPC_TIMEOUT) << whole;
  request.mutable_timeout()->set_seconds(-1);
  EXPECT_EQ(client->Call(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ClientCallsTest, TheTokenIsShownWithEveryCall) {
  Cluster cluster(0);
  WriteFile(cluster.dir() / "api-token", "open-sesame-open-sesame");
  const Node& node = cluster.Start({.flags = {"--api-token-file", cluster.dir() / "api-token"}});
  const auto good = NewClient({.addresses = {node.address()}, .api_token = "open-sesame-open-sesame"});
  EXPECT_TRUE(good->ListNodes().ok());
  EXPECT_TRUE(good->Call(Request("node.ping")).ok());
  const auto bad = NewClient({.addresses = {node.address()}, .api_token = "guess"});
  EXPECT_EQ(ReasonOf(bad->ListNodes().status()), v1::ERROR_REASON_UNAUTHENTICATED);
  EXPECT_EQ(bad->Call(Request("node.ping")).status().code(), absl::StatusCode::kUnauthenticated);

  const Events events;
  MethodHost host(*bad, {{"work", client::Returning([](const auto&) { return client::ToValue(1); })}}, Telling(events));
  EXPECT_EQ(host.AwaitAttached(kPatience).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(events.Await(AttachmentEvent::Kind::kEnded).status.code(), absl::StatusCode::kUnauthenticated);
  host.Stop();
  EXPECT_EQ(events.size(), 0U) << "the last event is the last";
}

TEST(ClientCallsTest, AHandlersOwnCancelledIsNotTakenForACallThatNobodyHasBegun) {
  Cluster cluster(1);
  const AppHost app(cluster.node(1),
                    {{"give up", [](const AppHost::Frame::Call&) { return ErrorOf(grpc::CANCELLED, "enough"); }}});
  const auto client = NewClient(cluster.node(1));
  const absl::Status failed = client->Call(Request("give up")).status();
  EXPECT_TRUE(absl::IsCancelled(failed)) << failed;
  EXPECT_EQ(ReasonOf(failed), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_EQ(app.calls().size(), 1U) << "gRPC would repeat what says CANCELLED before any headers";
}

TEST(ClientCallsTest, OfSeveralAddressesTheNextIsTakenWhenOneIsGone) {
  Cluster cluster(2);
  const auto client = NewClient({.addresses = {cluster.node(1).address(), cluster.node(2).address()}});
  EXPECT_EQ(client->GetNode()->node().id(), kOne);
  cluster.node(1).Kill();
  // A read is repeated, whether the loss is known by then or not; what is only sent once can be by now.
  const auto node = client->GetNode();
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->node().id(), kTwo);
  EXPECT_TRUE(client->Call(Request("node.ping")).ok());
}

TEST(ClientCallsTest, ReadsOutlastARestartOfTheOnlyNodeAndOtherCallsFailAtOnce) {
  Cluster cluster(0);
  Restartable node(cluster, cluster.dir() / "data");
  node.Start();
  const auto client = NewClient({.addresses = {node.address()}, .timeout = kPatience});
  ASSERT_TRUE(client->ListNodes().ok());
  node.Stop();

  const absl::Time begun = absl::Now();
  const absl::Status refused = client->Call(Request("node.ping")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));

  absl::Status listed, described, methods;
  std::thread listing([&] { listed = client->ListNodes().status(); });
  std::thread describing([&] { described = client->GetNode().status(); });
  std::thread asking([&] { methods = client->ListMethods().status(); });
  node.Start();
  for (std::thread* thread : {&listing, &describing, &asking}) thread->join();
  EXPECT_TRUE(listed.ok()) << listed;
  EXPECT_TRUE(described.ok()) << described;
  EXPECT_TRUE(methods.ok()) << methods;
}

TEST(ClientCallsTest, ReadsGoOnWhileNodesAreStoppedAndStarted) {
  Cluster cluster(0);
  Restartable node(cluster, cluster.dir() / "data");
  node.Start();
  const auto client = NewClient({.addresses = {node.address()}, .timeout = kPatience});
  std::atomic<bool> stop = false;
  absl::Status failed;
  std::vector<std::thread> readers;
  absl::Mutex mutex;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const absl::Status status = client->ListNodes().status();
        absl::MutexLock lock(&mutex);
        failed.Update(status);
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    node.Stop();
    node.Start();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_TRUE(failed.ok()) << failed;
}

TEST(ClientCallsTest, AWatchEndsWhenItsReaderHasSeenEnough) {
  Cluster cluster(2);
  const auto client = NewClient(cluster.node(1));
  std::vector<std::string> joined;
  const absl::Status status = client->WatchNodes([&](const v1::WatchNodesResponse& event) {
    joined.push_back(event.node().id());
    return joined.size() < 2;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(joined, ElementsAre(kOne, kTwo));
}

TEST(ClientCallsTest, AWatchSaysWhyTheNodeHasEndedIt) {
  Cluster cluster(1);
  const auto client = NewClient(cluster.node(1));
  const absl::Status status = client->WatchNodes([&](const v1::WatchNodesResponse&) {
    cluster.node(1).Kill();
    return true;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST(ClientCallsTest, ADrainReturnsWhatStillRuns) {
  Cluster cluster(2);
  const AppHost app(cluster.node(2), {{"never", NeverAnswering()}});
  const auto client = NewClient(cluster.node(1));
  v1::NotifyRequest notice;
  notice.set_method("never");
  ASSERT_TRUE(client->Notify(notice).ok());
  app.calls().Next();
  v1::DrainRequest request;
  request.set_node_id(kTwo);
  request.mutable_timeout()->set_nanos(200'000'000);
  const auto drained = client->Drain(request);
  ASSERT_TRUE(drained.ok()) << drained.status();
  EXPECT_EQ(drained->calls_running(), 1U);
}

TEST(ClientCallsTest, OptionsThatAreNoneAreRefused) {
  for (const ClientOptions& options : std::vector<ClientOptions>{{.addresses = {}},
                                                                 {.addresses = {"nowhere"}},
                                                                 {.api_token = "two\nlines"},
                                                                 {.timeout = absl::ZeroDuration()},
                                                                 {.timeout = absl::InfiniteDuration()}}) {
    EXPECT_EQ(Client::Create(options).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace actioncluster::cluster
