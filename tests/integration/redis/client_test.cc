#include "backplane/redis/client.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster::redis {
namespace {

class ClientTest : public testing::Test {
 protected:
  fakes::RedisServer server_;
};

TEST_F(ClientTest, AnswersOverAUnixSocket) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  const std::string binary("a\0b\r\n", 5);
  EXPECT_EQ(TextOf(client.Execute(Command({"SET", KeyOf("key"), binary}))), "OK");
  EXPECT_EQ(TextOf(client.Execute(Command({"GET", KeyOf("key")}))), binary);
  EXPECT_THAT(TextOf(Result(server_.Command({"CLIENT", "LIST"}))),
              testing::ContainsRegex("name=test .* user=actioncluster "));
}

TEST(ClientOverTcpTest, AnswersByAddressAndByName) {
  fakes::RedisServer server({.tcp = true, .password = {}, .args = {}});
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    LinkOptions options;
    options.endpoint = server.tcp_endpoint();
    options.endpoint.host = host;
    options.endpoint.database = 3;
    TestClient client(options);
    client.AwaitReady();
    EXPECT_EQ(TextOf(client.Execute(Command({"SET", KeyOf(host), "x"}))), "OK");
  }
  server.Command({"SELECT", "3"});
  EXPECT_EQ(server.Command({"DBSIZE"}).view().Integer().value(), 2);
}

TEST_F(ClientTest, NeverCompletesInsideExecuteNorWhenItIsNotConnected) {
  TestClient client(OptionsFor(server_));
  const Results results;
  client.thread().Run([&] {
    Client second(client.thread().loop(), OptionsFor(server_), {});
    EXPECT_EQ(ReasonOf(second.state()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
    second.Execute(Command({"PING"}), results.Callback());
    EXPECT_EQ(results.size(), 0u);
  });
  EXPECT_EQ(results.size(), 1u) << "the destructor ends what is pending";
  EXPECT_EQ(ReasonOf(results.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  client.AwaitReady();
  client.thread().Run([&] {
    client.client().Execute(Command({"PING"}), results.Callback());
    EXPECT_EQ(results.size(), 0u);
  });
  EXPECT_EQ(TextOf(results.Next()), "PONG");
}

TEST_F(ClientTest, TenThousandPipelinedCommandsAreAnsweredInOrderInFewWrites) {
  constexpr int kCommands = 10000;
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  const auto reads = [this] {
    const Reply stats = server_.Command({"INFO", "stats"});
    const std::string text(*stats.view().String());
    return std::stoi(text.substr(text.find("total_reads_processed:") + 22));
  };
  const int before = reads();
  const Results results;
  client.thread().Run([&] {
    for (int i = 0; i < kCommands; ++i)
      client.client().Execute(Command({"INCRBY", KeyOf("count"), "1"}), results.Callback());
  });
  for (int i = 1; i <= kCommands; ++i) ASSERT_EQ(results.Next()->view().Integer().value(), i);
  // Redis reads 16 KiB at a time.
  EXPECT_LT(reads() - before, kCommands / 100);
}

TEST_F(ClientTest, LargeValuesComeAndGoWhole) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  const std::string large(24 << 20, 'x');
  EXPECT_EQ(TextOf(client.Execute(Command({"SET", KeyOf("key"), large}))), "OK");
  EXPECT_EQ(client.Execute(Command({"GET", KeyOf("key")}))->view().String()->size(), large.size());
}

TEST_F(ClientTest, CompletionsMayExecuteCommands) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  const Results results;
  client.thread().Run([&] {
    client.client().Execute(Command({"SET", KeyOf("key"), "1"}), [&](absl::StatusOr<Reply>) {
      client.client().Execute(Command({"INCRBY", KeyOf("key"), "1"}), results.Callback());
    });
  });
  EXPECT_EQ(results.Next()->view().Integer().value(), 2);
}

TEST_F(ClientTest, ErrorRepliesAreStatuses) {
  server_.Command({"ACL", "SETUSER", "reader", "on", ">secret", "+@connection", "+get", "~*"});
  LinkOptions options = OptionsFor(server_);
  options.endpoint.user = "reader";
  options.endpoint.password = "secret";
  TestClient client(options);
  client.AwaitReady();
  EXPECT_TRUE(absl::IsPermissionDenied(client.Execute(Command({"SET", "key", "1"})).status()));
  server_.Command({"LPUSH", "list", "1"});
  EXPECT_TRUE(absl::IsInternal(client.Execute(Command({"GET", "list"})).status()));
}

TEST_F(ClientTest, AFullRedisIsUnavailable) {
  server_.Command({"CONFIG", "SET", "maxmemory", "1"});
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  EXPECT_EQ(ReasonOf(client.Execute(Command({"SET", KeyOf("key"), "1"})).status()),
            v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(ClientTest, AWrongPasswordIsSaidAndItGoesOnTrying) {
  LinkOptions options = OptionsFor(server_);
  options.endpoint.password = "wrong-one";
  TestClient client(options);
  const absl::Status state = client.AwaitLoss();
  EXPECT_EQ(ReasonOf(state), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_THAT(std::string(state.message()), testing::HasSubstr("WRONGPASS"));
  EXPECT_THAT(std::string(state.message()), testing::Not(testing::HasSubstr("wrong-one")));
  server_.Command({"ACL", "SETUSER", fakes::kNodesUser, ">wrong-one"});
  client.AwaitReady();
}

TEST_F(ClientTest, DestructionEndsCommandsInFlightOnce) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  const Results results;
  server_.Pause();
  for (int i = 0; i < 3; ++i) client.Send(Command({"PING"}), results);
  client.Destroy();
  ASSERT_EQ(results.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ReasonOf(results.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  }
}

TEST_F(ClientTest, DestructionEndsWhatItsCompletionsExecute) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  server_.Pause();
  const Results results;
  client.thread().Run([&, raw = &client.client()] {
    raw->Execute(Command({"PING"}),
                 [&results, raw](absl::StatusOr<Reply>) { raw->Execute(Command({"PING"}), results.Callback()); });
  });
  client.Destroy();
  EXPECT_FALSE(results.Next().ok());
}

TEST_F(ClientTest, TheClientMayOutliveTheRunOfItsLoop) {
  const Results results;
  fakes::LoopThread thread;
  auto client =
      thread.Run([&] { return std::make_unique<Client>(thread.loop(), OptionsFor(server_), std::vector<Script>()); });
  thread.Stop();
  client->Execute(Command({"PING"}), results.Callback());
  EXPECT_EQ(results.size(), 0u);
  client.reset();
  EXPECT_EQ(results.size(), 1u);
}

}  // namespace
}  // namespace actioncluster::redis
