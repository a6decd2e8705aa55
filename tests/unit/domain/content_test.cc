#include "backplane/domain/content.h"

#include <string>

#include "gtest/gtest.h"

namespace actioncluster {
namespace {

TEST(ContentTest, EveryKindComesBackFromItsMessage) {
  for (const Content& content : {Content{}, Content{Content::Kind::kJson, "value"}, Content{Content::Kind::kBytes, ""},
                                 Content{Content::Kind::kBytes, std::string("\0\xff", 2)}}) {
    internal::v1::Content proto;
    ToProto(content, &proto);
    EXPECT_EQ(FromProto(proto), content);
  }
}

TEST(ContentTest, AKindOfANewerPeerIsTakenForNone) {
  internal::v1::Content proto;
  proto.set_kind(static_cast<internal::v1::Content::Kind>(77));
  proto.set_body("body");
  EXPECT_EQ(FromProto(proto), Content{});
}

}  // namespace
}  // namespace actioncluster
