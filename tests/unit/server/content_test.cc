#include "server/grpc/content.h"

#include <cmath>
#include <limits>
#include <string>

#include "actioncluster/v1/rpc.pb.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Value;
using google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A message from its JSON.
template <class Message>
Message Parse(const std::string& json) {
  Message message;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &message).ok()) << json;
  return message;
}

Value NestedLists(int depth) {
  Value value;
  value.set_bool_value(true);
  for (int i = 0; i < depth; ++i) {
    Value outer;
    *outer.mutable_list_value()->add_values() = std::move(value);
    value = std::move(outer);
  }
  return value;
}

Value NestedObjects(int depth) {
  Value value;
  value.set_bool_value(true);
  for (int i = 0; i < depth; ++i) {
    Value outer;
    (*outer.mutable_struct_value()->mutable_fields())["k"] = std::move(value);
    value = std::move(outer);
  }
  return value;
}

TEST(ValidateJsonTest, EveryKindOfJsonIsFine) {
  EXPECT_TRUE(
      ValidateJson(Parse<Value>(R"([null, true, false, -1.5e300, "text", {}, [], {"a": {"b": [1]}}])"), "x").ok());
}

TEST(ValidateJsonTest, AValueWithoutAKindIsRefusedWhereverItStands) {
  const Value unset;
  Value in_list;
  in_list.mutable_list_value()->add_values();
  Value in_object;
  (*in_object.mutable_struct_value()->mutable_fields())["k"];
  for (const Value& value : {unset, in_list, in_object}) {
    const absl::Status status = ValidateJson(value, "result");
    EXPECT_EQ(status.code(), kInvalid);
    EXPECT_THAT(std::string(status.message()), HasSubstr("result has a value that is not set"));
  }
}

TEST(ValidateJsonTest, NumbersThatAreNotFiniteAreRefused) {
  for (const double number :
       {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    ListValue args;
    args.add_values()->mutable_list_value()->add_values()->set_number_value(number);
    EXPECT_EQ(ValidateJson(args, "args").code(), kInvalid) << number;
  }
}

TEST(ValidateJsonTest, NestingOf32IsFineAndOf33IsRefused) {
  EXPECT_TRUE(ValidateJson(NestedLists(32), "x").ok());
  EXPECT_TRUE(ValidateJson(NestedObjects(32), "x").ok());
  EXPECT_EQ(ValidateJson(NestedLists(33), "x").code(), kInvalid);
  EXPECT_EQ(ValidateJson(NestedObjects(33), "x").code(), kInvalid);
}

// Protobuf's parsers give up at 100 messages in one another; an object is three.
TEST(ValidateJsonTest, WhatIsNestedAsDeepAsAllowedCanBeParsedInTheDeepestFrame) {
  v1::ServeResponse frame;
  *frame.mutable_call()->mutable_args()->add_values() = NestedObjects(32);
  v1::ServeResponse parsed;
  EXPECT_TRUE(parsed.ParseFromString(frame.SerializeAsString()));
}

TEST(ValidateNameTest, NamesHave1To256Bytes) {
  EXPECT_EQ(ValidateName("", "method").code(), kInvalid);
  EXPECT_TRUE(ValidateName("m", "method").ok());
  EXPECT_TRUE(ValidateName(std::string(256, 'm'), "method").ok());
  EXPECT_EQ(ValidateName(std::string(257, 'm'), "method").code(), kInvalid);
  EXPECT_THAT(std::string(ValidateName("", "node_id").message()), HasSubstr("node_id"));
}

TEST(ArgumentsOfTest, WhatWouldNotFitAFrameIsRefused) {
  v1::CallRequest request;
  request.set_data(std::string(kMaxContentBytes, 'x'));
  EXPECT_TRUE(ArgumentsOf(request).ok());
  request.set_data(std::string(kMaxContentBytes + 1, 'x'));
  EXPECT_EQ(ReasonOf(ArgumentsOf(request).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(MetadataOf(ArgumentsOf(request).status())["limit"], "content_bytes");
}

TEST(ArgumentsOfTest, NoneAndNullAreNoContentButAnEmptyListIsOne) {
  EXPECT_EQ(ArgumentsOf(v1::CallRequest())->kind, Content::Kind::kNone);
  EXPECT_EQ(ArgumentsOf(Parse<v1::CallRequest>(R"({"method": "m", "args": null})"))->kind, Content::Kind::kNone);
  const auto empty = ArgumentsOf(Parse<v1::CallRequest>(R"({"args": []})"));
  EXPECT_EQ(empty->kind, Content::Kind::kJson);
  EXPECT_EQ(empty->body, "");
}

TEST(ArgumentsOfTest, BytesAreTakenAsTheyAre) {
  v1::CallRequest request;
  request.set_data(std::string("\0\xff", 2));
  const auto content = ArgumentsOf(request);
  EXPECT_EQ(*content, (Content{Content::Kind::kBytes, std::string("\0\xff", 2)}));
}

TEST(ArgumentsOfTest, WhatIsNoJsonIsRefused) {
  v1::NotifyRequest request;
  request.mutable_args()->add_values();
  EXPECT_EQ(ArgumentsOf(request).status().code(), kInvalid);
}

TEST(ContentTest, ArgumentsArriveAsTheyWereSent) {
  for (const std::string json : {"[]", "[[]]", "[{}]", "[null]", R"([{"a":[],"b":{}},1.5,"x",false])"}) {
    v1::CallAllRequest request;
    *request.mutable_args() = Parse<ListValue>(json);
    v1::ServeResponse::Call call;
    SetArguments(*ArgumentsOf(request), &call);
    ASSERT_TRUE(call.has_args()) << json;
    EXPECT_TRUE(MessageDifferencer::Equals(call.args(), request.args())) << json;
  }
}

TEST(ContentTest, ResultsArriveAsTheyWereReturned) {
  for (const std::string json : {"[]", "{}", "null", "0", "\"\"", "false", R"({"a":[null]})"}) {
    v1::ServeRequest::Reply reply;
    *reply.mutable_result() = Parse<Value>(json);
    v1::CallResponse response;
    SetResult(*ResultOf(reply), &response);
    ASSERT_TRUE(response.has_result()) << json;
    EXPECT_TRUE(MessageDifferencer::Equals(response.result(), reply.result())) << json;
    v1::CallAllResponse share;
    SetResult(*ResultOf(reply), &share);
    EXPECT_TRUE(MessageDifferencer::Equals(share.result(), reply.result())) << json;
  }
}

TEST(ContentTest, NoResultAndEmptyBytesAreDifferent) {
  v1::ServeRequest::Reply reply;
  EXPECT_EQ(ResultOf(reply)->kind, Content::Kind::kNone);
  reply.set_data("");
  const auto content = ResultOf(reply);
  EXPECT_EQ(content->kind, Content::Kind::kBytes);
  v1::CallResponse response;
  SetResult(Content{}, &response);
  EXPECT_EQ(response.content_case(), v1::CallResponse::CONTENT_NOT_SET);
  SetResult(*content, &response);
  EXPECT_TRUE(response.has_data());
}

TEST(ContentTest, GarbageOfAPeerIsNoCrash) {
  v1::ServeResponse::Call call;
  SetArguments({.kind = Content::Kind::kJson, .body = "\xff\xff garbage"}, &call);
  v1::CallResponse response;
  SetResult({.kind = Content::Kind::kJson, .body = "\xff\xff garbage"}, &response);
}

}  // namespace
}  // namespace actioncluster
