#include "client/cli/work_command.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "actioncluster/json.h"
#include "actioncluster/status.h"

namespace actioncluster::cli {
namespace {

TEST(CommandForATaskTest, GivesTheInputAsJsonAndTheRestInTheEnvironment) {
  v1::WorkResponse::Task task;
  task.set_id("images/7");
  task.set_name("resize");
  task.set_queue("images");
  *task.mutable_args() = client::ToValue("in");
  task.set_attempt(2);
  task.set_lost_leases(1);
  task.set_token(99);
  task.mutable_deadline()->set_seconds(1'795'600'000);
  task.mutable_deadline()->set_nanos(250'000'000);
  const Command command = CommandFor(task, "cat");
  EXPECT_EQ(command.line, "cat");
  EXPECT_EQ(command.input, "\"in\"\n");
  EXPECT_EQ(command.environment, (std::map<std::string, std::string>{
                                     {"ACTIONCLUSTER_TASK_ID", "images/7"},
                                     {"ACTIONCLUSTER_TASK_NAME", "resize"},
                                     {"ACTIONCLUSTER_TASK_QUEUE", "images"},
                                     {"ACTIONCLUSTER_TASK_ATTEMPT", "2"},
                                     {"ACTIONCLUSTER_TASK_LOST_LEASES", "1"},
                                     {"ACTIONCLUSTER_TASK_DEADLINE", "2026-11-25T09:46:40.25Z"},
                                 }));
}

TEST(CommandForATaskTest, GivesBytesAsTheyAreAndNothingForNothing) {
  v1::WorkResponse::Task task;
  EXPECT_EQ(CommandFor(task, "cat").input, "");
  EXPECT_EQ(CommandFor(task, "cat").environment.at("ACTIONCLUSTER_TASK_DEADLINE"), "");
  task.set_data(std::string("\0\xff\n", 3));
  EXPECT_EQ(CommandFor(task, "cat").input, std::string("\0\xff\n", 3));
}

TEST(ResultOfACommandTest, IsNothingJsonAStringOrBytes) {
  EXPECT_FALSE(ResultOf("")->proto().has_value());
  EXPECT_EQ(ResultOf("[1]\n")->proto().value().list_value().values_size(), 1);
  EXPECT_EQ(ResultOf("plain text\n")->proto().value().string_value(), "plain text");
  EXPECT_EQ(ResultOf("\xff\n")->proto().data(), "\xff\n");
}

TEST(ResultOfACommandTest, OneExitStatusSaysThatItIsNotToBeTriedAgain) {
  const auto exited = [](const std::string& status) {
    return ResultOf(client::WithMetadata(absl::UnknownError("no"), "exit_status", status)).status();
  };
  EXPECT_FALSE(client::IsRetryable(exited("65")));
  EXPECT_TRUE(client::IsRetryable(exited("1")));
  EXPECT_EQ(exited("65").message(), "no");
  EXPECT_TRUE(client::IsRetryable(ResultOf(absl::UnavailableError("no process")).status()));
}

}  // namespace
}  // namespace actioncluster::cli
