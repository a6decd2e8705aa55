#include "client/reply_check.h"

#include <string>

#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

using Reply = v1::ServeRequest::Reply;

google::protobuf::Value Nested(int levels) {
  google::protobuf::Value value;
  value.set_bool_value(true);
  for (int i = 0; i < levels; ++i) {
    google::protobuf::Value outer;
    if (i % 2 == 0) {
      *outer.mutable_list_value()->add_values() = value;
    } else {
      (*outer.mutable_struct_value()->mutable_fields())["x"] = value;
    }
    value = outer;
  }
  return value;
}

TEST(ReplyCheckTest, WhatNodesCarryPasses) {
  Reply reply;
  EXPECT_TRUE(CheckReply(reply).ok());
  *reply.mutable_result() = Nested(32);
  EXPECT_TRUE(CheckReply(reply).ok());
  reply.mutable_result()->set_string_value("ä€👋");
  EXPECT_TRUE(CheckReply(reply).ok());
  reply.set_data(std::string(4'128'768, '\xff'));
  EXPECT_TRUE(CheckReply(reply).ok());
}

TEST(ReplyCheckTest, WhatIsNestedDeeperIsAnError) {
  Reply reply;
  *reply.mutable_result() = Nested(33);
  EXPECT_EQ(CheckReply(reply).code(), absl::StatusCode::kUnknown);
}

TEST(ReplyCheckTest, WhatIsNotUtf8IsAnErrorHoweverDeepItLies) {
  Reply reply;
  (*reply.mutable_result()->mutable_struct_value()->mutable_fields())["x"]
      .mutable_list_value()
      ->add_values()
      ->set_string_value("\xff");
  EXPECT_EQ(CheckReply(reply).code(), absl::StatusCode::kUnknown);
  reply.clear_result();
  (*reply.mutable_result()->mutable_struct_value()->mutable_fields())["\xff"].set_bool_value(true);
  EXPECT_EQ(CheckReply(reply).code(), absl::StatusCode::kUnknown);
}

TEST(ReplyCheckTest, WhatIsTooLargeIsAnErrorAlsoAsAnError) {
  Reply reply;
  reply.set_data(std::string(4'200'000, 'x'));
  EXPECT_EQ(CheckReply(reply).code(), absl::StatusCode::kUnknown);
  reply.mutable_error()->set_message(std::string(4'200'000, 'x'));
  EXPECT_EQ(CheckReply(reply).code(), absl::StatusCode::kUnknown);
}

}  // namespace
}  // namespace actioncluster::client
