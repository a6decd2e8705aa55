// Hooks: applications judge what happens in rooms, and rewrite what is said.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Call = AppHost::Frame::Call;
using Reply = AppHost::Reply;

v1::RoomServiceCreateRequest Hooked(const std::vector<std::string>& required,
                                    absl::Duration timeout = absl::Seconds(5)) {
  v1::RoomServiceCreateRequest request;
  request.mutable_hooks()->mutable_required()->Assign(required.begin(), required.end());
  SetDuration(timeout, request.mutable_hooks()->mutable_timeout());
  return request;
}

class RoomHooksTest : public testing::Test {
 protected:
  std::string ReasonOfAdd(const std::string& id, const std::string& room) {
    return ReasonOf(Ask(cluster_.node(1), &Rooms::AddMember, AddOf(id, room)).status);
  }
  Cluster cluster_{3};
};

TEST_F(RoomHooksTest, WhoComesAndGoesIsJudgedByItsDetails) {
  CreateRoom(cluster_.node(1), "hall", Hooked({}));
  std::atomic<bool> open = false;
  const auto admins_only = [](const Call& call) {
    EXPECT_EQ(call.scope(), AppHost::Frame::SCOPE_HOOK);
    EXPECT_EQ(call.room(), "hall");
    EXPECT_EQ(call.connection_id(), call.connection().id());
    return call.connection().attributes().contains("admin") ? Reply() : ErrorOf(grpc::PERMISSION_DENIED, "admins only");
  };
  const AppHost app(cluster_.node(3),
                    {{"hook/join", admins_only}, {"hook/leave", [&](const Call&) {
                                                    return open ? Reply() : ErrorOf(grpc::FAILED_PRECONDITION, "stay");
                                                  }}});
  AwaitOffers(cluster_.nodes());
  const auto amy = Open(cluster_.node(2), "amy");
  const RoomWatch watch(cluster_.node(1), "hall");
  EXPECT_THAT(watch.Next(v1::WatchRoomResponse::KIND_SNAPSHOT), IsEmpty());
  const auto refused = amy->Do("roomAdd", R"(["hall"])");
  EXPECT_EQ(ErrorIn(refused), "HANDLER_FAILED");
  EXPECT_EQ(refused.error().code(), grpc::PERMISSION_DENIED);
  EXPECT_EQ(refused.error().message(), "admins only");
  for (const Node& node : cluster_.nodes()) {
    const grpc::Status status = Ask(node, &Rooms::AddMember, AddOf("amy", "hall")).status;
    EXPECT_EQ(status.error_code(), grpc::PERMISSION_DENIED) << Describe(status);
    EXPECT_EQ(ReasonOf(status), "HANDLER_FAILED");
  }
  EXPECT_THAT(MembersOf(cluster_.node(1), "hall"), IsEmpty());
  Good(Ask(cluster_.node(1), &Connections::Apply, ApplyOf("amy", "set", R"(["admin", true])")));
  amy->Done("roomAdd", R"(["hall"])");
  EXPECT_THAT(watch.Next(v1::WatchRoomResponse::KIND_JOINED), ElementsAre("amy"));
  EXPECT_EQ(amy->Do("roomLeave", R"(["hall"])").error().message(), "stay");
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(1), &Rooms::RemoveMember, RemoveOf("amy", "hall")).status), "HANDLER_FAILED");
  EXPECT_THAT(MembersOf(cluster_.node(1), "hall"), ElementsAre("amy"));
  open = true;
  amy->Done("roomLeave", R"(["hall"])");
  EXPECT_THAT(watch.Next(v1::WatchRoomResponse::KIND_LEFT), ElementsAre("amy"));
}

TEST_F(RoomHooksTest, WhatIsSaidIsJudgedAndRewrittenOnceForAll) {
  CreateRoom(cluster_.node(1), "hall", Hooked({}));
  const AppHost app(cluster_.node(3), {{"hook/say.receive", [](const Call& call) -> std::optional<Reply> {
                                          if (call.has_data()) {
                                            Reply reply;
                                            reply.set_data("<" + call.data() + ">");
                                            return reply;
                                          }
                                          EXPECT_EQ(call.args().values_size(), 1);
                                          const std::string said = call.args().values(0).string_value();
                                          if (said == "damn") return ErrorOf(grpc::INVALID_ARGUMENT, "language");
                                          if (said == "as it is") return Reply();
                                          return ResultOf(absl::StrCat("\"", said, " (", call.connection_id(), ")\""));
                                        }}});
  AwaitOffers(cluster_.nodes());
  const auto amy = OpenIn(cluster_.node(1), "amy", "hall");
  const auto bob = OpenIn(cluster_.node(2), "bob", "hall");
  amy->Done("say", R"(["hall", "hello"])");
  EXPECT_EQ(amy->Do("say", R"(["hall", "damn"])").error().message(), "language");
  amy->Done("say", R"(["hall", "as it is"])");
  v1::OpenRequest bytes = VerbOf("say", R"(["hall"])", "bytes");
  bytes.mutable_verb()->set_data("raw");
  amy->Send(bytes);
  EXPECT_EQ(ErrorIn(amy->replies().Next()), "");
  Good(Ask(cluster_.node(2), &Rooms::Broadcast, BroadcastOf("hall", "\"news\"")));
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(2), &Rooms::Broadcast, BroadcastOf("hall", "\"damn\"")).status),
            "HANDLER_FAILED");
  Good(Ask(cluster_.node(3), &Rooms::Broadcast, BroadcastOf("hall", "\"hi\"", "bob")));
  for (const auto* member : {amy.get(), bob.get()}) {
    for (const char* heard : {"\"hello (amy)\"", "\"as it is\"", "<raw>", "\"news ()\"", "\"hi (bob)\""}) {
      EXPECT_EQ(member->NextText(), heard);
    }
    EXPECT_EQ(member->messages().size(), 0U);
  }
  // Once a message.
  EXPECT_EQ(app.calls().size(), 7U);
}

TEST_F(RoomHooksTest, WhatIsDeliveredIsJudgedAndRewrittenForEachRecipient) {
  CreateRoom(cluster_.node(1), "hall", Hooked({"say.deliver"}));
  const AppHost app(cluster_.node(2), {{"hook/say.deliver", [](const Call& call) {
                                          const std::string said = call.args().values(0).string_value();
                                          if (absl::StartsWith(said, "not for " + call.connection_id())) {
                                            return ErrorOf(grpc::PERMISSION_DENIED, "");
                                          }
                                          return ResultOf(absl::StrCat("\"", call.from_connection_id(), " to ",
                                                                       call.connection().id(), ": ", said, "\""));
                                        }}});
  AwaitOffers(cluster_.nodes());
  const auto amy = OpenIn(cluster_.node(1), "amy", "hall");
  const auto bob = OpenIn(cluster_.node(2), "bob", "hall");
  const auto cat = OpenIn(cluster_.node(3), "cat", "hall");
  for (int i = 0; i < 50; ++i) {
    amy->Done("say", absl::StrCat(R"(["hall", "not for bob )", i, R"("])"));
    amy->Done("say", absl::StrCat(R"(["hall", "for all )", i, R"("])"));
  }
  for (int i = 0; i < 50; ++i) {
    for (const std::string id : {"amy", "bob", "cat"}) {
      RawClient& member = *(id == "amy" ? amy : id == "bob" ? bob : cat);
      if (id != "bob") {
        EXPECT_EQ(member.NextText(), absl::StrCat("\"amy to ", id, ": not for bob ", i, "\""));
      }
      EXPECT_EQ(member.NextText(), absl::StrCat("\"amy to ", id, ": for all ", i, "\""));
    }
  }
  EXPECT_EQ(app.calls().size(), 300U);
}

TEST_F(RoomHooksTest, WithoutARequiredHookNothingHappensInARoom) {
  CreateRoom(cluster_.node(1), "open");
  const auto amy = OpenIn(cluster_.node(1), "amy", "open");
  const auto bob = OpenIn(cluster_.node(2), "bob", "open");
  amy->Done("say", R"(["open", 1])");
  EXPECT_EQ(bob->NextText(), "1");
  CreateRoom(cluster_.node(1), "closed", Hooked({"join"}));
  CreateRoom(cluster_.node(1), "mute", Hooked({"say.receive"}));
  CreateRoom(cluster_.node(1), "deaf", Hooked({"say.deliver"}));
  CreateRoom(cluster_.node(1), "trap", Hooked({"leave"}));
  EXPECT_EQ(ErrorIn(amy->Do("roomAdd", R"(["closed"])")), "BACKPLANE_UNAVAILABLE");
  EXPECT_EQ(ReasonOfAdd("bob", "closed"), "BACKPLANE_UNAVAILABLE");
  for (const char* room : {"mute", "deaf", "trap"}) {
    EXPECT_EQ(ReasonOfAdd("amy", room), "");
    EXPECT_EQ(ReasonOfAdd("bob", room), "");
  }
  EXPECT_EQ(ErrorIn(amy->Do("say", R"(["mute", 1])")), "BACKPLANE_UNAVAILABLE");
  EXPECT_EQ(ErrorIn(amy->Do("roomLeave", R"(["trap"])")), "BACKPLANE_UNAVAILABLE");
  amy->Done("say", R"(["deaf", 1])");
  amy->Done("say", R"(["open", 2])");
  EXPECT_EQ(bob->NextText(), "2");
  const AppHost app(cluster_.node(3), {{"hook/join", Returning("null")},
                                       {"hook/leave", Returning("null")},
                                       {"hook/say.receive", Returning("\"allowed\"")},
                                       {"hook/say.deliver", Echoing()}});
  AwaitOffers(cluster_.nodes());
  EXPECT_EQ(ReasonOfAdd("amy", "closed"), "");
  amy->Done("say", R"(["mute", 3])");
  // What was said in `deaf` may only now be judged, and then it is heard.
  const auto in_mute = [](const RawClient::Frame::Message& message) { return message.room() == "mute"; };
  EXPECT_EQ(bob->messages().NextThat(in_mute).value().string_value(), "allowed");
  amy->Done("roomLeave", R"(["trap"])");
}

TEST_F(RoomHooksTest, AHookThatDoesNotAnswerIsPassedOverUnlessItIsRequired) {
  const absl::Duration timeout = absl::Milliseconds(200);
  CreateRoom(cluster_.node(1), "easy", Hooked({}, timeout));
  CreateRoom(cluster_.node(1), "strict", Hooked({"join"}, timeout));
  CreateRoom(cluster_.node(1), "mute", Hooked({"say.receive"}, timeout));
  const AppHost app(cluster_.node(3), {{"hook/join", NeverAnswering()}, {"hook/say.receive", NeverAnswering()}});
  AwaitOffers(cluster_.nodes());
  const auto amy = Open(cluster_.node(2), "amy");
  absl::Time begun = absl::Now();
  amy->Done("roomAdd", R"(["easy"])");
  EXPECT_GE(absl::Now() - begun, timeout);
  EXPECT_LT(absl::Now() - begun, timeout + absl::Seconds(1));
  begun = absl::Now();
  EXPECT_EQ(ErrorIn(amy->Do("roomAdd", R"(["strict"])")), "RPC_TIMEOUT");
  EXPECT_LT(absl::Now() - begun, timeout + absl::Seconds(1));
  amy->Done("roomAdd", R"(["mute"])");
  EXPECT_EQ(ErrorIn(amy->Do("say", R"(["mute", 1])")), "RPC_TIMEOUT");
  amy->Done("say", R"(["easy", 2])");
  EXPECT_EQ(amy->NextText(), "2");
}

TEST_F(RoomHooksTest, AHookMayChangeTheConnectionThatItJudges) {
  CreateRoom(cluster_.node(1), "hall", Hooked({"join"}));
  std::optional<grpc::Status> set;
  const AppHost app(cluster_.node(3), {{"hook/join", [&](const Call& call) {
                                          set = Ask(cluster_.node(1), &Connections::Apply,
                                                    ApplyOf(call.connection_id(), "set", R"(["badge", 7])"))
                                                    .status;
                                          return Reply();
                                        }}});
  AwaitOffers(cluster_.nodes());
  const auto amy = OpenIn(cluster_.node(2), "amy", "hall");
  ASSERT_TRUE(set.has_value());
  EXPECT_TRUE(set->ok()) << Describe(*set);
  const auto members = StatusOf(cluster_.node(1), "hall").members();
  ASSERT_EQ(members.size(), 1);
  EXPECT_EQ(ToJson(members[0].attributes().at("badge")), "7");
}

}  // namespace
}  // namespace actioncluster::cluster
