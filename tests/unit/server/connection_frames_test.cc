#include "server/services/connection_frames.h"

#include <grpcpp/support/slice.h>

#include <limits>
#include <string>

#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/grpc/content.h"

namespace actioncluster {
namespace {

using ::testing::HasSubstr;

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

TEST(ConnectionFramesTest, FramesAreParsedFromBytesThatStayAsTheyAre) {
  v1::OpenRequest frame;
  frame.mutable_verb()->set_message_id("7");
  const grpc::ByteBuffer bytes = Bytes(frame.SerializeAsString());
  for (int i = 0; i < 2; ++i) {
    const auto parsed = ParseOpenRequest(bytes);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->verb().message_id(), "7");
  }
  EXPECT_TRUE(ParseOpenRequest(Bytes("")).has_value()) << "an empty frame is a frame";
}

TEST(ConnectionFramesTest, BytesThatAreNoFrameAndStringsThatAreNotUtf8AreRefused) {
  EXPECT_FALSE(ParseOpenRequest(Bytes("\xff\xff\xff")).has_value());
  // hello{id: "\xff"}
  EXPECT_FALSE(ParseOpenRequest(Bytes("\x0a\x03\x0a\x01\xff")).has_value());
}

TEST(ConnectionFramesTest, AHelloIsCheckedAgainstEveryLimit) {
  const auto error = [](auto change) {
    v1::OpenRequest::Hello hello;
    change(hello);
    return std::string(ValidateHello(hello).message());
  };
  const std::string longest(256, 'x');
  EXPECT_EQ(error([](auto&) {}), "") << "all of it may be empty";
  EXPECT_EQ(error([&](auto& hello) {
              hello.set_id(longest);
              hello.set_type(longest);
              hello.set_fingerprint(longest);
              hello.set_resume_token(longest);
              for (int i = 0; i < 256; ++i) hello.add_resume()->set_room("room");
              (*hello.mutable_claims()->mutable_fields())["name"].set_string_value("x");
            }),
            "");
  EXPECT_THAT(error([&](auto& hello) { hello.set_id(longest + "x"); }), HasSubstr("id must have"));
  EXPECT_THAT(error([&](auto& hello) { hello.set_type(longest + "x"); }), HasSubstr("type"));
  EXPECT_THAT(error([&](auto& hello) { hello.set_fingerprint(longest + "x"); }), HasSubstr("fingerprint"));
  EXPECT_THAT(error([&](auto& hello) { hello.set_resume_token(longest + "x"); }), HasSubstr("resume_token"));
  EXPECT_THAT(error([](auto& hello) {
                (*hello.mutable_claims()->mutable_fields())["x"].set_string_value(std::string(16'384, 'x'));
              }),
              HasSubstr("claims"));
  EXPECT_THAT(error([](auto& hello) { (*hello.mutable_claims()->mutable_fields())["unset"]; }), HasSubstr("claims"));
  EXPECT_THAT(error([](auto& hello) { hello.add_resume()->set_room("room"); }), HasSubstr("resume_token"));
  EXPECT_THAT(error([](auto& hello) {
                hello.set_resume_token("token");
                hello.add_resume();
              }),
              HasSubstr("resume.room"));
  EXPECT_THAT(error([](auto& hello) {
                hello.set_resume_token("token");
                for (int i = 0; i < 257; ++i) hello.add_resume()->set_room("room");
              }),
              HasSubstr("256 rooms"));
}

TEST(ConnectionFramesTest, AVerbIsCheckedForWhatNoVerbMayHave) {
  v1::OpenRequest::Verb verb;
  EXPECT_TRUE(ValidateVerb(verb).ok());
  verb.set_message_id(std::string(257, 'x'));
  EXPECT_THAT(ValidateVerb(verb).message(), HasSubstr("message_id"));
  verb.set_message_id("1");
  verb.set_verb(std::string(257, 'x'));
  EXPECT_THAT(ValidateVerb(verb).message(), HasSubstr("verb"));
  verb.set_verb("say");
  google::protobuf::Value* value = verb.mutable_args()->add_values();
  value->set_number_value(std::numeric_limits<double>::infinity());
  EXPECT_THAT(ValidateVerb(verb).message(), HasSubstr("args"));
  for (int i = 0; i < 32; ++i) value = value->mutable_list_value()->add_values();
  value->set_bool_value(true);
  EXPECT_TRUE(ValidateVerb(verb).ok());
  value->mutable_list_value();
  EXPECT_THAT(ValidateVerb(verb).message(), HasSubstr("deep"));
  verb.clear_args();
  verb.set_data(std::string(kMaxContentBytes, 'x'));
  EXPECT_TRUE(ValidateVerb(verb).ok());
  verb.mutable_data()->push_back('x');
  EXPECT_EQ(ReasonOf(ValidateVerb(verb)), v1::ERROR_REASON_LIMIT_EXCEEDED);
}

TEST(ConnectionFramesTest, AnAnswerIsTheOutcomeAndAWrongOneTheClientsFailure) {
  v1::OpenRequest::Answer answer;
  EXPECT_EQ(OutcomeOf(answer).result, Content{});
  answer.set_data("bytes");
  EXPECT_EQ(OutcomeOf(answer).result, (Content{.kind = Content::Kind::kBytes, .body = "bytes"}));
  answer.mutable_result()->set_bool_value(true);
  EXPECT_EQ(OutcomeOf(answer).result.kind, Content::Kind::kJson);
  answer.mutable_result();
  answer.mutable_result()->clear_kind();
  EXPECT_EQ(ReasonOf(OutcomeOf(answer).error), v1::ERROR_REASON_HANDLER_FAILED);
  answer.mutable_error()->set_code(5);
  answer.mutable_error()->set_message("no such thing");
  const Outcome failed = OutcomeOf(answer);
  EXPECT_EQ(failed.kind, Outcome::Kind::kError);
  EXPECT_EQ(failed.error.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(failed.error), v1::ERROR_REASON_HANDLER_FAILED);
}

TEST(ConnectionFramesTest, AnErrorIsAReplyWhereItCanBeMatched) {
  const absl::Status error = absl::InvalidArgumentError("wrong");
  v1::OpenRequest frame;
  EXPECT_EQ(ErrorFrame(nullptr, error).error().message(), "wrong");
  EXPECT_TRUE(ErrorFrame(&frame, error).has_error());
  frame.mutable_verb();
  EXPECT_TRUE(ErrorFrame(&frame, error).has_error());
  frame.mutable_verb()->set_message_id(std::string(257, 'x'));
  EXPECT_TRUE(ErrorFrame(&frame, error).has_error());
  frame.mutable_verb()->set_message_id("7");
  EXPECT_EQ(ErrorFrame(&frame, error).reply().message_id(), "7");
  EXPECT_EQ(ErrorFrame(&frame, error).reply().error().message(), "wrong");
}

TEST(ConnectionFramesTest, PeersAreShownAsAddressAndPort) {
  EXPECT_EQ(PeerAddress("ipv4:127.0.0.1:5000"), "127.0.0.1:5000");
  EXPECT_EQ(PeerAddress("ipv6:%5B::1%5D:5000"), "[::1]:5000");
  EXPECT_EQ(PeerAddress("ipv6:[::1]:5000"), "[::1]:5000");
  EXPECT_EQ(PeerAddress("unix:/tmp/a%20socket"), "unix:/tmp/a%20socket");
}

}  // namespace
}  // namespace actioncluster
