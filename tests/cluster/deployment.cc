#include "tests/cluster/deployment.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/fakes/certificates.h"

namespace actioncluster::cluster {
namespace {

constexpr char kRedisPassword[] = "secret";

// They may not run without an API token: the Redis may be on other machines.
std::unique_ptr<Cluster> Three(const std::string& url, std::vector<std::string> flags = {}) {
  return std::make_unique<Cluster>(
      3, Cluster::Options{
             .flags = std::move(flags), .redis = {}, .redis_url = url, .api_token = "the token of the clients"});
}

void WriteIdentity(const TempDir& files, const std::string& name, const fakes::Identity& identity) {
  WriteFile(files / (name + ".pem"), identity.certificate);
  WriteFile(files / (name + ".key"), identity.key);
}

// How nodes begin to say where their Redis is.
std::string AsNodesUser(const std::string& scheme) {
  return absl::StrCat(scheme, "://", fakes::kNodesUser, ":", fakes::kNodesPassword, "@127.0.0.1:");
}

}  // namespace

Deployment SolitaryNode() {
  return {.files = nullptr,
          .redis = nullptr,
          .sentinel = nullptr,
          .cluster = std::make_unique<Cluster>(1, Cluster::Options{.flags = {}, .redis = {}, .embedded_redis = true})};
}

Deployment ThreeNodes() {
  return {.files = nullptr, .redis = nullptr, .sentinel = nullptr, .cluster = std::make_unique<Cluster>(3)};
}

Deployment ThreeNodesByTls() {
  auto files = std::make_unique<TempDir>();
  const fakes::Authority authority;
  WriteFile(*files / "ca.pem", authority.certificate());
  WriteIdentity(*files, "redis", authority.Issue("IP:127.0.0.1"));
  WriteIdentity(*files, "node", authority.Issue("DNS:node.test"));
  const int port = fakes::FreePort();
  const std::vector<std::string> args = {
      "--tls-port",         absl::StrCat(port),   "--tls-cert-file", *files / "redis.pem", "--tls-key-file",
      *files / "redis.key", "--tls-ca-cert-file", *files / "ca.pem", "--tls-auth-clients", "yes"};
  // The default user can only see that Redis is there, and what it has refused.
  auto redis = std::make_unique<fakes::RedisServer>(
      fakes::RedisServer::Options{.password = kRedisPassword, .args = args, .default_rights = "-@all +ping +acl|log"});
  auto cluster =
      Three(absl::StrCat(AsNodesUser("rediss"), port), {"--redis-ca-file", *files / "ca.pem", "--redis-cert-file",
                                                        *files / "node.pem", "--redis-key-file", *files / "node.key"});
  return {.files = std::move(files), .redis = std::move(redis), .sentinel = nullptr, .cluster = std::move(cluster)};
}

Deployment ThreeNodesBySentinel() {
  auto redis = std::make_unique<fakes::RedisServer>(
      fakes::RedisServer::Options{.tcp = true, .password = kRedisPassword, .args = {}});
  auto sentinel = std::make_unique<fakes::RedisServer>(
      fakes::RedisServer::Options{.password = "",
                                  .sentinel = absl::StrCat("sentinel monitor main 127.0.0.1 ", redis->port(),
                                                           " 1\nsentinel auth-pass main ", kRedisPassword, "\n"),
                                  .args = {}});
  auto cluster = Three(absl::StrCat(AsNodesUser("redis+sentinel"), sentinel->port(), "/main"));
  return {.files = nullptr, .redis = std::move(redis), .sentinel = std::move(sentinel), .cluster = std::move(cluster)};
}

}  // namespace actioncluster::cluster
