#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/redis/client.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster::redis {
namespace {

// The hashes are those of sha1sum.
constexpr Script kOne = {"one", "return redis.call('RPUSH', KEYS[1], ARGV[1])",
                         "b9705020f551c492b7692cdba607bbdb64837972"};
constexpr Script kEmpty = {"empty", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"};

class ClientFaultsTest : public testing::Test {
 protected:
  fakes::RedisServer server_;
};

TEST_F(ClientFaultsTest, AKilledRedisIsUnavailableAndUsedAgainSoonAfterItsStart) {
  TestClient client(OptionsFor(server_), {kOne});
  client.AwaitReady();
  const Results results;
  server_.Pause();
  client.Send(Command({"PING"}), results);
  server_.Kill();
  EXPECT_EQ(ReasonOf(results.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_FALSE(client.AwaitLoss().ok());
  EXPECT_EQ(ReasonOf(client.Execute(Command({"PING"})).status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  server_.Start();
  const absl::Time started = MonotonicNow();
  client.AwaitReady();
  EXPECT_LT(MonotonicNow() - started, absl::Seconds(2));
  EXPECT_TRUE(client.Execute(Command::Call(kOne, {KeyOf("list")}, {"a"})).ok())
      << "scripts are loaded on each connection";
}

TEST_F(ClientFaultsTest, AStoppedRedisMeansDeadlinesThenANewConnection) {
  LinkOptions options = OptionsFor(server_);
  options.stall_timeout = absl::Milliseconds(500);
  options.connect_timeout = absl::Milliseconds(500);
  TestClient client(options);
  client.AwaitReady();
  server_.Pause();
  const Results early;
  const Results late;
  client.Send(Command({"PING"}), absl::Milliseconds(30), early);
  client.Send(Command({"PING"}), absl::Seconds(60), late);
  EXPECT_TRUE(absl::IsDeadlineExceeded(early.Next().status()));
  EXPECT_THAT(std::string(client.AwaitLoss().message()), testing::HasSubstr("no reply"));
  EXPECT_EQ(ReasonOf(late.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  server_.Resume();
  client.AwaitReady();
  EXPECT_EQ(TextOf(client.Execute(Command({"PING"}))), "PONG");
}

TEST_F(ClientFaultsTest, ALateReplyIsNotTakenForAnother) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  server_.Pause();
  const Results late;
  client.Send(Command({"PING", "late"}), absl::Milliseconds(30), late);
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.Next().status()));
  const Results results;
  client.Send(Command({"PING", "next"}), results);
  server_.Resume();
  EXPECT_EQ(TextOf(results.Next()), "next");
  EXPECT_EQ(client.states().size(), 0u) << "the same connection";
}

TEST_F(ClientFaultsTest, ARedisThatIsStoppedWhileConnectingIsTriedAgain) {
  server_.Pause();
  LinkOptions options = OptionsFor(server_);
  options.connect_timeout = absl::Milliseconds(100);
  TestClient client(options);
  EXPECT_THAT(std::string(client.AwaitLoss().message()), testing::HasSubstr("not ready within 100ms"));
  server_.Resume();
  client.AwaitReady();
}

TEST_F(ClientFaultsTest, ScriptsFlushedUnderLoadAreLoadedAgainAndRunOnceInOrder) {
  constexpr int kCalls = 20000;
  constexpr int kFlushEvery = 2000;
  TestClient client(OptionsFor(server_), {kEmpty, kOne});
  client.AwaitReady();
  const Results results;
  for (int i = 0; i < kCalls; ++i) {
    if (i % kFlushEvery == kFlushEvery / 2) server_.Command({"SCRIPT", "FLUSH"});
    client.thread().loop().Post([&, i] {
      client.client().Execute(Command::Call(kOne, {KeyOf("list")}, {absl::StrCat(i)}), results.Callback());
    });
  }
  for (int i = 0; i < kCalls; ++i) {
    const Result result = results.Next();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->view().Integer().value(), i + 1) << "each ran once";
  }
  EXPECT_GT(server_.Command({"SCRIPT", "EXISTS", std::string(kOne.sha1)}).view()[0].Integer().value(), 0);
}

TEST_F(ClientFaultsTest, CallsPipelinedBehindAFlushRunInTheirOrder) {
  TestClient client(AsAdministrator(server_), {kOne});
  client.AwaitReady();
  const Results results;
  client.thread().Run([&] {
    client.client().Execute(Command({"SCRIPT", "FLUSH"}), results.Callback());
    for (int i = 0; i < 100; ++i) {
      client.client().Execute(Command::Call(kOne, {KeyOf("list")}, {absl::StrCat(i)}), results.Callback());
    }
  });
  EXPECT_EQ(TextOf(results.Next()), "OK");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(results.Next().ok());
  const Reply list = server_.Command({"LRANGE", KeyOf("list"), "0", "-1"});
  ASSERT_EQ(list.view().size(), 100u);
  for (size_t i = 0; i < 100; ++i) ASSERT_EQ(*list.view()[i].String(), absl::StrCat(i));
}

TEST_F(ClientFaultsTest, AScriptWhoseHashIsWrongIsRefusedAtOnce) {
  TestClient client(OptionsFor(server_), {{"bad", "return 1", kOne.sha1}});
  EXPECT_THAT(std::string(client.AwaitLoss().message()), testing::HasSubstr("SCRIPT LOAD of bad"));
}

TEST_F(ClientFaultsTest, ARedisThatDoesNotReadIsLeftBeforeItFillsTheMemory) {
  LinkOptions options = OptionsFor(server_);
  options.max_unwritten = size_t{4} << 20;
  TestClient client(options);
  client.AwaitReady();
  server_.Pause();
  const Results results;
  const std::string value(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) client.Send(Command({"SET", KeyOf("key"), value}), results);
  EXPECT_THAT(std::string(client.AwaitLoss().message()), testing::HasSubstr("does not read"));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(ReasonOf(results.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  }
  server_.Resume();
  client.AwaitReady();
}

TEST_F(ClientFaultsTest, AKilledConnectionIsNoticedWhenItIsWrittenTo) {
  TestClient client(OptionsFor(server_));
  client.AwaitReady();
  const Results results;
  for (int round = 0; round < 20; ++round) {
    server_.Command({"CLIENT", "KILL", "SKIPME", "yes"});
    // Each ends, with or without having run: whether the loss is seen by reading or by writing.
    client.thread().Run([&] {
      for (int i = 0; i < 100; ++i) client.client().Execute(Command({"PING"}), results.Callback());
    });
    for (int i = 0; i < 100; ++i) (void)results.Next();
    EXPECT_FALSE(client.AwaitLoss().ok());
    client.AwaitReady();
  }
}

TEST_F(ClientFaultsTest, TooManyClientsIsSaid) {
  server_.Command({"CONFIG", "SET", "maxclients", "1"});
  TestClient client(OptionsFor(server_));
  EXPECT_THAT(std::string(client.AwaitLoss().message()), testing::HasSubstr("max number of clients"));
  server_.Command({"CONFIG", "SET", "maxclients", "100"});
  client.AwaitReady();
}

// Takes connections at a port of its own, and answers nothing.
class MuteServer {
 public:
  MuteServer() {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    options_.endpoint.host = "127.0.0.1";
    options_.endpoint.port = ntohs(address.sin_port);
  }
  ~MuteServer() {
    close(connection_);
    close(listener_);
  }
  MuteServer(const MuteServer&) = delete;
  MuteServer& operator=(const MuteServer&) = delete;

  LinkOptions& options() { return options_; }
  void Accept() { connection_ = accept(listener_, nullptr, nullptr); }
  // Reads all that the connection brings, and gives the error that it ends with; 0: it ends in order.
  int ReadToTheEnd() const {
    std::array<char, 4096> bytes;
    ssize_t size;
    while ((size = read(connection_, bytes.data(), bytes.size())) > 0) continue;
    return size == 0 ? 0 : errno;
  }

 private:
  const int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int connection_ = -1;
  LinkOptions options_;
};

// What is on its way when the network is cut, TCP would go on sending, and Redis would carry it out after what the next connection brings. A reset makes it forget that.
TEST(ClientWithoutRedisTest, WhatWasSentOnAConnectionThatIsGivenUpIsNotSentAgainByTheSystem) {
  MuteServer server;
  server.options().connect_timeout = absl::Milliseconds(200);
  TestClient client(server.options());
  server.Accept();
  EXPECT_THAT(std::string(client.AwaitLoss().message()), testing::HasSubstr("not ready within"));
  EXPECT_EQ(server.ReadToTheEnd(), ECONNRESET);
}

TEST(ClientWithoutRedisTest, WhatWasSentBeforeDestructionArrives) {
  MuteServer server;
  TestClient client(server.options());
  server.Accept();
  client.Destroy();
  EXPECT_EQ(server.ReadToTheEnd(), 0);
}

TEST(ClientWithoutRedisTest, NobodyListeningIsSaidForEachKindOfAddress) {
  std::vector<Endpoint> endpoints(4);
  endpoints[0].unix_path = "/nonexistent/redis.sock";
  endpoints[1].host = "127.0.0.1";
  endpoints[1].port = 1;
  endpoints[2].host = "no-such-host.invalid";
  endpoints[3].unix_path = "/" + std::string(200, 'x');
  for (const Endpoint& endpoint : endpoints) {
    LinkOptions options;
    options.endpoint = endpoint;
    options.connect_timeout = absl::Milliseconds(500);
    TestClient client(options);
    const absl::Status state = client.AwaitLoss();
    EXPECT_EQ(ReasonOf(state), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
    EXPECT_THAT(std::string(state.message()), testing::HasSubstr(endpoint.Redacted()));
  }
}

}  // namespace
}  // namespace actioncluster::redis
