#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/redis/redis_test_base.h"

// What was written waits for real replicas.
namespace actioncluster::redis {
namespace {

using testing::HasSubstr;

// The hash is that of sha1sum.
constexpr Script kPush = {"push", "return redis.call('RPUSH', KEYS[1], ARGV[1])",
                          "b9705020f551c492b7692cdba607bbdb64837972", /*durable=*/true};

class ReplicasTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClient plain(OptionsFor(master_));
    plain.AwaitReady();
    // Until the replica has what was written: it takes part then.
    ASSERT_TRUE(plain.Execute(Command({"SET", KeyOf("first"), "1"})).ok());
    for (std::string count; count != "1";) {
      const Result reply = plain.Execute(Command({"WAIT", "1", "100"}));
      ASSERT_TRUE(reply.ok()) << reply.status();
      count = absl::StrCat(*reply->view().Integer());
    }
  }

  static LinkOptions Acknowledged(const fakes::RedisServer& server, absl::Duration timeout = absl::Seconds(4)) {
    LinkOptions options = OptionsFor(server);
    options.ack_replicas = 1;
    options.ack_timeout = timeout;
    return options;
  }

  static fakes::RedisServer::Options Args(std::vector<std::string> args) {
    fakes::RedisServer::Options options;
    options.tcp = true;
    options.args = std::move(args);
    return options;
  }

  fakes::RedisServer master_{Args({"--repl-diskless-sync-delay", "0"})};
  fakes::RedisServer replica_{Args({"--replicaof", "127.0.0.1", absl::StrCat(master_.port())})};
};

TEST_F(ReplicasTest, WhatADurableScriptWroteIsOnTheReplicaWhenItEnds) {
  TestClient client(Acknowledged(master_), {kPush});
  client.AwaitReady();
  for (int i = 1; i <= 200; ++i) {
    ASSERT_TRUE(client.Execute(Command::Call(kPush, {KeyOf("list")}, {absl::StrCat(i)})).ok());
    ASSERT_EQ(*replica_.Command({"LLEN", KeyOf("list")}).view().Integer(), i);
  }
}

TEST_F(ReplicasTest, WithoutItsReplicaADurableScriptIsUnavailableAndAllElseGoesOn) {
  TestClient client(Acknowledged(master_, absl::Milliseconds(500)), {kPush}), patient(Acknowledged(master_), {kPush});
  client.AwaitReady();
  patient.AwaitReady();
  replica_.Pause();
  const Results results;
  client.Send(Command::Call(kPush, {KeyOf("list")}, {"a"}), results);
  // Meanwhile.
  const Result read = client.Execute(Command({"GET", KeyOf("nothing")}));
  EXPECT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(results.size() == 0u) << "it is not held back by what waits";
  const absl::Status status = results.Next().status();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_THAT(std::string(status.message()), HasSubstr("0 of 1 replicas"));
  replica_.Resume();
  EXPECT_TRUE(patient.Execute(Command::Call(kPush, {KeyOf("list")}, {"b"})).ok());
  EXPECT_EQ(*replica_.Command({"LLEN", KeyOf("list")}).view().Integer(), 2) << "what was unavailable had run";
}

TEST_F(ReplicasTest, OnlyAClientThatAsksForReplicasHasASecondConnection) {
  const auto connections = [&] { return std::string(*master_.Command({"CLIENT", "LIST"}).view().String()); };
  {
    TestClient plain(OptionsFor(master_), {kPush});
    plain.AwaitReady();
    EXPECT_THAT(connections(), testing::Not(HasSubstr("name=test-durable")));
  }
  TestClient client(Acknowledged(master_), {kPush});
  client.AwaitReady();
  EXPECT_THAT(connections(), HasSubstr("name=test-durable"));
}

TEST_F(ReplicasTest, TheLossOfEitherConnectionIsALoss) {
  TestClient client(Acknowledged(master_), {kPush});
  client.AwaitReady();
  const std::string list(*master_.Command({"CLIENT", "LIST"}).view().String());
  for (const std::string name : {"test ", "test-durable "}) {
    std::string id;
    for (const absl::string_view line : absl::StrSplit(list, '\n')) {
      if (absl::StrContains(line, absl::StrCat("name=", name))) id = std::string(line.substr(3, line.find(' ') - 3));
    }
    ASSERT_NE(id, "");
    EXPECT_EQ(*master_.Command({"CLIENT", "KILL", "ID", id}).view().Integer(), 1);
    EXPECT_FALSE(client.AwaitLoss().ok()) << name;
    client.AwaitReady();
  }
}

}  // namespace
}  // namespace actioncluster::redis
