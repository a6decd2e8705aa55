#include "backplane/rpc/messages.h"

#include <limits>
#include <string>

#include "backplane/domain/error.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);

TEST(MessagesTest, CallArrivesAsItWasMadeWithWhatIsLeftOfItsTime) {
  for (const Content::Kind kind : {Content::Kind::kNone, Content::Kind::kJson, Content::Kind::kBytes}) {
    IncomingCall call{.caller = {},
                      .id = 7,
                      .method = "m",
                      .arguments = {kind, kind == Content::Kind::kNone ? "" : "body"},
                      .connection_id = "c",
                      .deadline = kNow + absl::Milliseconds(250),
                      .notification = true,
                      .subject = "about",
                      .round = 2};
    internal::v1::Envelope envelope;
    envelope.set_sender_id("node-a");
    envelope.set_sender_boot("boot-a");
    *envelope.mutable_call() = ToProto(call, kNow);
    const absl::Time sent_at = absl::FromUnixSeconds(5);
    const IncomingCall back = FromProto(envelope, sent_at);
    EXPECT_EQ(back.caller, (NodeRef{"node-a", "boot-a"}));
    EXPECT_EQ(back.id, 7u);
    EXPECT_EQ(back.method, "m");
    EXPECT_EQ(back.arguments, call.arguments);
    EXPECT_EQ(back.connection_id, "c");
    EXPECT_EQ(back.deadline, sent_at + absl::Milliseconds(250));
    EXPECT_TRUE(back.notification);
    EXPECT_EQ(back.subject, "about");
    EXPECT_EQ(back.round, 2u);
  }
}

TEST(MessagesTest, AbsurdTimesOfAPeerAreEitherPastOrFarAway) {
  internal::v1::Envelope envelope;
  envelope.mutable_call()->set_remaining_us(std::numeric_limits<int64_t>::max());
  EXPECT_GT(FromProto(envelope, kNow).deadline, kNow);
  envelope.mutable_call()->set_remaining_us(std::numeric_limits<int64_t>::min());
  EXPECT_LT(FromProto(envelope, kNow).deadline, kNow);
}

TEST(MessagesTest, OutcomesSurviveTheJourney) {
  const Outcome result{.kind = Outcome::Kind::kResult, .result = {Content::Kind::kJson, "body"}, .error = {}};
  EXPECT_EQ(FromProto(ToProto(1, result)).result, result.result);
  for (const Outcome::Kind kind : {Outcome::Kind::kError, Outcome::Kind::kDeclined}) {
    const absl::Status error = MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "full", {{"limit", "queue"}});
    const Outcome back = FromProto(ToProto(1, {.kind = kind, .result = {}, .error = error}));
    EXPECT_EQ(back.kind, kind);
    EXPECT_EQ(back.error, error);
  }
}

TEST(MessagesTest, ReplyThatSaysNothingKnownIsAnError) {
  internal::v1::Reply reply;
  EXPECT_EQ(FromProto(reply).kind, Outcome::Kind::kError);
  reply.set_outcome(static_cast<internal::v1::Reply::Outcome>(99));
  EXPECT_EQ(FromProto(reply).kind, Outcome::Kind::kError);
  reply.set_outcome(internal::v1::Reply::OUTCOME_ERROR);
  EXPECT_FALSE(FromProto(reply).error.ok());
}

TEST(MessagesTest, ResultThatIsTooLargeBecomesAnErrorThatNamesTheLimit) {
  Outcome outcome{.kind = Outcome::Kind::kResult,
                  .result = {Content::Kind::kBytes, std::string(kMaxMessageBytes + 1, 'x')},
                  .error = {}};
  const Outcome back = FromProto(ToProto(1, outcome));
  EXPECT_EQ(back.kind, Outcome::Kind::kError);
  EXPECT_EQ(ReasonOf(back.error), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_FALSE(MetadataOf(back.error)["limit"].empty());
  EXPECT_TRUE(CheckMessageSize(kMaxMessageBytes).ok());
}

}  // namespace
}  // namespace actioncluster
