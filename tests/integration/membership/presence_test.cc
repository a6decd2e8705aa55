#include "backplane/presence/presence.h"

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "backplane/scripts/scripts.h"
#include "gtest/gtest.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {
namespace {

using fakes::Waiter;
using internal::v1::ConnectionRecord;

// On a single Redis, and on a cluster of one process.
class PresenceTest : public testing::TestWithParam<bool> {
 protected:
  PresenceTest() {
    redis::LinkOptions link;
    link.endpoint = redis_.endpoint();
    thread_.Run([&] {
      client_ = std::make_unique<redis::Client>(thread_.loop(), link, scripts::All());
      client_->OnState(state_.Callback());
      presence_ = std::make_unique<Presence>(*client_, keys_);
    });
    while (!state_.Next().ok()) {
    }
  }
  ~PresenceTest() override {
    thread_.Run([&] {
      presence_.reset();
      client_.reset();
    });
  }

  absl::StatusOr<std::optional<ConnectionRecord>> Lookup(const std::string& connection) {
    const Waiter<absl::StatusOr<std::optional<ConnectionRecord>>> done;
    thread_.Run([&] { presence_->Lookup(connection, done.Callback()); });
    return done.Next();
  }
  int64_t Claim(const std::string& connection, const NodeRef& holder) {
    const Waiter<absl::StatusOr<int64_t>> done;
    thread_.Run([&] { presence_->Claim(connection, holder, done.Callback()); });
    return done.Next().value();
  }
  bool Release(const std::string& connection, const NodeRef& holder, int64_t epoch) {
    const Waiter<absl::StatusOr<bool>> done;
    thread_.Run([&] { presence_->Release(connection, holder, epoch, done.Callback()); });
    return done.Next().value();
  }

  const NodeRef a_{"node-1", "aaaaaaaaaaaaaaaa"};
  const NodeRef b_{"node-2", "bbbbbbbbbbbbbbbb"};
  fakes::RedisServer redis_{{.cluster = GetParam(), .password = "", .args = {}}};
  const Keys keys_{"test"};
  const Waiter<absl::Status> state_;
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<Presence> presence_;
};

TEST_P(PresenceTest, FindsWhoClaimedLast) {
  EXPECT_EQ(Lookup("x").value(), std::nullopt);
  const int64_t first = Claim("x", a_);
  const int64_t second = Claim("x", b_);
  EXPECT_GT(second, first);
  const std::optional<ConnectionRecord> record = Lookup("x").value();
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->node_id(), "node-2");
  EXPECT_EQ(record->boot_id(), b_.boot);
  EXPECT_EQ(record->epoch(), second);
}

TEST_P(PresenceTest, ReleasesOnlyTheSameClaim) {
  const int64_t first = Claim("x", a_);
  const int64_t second = Claim("x", a_);
  EXPECT_FALSE(Release("x", a_, first));
  EXPECT_FALSE(Release("x", b_, second));
  EXPECT_TRUE(Release("x", a_, second));
  EXPECT_FALSE(Release("x", a_, second));
  EXPECT_EQ(Lookup("x").value(), std::nullopt);
}

TEST_P(PresenceTest, EpochsGrowEvenAfterTheRecordIsDeleted) {
  const int64_t first = Claim("x", a_);
  ASSERT_TRUE(Release("x", a_, first));
  EXPECT_GT(Claim("x", a_), first);
}

TEST_P(PresenceTest, AnyBytesAreAConnection) {
  const std::string odd = std::string("a{b}c%\0\r\n", 9);
  const int64_t epoch = Claim(odd, a_);
  EXPECT_EQ(Lookup(odd).value()->epoch(), epoch);
  EXPECT_EQ(Lookup("a").value(), std::nullopt);
}

TEST_P(PresenceTest, GarbageInRedisIsAnError) {
  redis_.Command({"HSET", keys_.Connection("x"), "record", "\xff"});
  EXPECT_FALSE(Lookup("x").ok());
  redis_.Command({"DEL", keys_.Connection("x")});
  redis_.Command({"SET", keys_.Connection("x"), "garbage"});
  EXPECT_FALSE(Lookup("x").ok());
}

INSTANTIATE_TEST_SUITE_P(Redis, PresenceTest, testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Cluster" : "Single"; });

}  // namespace
}  // namespace actioncluster
