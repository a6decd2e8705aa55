#include "backplane/redis/endpoint.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::redis {
namespace {

using testing::HasSubstr;
using testing::Not;

Endpoint Parsed(const std::string& url) {
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(url);
  EXPECT_TRUE(endpoint.ok()) << url << ": " << endpoint.status();
  return endpoint.ok() ? *endpoint : Endpoint();
}

TEST(ParseEndpointTest, AHostAloneHasTheUsualPortAndNoUser) {
  const Endpoint endpoint = Parsed("redis://example.org");
  EXPECT_EQ(endpoint.host, "example.org");
  EXPECT_EQ(endpoint.port, 6379);
  EXPECT_EQ(endpoint.user, "");
  EXPECT_EQ(endpoint.password, "");
  EXPECT_EQ(endpoint.database, 0);
  EXPECT_EQ(endpoint.unix_path, "");
}

TEST(ParseEndpointTest, TakesEveryPart) {
  const Endpoint endpoint = Parsed("redis://me:p%40ss%2Fword%3a@10.0.0.1:7000/12");
  EXPECT_EQ(endpoint.user, "me");
  EXPECT_EQ(endpoint.password, "p@ss/word:");
  EXPECT_EQ(endpoint.host, "10.0.0.1");
  EXPECT_EQ(endpoint.port, 7000);
  EXPECT_EQ(endpoint.database, 12);
  EXPECT_EQ(Parsed("redis://:only@h").password, "only");
  EXPECT_EQ(Parsed("redis://:only@h").user, "");
  EXPECT_EQ(Parsed("redis://me@h").user, "me");
  EXPECT_EQ(Parsed("redis://h/").database, 0);
  EXPECT_EQ(Parsed("redis://:a@b@h").password, "a@b");
}

TEST(ParseEndpointTest, IPv6StandsInBrackets) {
  EXPECT_EQ(Parsed("redis://[::1]:7000").host, "::1");
  EXPECT_EQ(Parsed("redis://[::1]:7000").port, 7000);
  EXPECT_EQ(Parsed("redis://[fe80::1%eth0]").host, "fe80::1%eth0");
}

TEST(ParseEndpointTest, AUnixSocketIsAPath) {
  EXPECT_EQ(Parsed("unix:///run/redis.sock").unix_path, "/run/redis.sock");
  EXPECT_EQ(Parsed("unix:///run/a%20b.sock?db=3").unix_path, "/run/a b.sock");
  EXPECT_EQ(Parsed("unix:///run/a%20b.sock?db=3").database, 3);
  EXPECT_EQ(Parsed("unix://me:secret@/run/redis.sock").user, "me");
  EXPECT_EQ(Parsed("unix://me:secret@/run/redis.sock").password, "secret");
  EXPECT_EQ(Parsed("unix:///" + std::string(106, 'x')).unix_path.size(), 107u);
}

TEST(ParseEndpointTest, TlsIsToldByTheScheme) {
  EXPECT_TRUE(Parsed("rediss://me:secret@h:7000/1").tls);
  EXPECT_EQ(Parsed("rediss://h").port, 6379);
  EXPECT_FALSE(Parsed("redis://h").tls);
  EXPECT_TRUE(Parsed("rediss+sentinel://h/main").tls);
  EXPECT_FALSE(Parsed("redis+sentinel://h/main").tls);
}

TEST(ParseEndpointTest, SentinelsAreAListAndTheMasterAName) {
  const Endpoint endpoint = Parsed(
      "redis+sentinel://me:p%2Cw@a.example,10.0.0.1:7000,[::1]:7001/my-main.1_x/"
      "5?sentinel-user=s%40&sentinel-password=q");
  ASSERT_TRUE(endpoint.sentinels.has_value());
  EXPECT_THAT(endpoint.sentinels->addresses,
              testing::ElementsAre(HostPort{"a.example", 26379}, HostPort{"10.0.0.1", 7000}, HostPort{"::1", 7001}));
  EXPECT_EQ(endpoint.sentinels->master, "my-main.1_x");
  EXPECT_EQ(endpoint.sentinels->user, "s@");
  EXPECT_EQ(endpoint.sentinels->password, "q");
  EXPECT_EQ(endpoint.user, "me");
  EXPECT_EQ(endpoint.password, "p,w");
  EXPECT_EQ(endpoint.database, 5);
  EXPECT_EQ(endpoint.host, "");
  EXPECT_EQ(Parsed("redis+sentinel://h/main/").database, 0);
  EXPECT_EQ(Parsed("redis+sentinel://h/main?sentinel-password=q").sentinels->password, "q");
  EXPECT_FALSE(Parsed("redis://h").sentinels.has_value());
}

TEST(ParseEndpointTest, AnythingElseIsRefusedWithoutThePassword) {
  for (const std::string rest : {
           "",
           "redis:",
           "redis://",
           "redis:///1",
           "rediss://:secret@",
           "rediss+unix://:secret@/r",
           "redis+sentinel://:secret@h",
           "redis+sentinel://:secret@h/",
           "redis+sentinel://:secret@/main",
           "redis+sentinel://:secret@h,/main",
           "redis+sentinel://:secret@h,h:x/main",
           "redis+sentinel://:secret@h/ma:in",
           "redis+sentinel://:secret@h/main/x",
           "redis+sentinel://:secret@h/main?db=1",
           "redis+sentinel://:secret@h/main?",
           "redis+sentinel://:secret@h/main?sentinel-password=",
           "redis+sentinel://:secret@h/main?sentinel-password=sec%zz",
           "redis+sentinel://:secret@h/main?sentinel-password=sec&sentinel-password=sec2",
           "redis+sentinel://:secret@a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/main",
           "http://:secret@h",
           "redis://:secret@",
           "redis://:secret@h:0",
           "redis://:secret@h:65536",
           "redis://:secret@h:",
           "redis://:secret@h:12x",
           "redis://:secret@h:+1",
           "redis://:secret@h/x",
           "redis://:secret@h/-1",
           "redis://:secret@h/1/2",
           "redis://:secret@h/99999999999",
           "redis://:secret@h?db=1",
           "redis://:secret@h#x",
           "redis://:secret@ho st",
           "redis://:secret@::1",
           "redis://:secret@[::1",
           "redis://:secret@[::1]x",
           "redis://:sec%ret@h",
           "redis://:secret%@h",
           "redis://:secret%00@h",
           "redis://:sec/ret@h",
           "unix://",
           "unix://:secret@",
           "unix://run/redis.sock",
           "unix://:secret@host/run/redis.sock",
           "unix://:secret@/run/redis.sock?database=1",
           "unix://:secret@/run/redis.sock?db=x",
           "unix://:secret@/run/%zz",
       }) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(rest);
    ASSERT_TRUE(absl::IsInvalidArgument(endpoint.status())) << rest;
    EXPECT_THAT(std::string(endpoint.status().message()), Not(HasSubstr("sec"))) << rest;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ParseEndpoint("unix:///" + std::string(107, 'x')).status()));
}

TEST(EndpointTest, RedactedShowsAllButThePassword) {
  EXPECT_EQ(Parsed("redis://me:secret@h:7000/2").Redacted(), "redis://me:***@h:7000/2");
  EXPECT_EQ(Parsed("redis://:secret@[::1]").Redacted(), "redis://:***@[::1]:6379");
  EXPECT_EQ(Parsed("redis://h").Redacted(), "redis://h:6379");
  EXPECT_EQ(Parsed("rediss://h/1").Redacted(), "rediss://h:6379/1");
  EXPECT_EQ(Parsed("redis+sentinel://me:secret@a,[::1]:1/main/2?sentinel-password=s").Redacted(),
            "redis+sentinel://me:***@a:26379,[::1]:1/main/2");
  EXPECT_EQ(Parsed("rediss+sentinel://a/main").Redacted(), "rediss+sentinel://a:26379/main");
  EXPECT_EQ(Parsed("unix://:secret@/run/r.sock?db=1").Redacted(), "unix://:***@/run/r.sock?db=1");
}

TEST(EndpointTest, LocalIsAUnixSocketOrLoopback) {
  for (const char* url :
       {"unix:///r", "redis://127.0.0.1", "redis://127.8.9.1:1", "redis://[::1]", "redis://LocalHost"}) {
    EXPECT_TRUE(Parsed(url).IsLocal()) << url;
  }
  for (const char* url : {"redis://10.0.0.1", "redis://example.org", "redis://127.evil.org", "redis://[::2]",
                          "redis://0.0.0.0", "redis+sentinel://127.0.0.1/main"}) {
    EXPECT_FALSE(Parsed(url).IsLocal()) << url;
  }
}

}  // namespace
}  // namespace actioncluster::redis
