#include "tests/fakes/redis_server.h"

#include <string>

#include "backplane/redis/endpoint.h"
#include "tests/integration/redis/redis_test_base.h"

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

TEST(RedisServerTest, NodesComeAsTheirUserAndTheTestAsAnAdministrator) {
  RedisServer server;
  redis::TestClient node(redis::OptionsFor(server));
  node.AwaitReady();
  EXPECT_TRUE(absl::IsPermissionDenied(node.Execute(redis::Command({"CONFIG", "GET", "port"})).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(node.Execute(redis::Command({"GET", "key"})).status()));
  server.Command({"ACL", "LOG", "RESET"});
  redis::TestClient test(redis::AsAdministrator(server));
  test.AwaitReady();
  EXPECT_TRUE(test.Execute(redis::Command({"CONFIG", "GET", "port"})).ok());
  EXPECT_FALSE(server.Command({"CONFIG", "GET", "port"}).view().is_error());
}

TEST(RedisServerTest, ItsUrlSaysWhatItsEndpointSays) {
  const RedisServer server;
  const auto parsed = redis::ParseEndpoint(server.url());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->unix_path, server.endpoint().unix_path);
  EXPECT_EQ(parsed->user, server.endpoint().user);
  EXPECT_EQ(parsed->password, server.endpoint().password);
}

}  // namespace
}  // namespace actioncluster::fakes
