#include "tests/fakes/redis_server.h"

#include <string>

#include "backplane/redis/endpoint.h"
#include "gtest/gtest.h"

namespace actioncluster::fakes {
namespace {

TEST(RedisServerTest, ComesBackEmptyAtTheSameAddressAfterAKill) {
  RedisServer server;
  server.Command({"SET", "key", "1"});
  const std::string path = server.unix_path();
  server.Kill();
  server.Start();
  EXPECT_EQ(server.unix_path(), path);
  EXPECT_EQ(server.Command({"DBSIZE"}).view().Integer().value(), 0);
}

TEST(RedisServerTest, AClusterOfOneTakesCommandsForAllSlots) {
  RedisServer server({.cluster = true, .password = {}, .args = {}});
  EXPECT_EQ(server.Command({"SET", "a", "1"}).view().String().value(), "OK");
  EXPECT_EQ(server.Command({"SET", "b", "1"}).view().String().value(), "OK");
  EXPECT_TRUE(server.Command({"MGET", "a", "b"}).view().is_error()) << "two slots";
}

TEST(RedisServerTest, ItsUrlSaysWhatItsEndpointSays) {
  RedisServer server({.password = "secret", .args = {}});
  const auto parsed = redis::ParseEndpoint(server.url());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->unix_path, server.endpoint().unix_path);
  EXPECT_EQ(parsed->password, server.endpoint().password);
}

}  // namespace
}  // namespace actioncluster::fakes
