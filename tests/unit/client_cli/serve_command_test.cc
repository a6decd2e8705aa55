#include "client/cli/serve_command.h"

#include <gtest/gtest.h>

#include <string>

#include "actioncluster/json.h"
#include "client/cli/attachment_watch.h"

namespace actioncluster::cli {
namespace {

TEST(CommandForTest, GivesArgumentsAsAJsonArrayAndTheRestInTheEnvironment) {
  v1::ServeResponse::Call call;
  call.set_method("greet");
  *call.mutable_args() = client::Args("hi", 3, true);
  call.set_caller_node_id("n-1");
  call.set_connection_id("c-7");
  call.mutable_deadline()->set_seconds(1'795'600'000);
  call.mutable_deadline()->set_nanos(250'000'000);
  const Command command = CommandFor(call, "cat");
  EXPECT_EQ(command.line, "cat");
  EXPECT_EQ(command.input, "[\"hi\",3,true]\n");
  EXPECT_EQ(command.environment, (std::map<std::string, std::string>{
                                     {"ACTIONCLUSTER_CALL_METHOD", "greet"},
                                     {"ACTIONCLUSTER_CALL_CALLER_NODE_ID", "n-1"},
                                     {"ACTIONCLUSTER_CALL_CONNECTION_ID", "c-7"},
                                     {"ACTIONCLUSTER_CALL_DEADLINE", "2026-11-25T09:46:40.25Z"},
                                     {"ACTIONCLUSTER_CALL_SCOPE", "method"},
                                     {"ACTIONCLUSTER_CALL_ROOM", ""},
                                     {"ACTIONCLUSTER_CALL_FROM_CONNECTION_ID", ""},
                                 }));
}

TEST(CommandForTest, SaysWhatACallForConnectionsIsAbout) {
  v1::ServeResponse::Call call;
  call.set_method("say.deliver");
  call.set_scope(v1::ServeResponse::SCOPE_HOOK);
  call.set_room("lobby");
  call.set_from_connection_id("c-8");
  const auto hook = CommandFor(call, "cat").environment;
  EXPECT_EQ(hook.at("ACTIONCLUSTER_CALL_SCOPE"), "hook");
  EXPECT_EQ(hook.at("ACTIONCLUSTER_CALL_ROOM"), "lobby");
  EXPECT_EQ(hook.at("ACTIONCLUSTER_CALL_FROM_CONNECTION_ID"), "c-8");
  call.set_scope(v1::ServeResponse::SCOPE_CONNECTION);
  EXPECT_EQ(CommandFor(call, "cat").environment.at("ACTIONCLUSTER_CALL_SCOPE"), "connection");
}

TEST(CommandForTest, WithoutArgumentsTheArrayIsEmpty) {
  EXPECT_EQ(CommandFor(v1::ServeResponse::Call(), "cat").input, "[]\n");
}

TEST(CommandForTest, BytesAreGivenAsTheyAre) {
  v1::ServeResponse::Call call;
  call.set_data(std::string("\0\xff\n", 3));
  EXPECT_EQ(CommandFor(call, "cat").input, std::string("\0\xff\n", 3));
}

TEST(AttachmentEventTest, AsJsonHasEachFieldAlways) {
  using Kind = client::AttachmentEvent::Kind;
  EXPECT_EQ(ToJson(client::AttachmentEvent{Kind::kAttached, "127.0.0.1:1", "n-1", absl::OkStatus()}),
            R"({"event":"attached","address":"127.0.0.1:1","node_id":"n-1","error":null})");
  EXPECT_EQ(ToJson(client::AttachmentEvent{Kind::kLost, "a", "", absl::UnavailableError("x")}),
            R"({"event":"lost","address":"a","node_id":"","error":{"code":"UNAVAILABLE","reason":"","message":"x",)"
            R"("node_id":"","metadata":{},"exit_code":5}})");
}

}  // namespace
}  // namespace actioncluster::cli
