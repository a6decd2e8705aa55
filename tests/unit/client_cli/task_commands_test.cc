#include "client/cli/task_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "actioncluster/json.h"

namespace actioncluster::cli {
namespace {

using testing::HasSubstr;

TEST(MakeTaskTest, WhatIsNotGivenIsNotSet) {
  const v1::EnqueueRequest task = MakeTask({.name = "resize"}).value();
  v1::EnqueueRequest expected;
  expected.set_name("resize");
  EXPECT_EQ(task.SerializeAsString(), expected.SerializeAsString());
}

TEST(MakeTaskTest, EachOptionIsAField) {
  const v1::EnqueueRequest task = MakeTask({.name = "resize",
                                            .content = {.json = R"({"image": 7})", .has_json = true},
                                            .queue = "images",
                                            .priority = 0,
                                            .unique_key = "k",
                                            .unique_for = "1d",
                                            .max_attempts = 5,
                                            .backoff = "2s",
                                            .max_backoff = "1m",
                                            .timeout = "30s",
                                            .retain = "1h"})
                                      .value();
  EXPECT_EQ(client::ToJson(task.args()), R"({"image":7})");
  EXPECT_EQ(task.queue(), "images");
  EXPECT_TRUE(task.has_priority());
  EXPECT_EQ(task.priority(), 0u);
  EXPECT_EQ(task.unique_key(), "k");
  EXPECT_EQ(task.unique_for().seconds(), 86'400);
  EXPECT_EQ(task.retry().max_attempts(), 5u);
  EXPECT_EQ(task.retry().backoff().seconds(), 2);
  EXPECT_EQ(task.retry().max_backoff().seconds(), 60);
  EXPECT_EQ(task.timeout().seconds(), 30);
  EXPECT_EQ(task.retain_result_for().seconds(), 3600);
}

TEST(MakeTaskTest, NonsenseIsToldByItsName) {
  const auto fault = [](const TaskOptions& options) { return std::string(MakeTask(options).status().message()); };
  EXPECT_THAT(fault({.name = "x", .content = {.json = "[1", .has_json = true}}), HasSubstr("ARGS: no JSON"));
  EXPECT_THAT(fault({.name = "x", .content = {.data_file = "/no/such"}}), HasSubstr("/no/such"));
  EXPECT_THAT(fault({.name = "x", .unique_for = "5"}), HasSubstr("--unique-for"));
  EXPECT_THAT(fault({.name = "x", .backoff = "5"}), HasSubstr("--backoff"));
  EXPECT_THAT(fault({.name = "x", .max_backoff = "5"}), HasSubstr("--max-backoff"));
  EXPECT_THAT(fault({.name = "x", .timeout = "5"}), HasSubstr("--attempt-timeout"));
  EXPECT_THAT(fault({.name = "x", .retain = "5"}), HasSubstr("--retain"));
}

}  // namespace
}  // namespace actioncluster::cli
