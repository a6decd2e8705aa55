#include "client/channel.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

std::string Target(const std::vector<std::string>& addresses) {
  return TargetOf(addresses).value_or("INVALID_ARGUMENT");
}

TEST(ChannelTest, EachKindOfAddressHasItsTarget) {
  EXPECT_EQ(Target({"127.0.0.1:7400"}), "ipv4:127.0.0.1:7400");
  EXPECT_EQ(Target({"[::1]:7400"}), "ipv6:[::1]:7400");
  EXPECT_EQ(Target({"nodes.example.com:7400"}), "dns:///nodes.example.com:7400");
  EXPECT_EQ(Target({"unix:/run/node"}), "unix:/run/node");
}

TEST(ChannelTest, SeveralOfOneFamilyGoTogether) {
  EXPECT_EQ(Target({"127.0.0.1:7401", "127.0.0.1:7402"}), "ipv4:127.0.0.1:7401,127.0.0.1:7402");
  EXPECT_EQ(Target({"[::1]:1", "[::2]:65535"}), "ipv6:[::1]:1,[::2]:65535");
}

TEST(ChannelTest, WhatDoesNotGoTogetherIsRefused) {
  EXPECT_EQ(Target({"127.0.0.1:1", "[::1]:1"}), "INVALID_ARGUMENT");
  EXPECT_EQ(Target({"127.0.0.1:1", "localhost:1"}), "INVALID_ARGUMENT");
  EXPECT_EQ(Target({"a:1", "b:1"}), "INVALID_ARGUMENT");
  EXPECT_EQ(Target({"unix:/a", "unix:/b"}), "INVALID_ARGUMENT");
  EXPECT_EQ(Target({}), "INVALID_ARGUMENT");
}

TEST(ChannelTest, WhatIsNoAddressIsRefused) {
  for (const char* address : {"", "host", ":1", "host:", "host:0", "host:65536", "host:x", "::1:1", "[::1]", "[x]:1",
                              "http://host:1", "unix:", "a,b:1", "a b:1", "host:-1"}) {
    EXPECT_EQ(Target({address}), "INVALID_ARGUMENT") << address;
  }
}

}  // namespace
}  // namespace actioncluster::client
