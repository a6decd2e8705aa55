#include "server/services/subscription_frames.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <string>

#include "actioncluster/v1/pubsub.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/protobuf/util/time_util.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using google::protobuf::util::MessageDifferencer;

v1::SubscribeResponse Decode(grpc::ByteBuffer frame) {
  v1::SubscribeResponse response;
  EXPECT_TRUE(grpc::SerializationTraits<v1::SubscribeResponse>::Deserialize(&frame, &response).ok());
  return response;
}

PubSub::Incoming Incoming(Content::Kind kind, absl::string_view body) {
  return {.type = "user.created",
          .node_id = "actioncluster-worker-2",
          .kind = kind,
          .body = body,
          .sent_at = absl::FromUnixMicros(1'700'000'000'123'456)};
}

v1::SubscribeResponse Expected() {
  v1::SubscribeResponse response;
  response.set_message_type("user.created");
  response.set_node_id("actioncluster-worker-2");
  *response.mutable_sent_at() = google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(1'700'000'000'123'456);
  return response;
}

TEST(SubscriptionFramesTest, AMessageIsTheMessageOfTheContract) {
  v1::SubscribeResponse expected = Expected();
  EXPECT_TRUE(MessageDifferencer::Equals(Decode(EncodeMessage(Incoming(Content::Kind::kNone, ""))), expected));
  expected.set_data(std::string("\0\xff bytes", 8));
  EXPECT_TRUE(
      MessageDifferencer::Equals(Decode(EncodeMessage(Incoming(Content::Kind::kBytes, expected.data()))), expected));
  (*expected.mutable_value()->mutable_struct_value()->mutable_fields())["n"].set_number_value(1.5);
  const std::string json = expected.value().SerializeAsString();
  EXPECT_TRUE(MessageDifferencer::Equals(Decode(EncodeMessage(Incoming(Content::Kind::kJson, json))), expected));
}

TEST(SubscriptionFramesTest, LongContentAndEmptyContentKeepTheirLength) {
  for (const size_t size : {size_t{0}, size_t{127}, size_t{128}, size_t{70'000}, size_t{4} << 20}) {
    const std::string body(size, 'x');
    const v1::SubscribeResponse response = Decode(EncodeMessage(Incoming(Content::Kind::kBytes, body)));
    EXPECT_TRUE(response.has_data());
    EXPECT_TRUE(response.data() == body) << size;
  }
}

TEST(SubscriptionFramesTest, WhatIsMissingIsAddedToAFrameOthersShare) {
  const grpc::ByteBuffer shared = EncodeMessage(Incoming(Content::Kind::kBytes, "body"));
  v1::SubscribeResponse expected = Expected();
  expected.set_data("body");
  expected.set_missed(1'000'000);
  EXPECT_TRUE(MessageDifferencer::Equals(Decode(WithMissing(&shared, 1'000'000, false)), expected));
  expected.set_gap(true);
  EXPECT_TRUE(MessageDifferencer::Equals(Decode(WithMissing(&shared, 1'000'000, true)), expected));
  expected.set_missed(0);
  expected.set_gap(false);
  EXPECT_TRUE(MessageDifferencer::Equals(Decode(shared), expected));
}

TEST(SubscriptionFramesTest, WhatIsMissingCanBeAFrameOfItsOwn) {
  v1::SubscribeResponse expected;
  expected.set_missed(3);
  EXPECT_TRUE(MessageDifferencer::Equals(Decode(WithMissing(nullptr, 3, false)), expected));
}

}  // namespace
}  // namespace actioncluster
