#include "backplane/keys/keys.h"

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace actioncluster {
namespace {

// What Redis Cluster hashes: between the first `{` and the first `}` after it, if there is anything.
std::string Tag(const std::string& key) {
  const size_t open = key.find('{');
  const size_t close = open == std::string::npos ? open : key.find('}', open);
  return close == std::string::npos || close == open + 1 ? key : key.substr(open + 1, close - open - 1);
}

TEST(KeysTest, NamespaceIsShortAndOfHarmlessCharacters) {
  for (const char* valid : {"a", "actioncluster", "A-z_0.9"}) EXPECT_TRUE(Keys::Validate(valid).ok()) << valid;
  EXPECT_TRUE(Keys::Validate(std::string(64, 'n')).ok());
  for (const char* bad : {"", "a:b", "a{b", "a}b", "a b", "\xC3\xA4", "a\n", "a*", "a/b"}) {
    EXPECT_EQ(Keys::Validate(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(Keys::Validate(std::string(65, 'n')).ok());
  EXPECT_FALSE(Keys::Validate(absl::string_view("a\0b", 3)).ok());
}

TEST(KeysTest, MembershipIsDifferentKeysInOneSlot) {
  const Keys keys("ns");
  const std::set<std::string> all = {keys.MembershipLeases(), keys.MembershipRecords(), keys.MembershipStats(),
                                     keys.MembershipNames(), keys.MembershipState()};
  EXPECT_EQ(all.size(), 5u);
  for (const std::string& key : all) EXPECT_EQ(Tag(key), "ns:m");
}

TEST(KeysTest, ConnectionIsAllInsideItsTagWhateverItsId) {
  const Keys keys("ns");
  EXPECT_EQ(keys.Connection("c1"), "{ns:conn:c1}");
  std::set<std::string> tags;
  const std::set<std::string> ids = {"a", "{a}", "}", "{", "%", "%7B", "%257B", "{}", "a}b", "", "m}:leases"};
  for (const std::string& id : ids) {
    const std::string key = keys.Connection(id);
    EXPECT_EQ(Tag(key), key.substr(1, key.size() - 2)) << key;
    tags.insert(Tag(key));
  }
  EXPECT_EQ(tags.size(), ids.size());
}

TEST(KeysTest, MessageTypesHaveChannelsOfTheirOwnAndOneForAll) {
  const Keys keys("ns");
  EXPECT_EQ(keys.ChannelType("a"), "ns:type:a");
  EXPECT_EQ(keys.ChannelAllTypes(), "ns:types");
  EXPECT_EQ(Keys("ns", 3).ChannelType("a"), "ns:db3:type:a");
  // Whatever a type is called, it is no other channel.
  const std::set<std::string> others = {keys.ChannelAll(), keys.ChannelBoot("s"), keys.ChannelMethod("s"),
                                        keys.ChannelAllTypes()};
  for (const std::string type : {"", "s", ":s", "all", "types"}) EXPECT_FALSE(others.contains(keys.ChannelType(type)));
}

TEST(KeysTest, ChannelsAreOfTheirKindNamespaceAndDatabase) {
  EXPECT_EQ(Keys("ns").ChannelAll(), "ns:all");
  EXPECT_EQ(Keys("ns").ChannelBoot("b1"), "ns:boot:b1");
  EXPECT_EQ(Keys("ns").ChannelMethod("mail.{send}"), "ns:method:mail.{send}");
  EXPECT_EQ(Keys("ns", 3).ChannelAll(), "ns:db3:all");
  EXPECT_EQ(Keys("ns", 3).ChannelBoot("b1"), "ns:db3:boot:b1");
  EXPECT_EQ(Keys("ns", 3).ChannelMethod("m"), "ns:db3:method:m");
}

TEST(KeysTest, AllOfACacheKeyIsInOneSlotAndTwoKeysShareNothing) {
  const Keys keys("ns");
  using Kind = Keys::CacheKind;
  std::set<std::string> names;
  size_t count = 0;
  for (const std::string key : {"k", "k}", "{k", "%7D", "}", "k{}k", "ключ"}) {
    std::vector<std::string> of_key = {keys.Cache(Kind::kValue, key),
                                       keys.Cache(Kind::kLock, key),
                                       keys.Cache(Kind::kList, key),
                                       keys.CacheRequest(Keys::CacheCall::kPush, key, "}{id"),
                                       keys.CacheRequest(Keys::CacheCall::kPop, key, "}{id"),
                                       keys.CacheScratch(key),
                                       keys.Cache(Kind::kStaged, key)};
    for (const Kind kind : {Kind::kLock, Kind::kList}) {
      for (std::string& name : keys.CacheLine(kind, key)) of_key.push_back(std::move(name));
    }
    std::set<std::string> tags;
    for (const std::string& name : of_key) {
      const size_t open = name.find('{');
      tags.insert(name.substr(open, name.find('}') - open));
    }
    EXPECT_EQ(1, tags.size()) << key;
    names.insert(of_key.begin(), of_key.end());
    count += of_key.size();
  }
  EXPECT_EQ(count, names.size());
}

TEST(KeysTest, ACacheKeyIsReadBackFromItsName) {
  const Keys keys("ns");
  using Kind = Keys::CacheKind;
  for (const std::string key : {"k", "k}", "{k", "%7D", "%", "a:b", "ключ"}) {
    EXPECT_EQ(key, keys.CacheKeyOf(Kind::kValue, keys.Cache(Kind::kValue, key)));
    EXPECT_EQ(std::nullopt, keys.CacheKeyOf(Kind::kLock, keys.Cache(Kind::kValue, key)));
    EXPECT_EQ(std::nullopt, Keys("other").CacheKeyOf(Kind::kValue, keys.Cache(Kind::kValue, key)));
  }
  for (const std::string name : {"v{ns:c:k", "v{ns:c:k}x", "v{ns:c:a}b}", "v{ns:c:%7}", "v{ns:c:%20}", ""}) {
    EXPECT_EQ(std::nullopt, keys.CacheKeyOf(Kind::kValue, name)) << name;
  }
}

TEST(KeysTest, APatternTakesItsPrefixLiterally) {
  EXPECT_EQ("v{ns:c:*", Keys("ns").CachePattern(Keys::CacheKind::kValue, ""));
  EXPECT_EQ("l{ns:c:a\\*\\?\\[\\]\\\\%7B*", Keys("ns").CachePattern(Keys::CacheKind::kLock, "a*?[]\\{"));
}

}  // namespace
}  // namespace actioncluster
