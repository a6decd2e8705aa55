#include "server/services/task_filter.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using google::protobuf::util::JsonStringToMessage;

TaskFilter Parse(const std::string& json) {
  v1::TaskFilter message;
  EXPECT_TRUE(JsonStringToMessage(json, &message).ok()) << json;
  absl::StatusOr<TaskFilter> filter = TaskFilter::Parse(message);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return *std::move(filter);
}

TaskView Task(const std::string& name, Content input) {
  TaskView task = {};
  task.name = name;
  task.input = std::move(input);
  return task;
}

Content Json(const std::string& json) {
  google::protobuf::Value value;
  EXPECT_TRUE(JsonStringToMessage(json, &value).ok()) << json;
  return {.kind = Content::Kind::kJson, .body = value.SerializeAsString()};
}

// A JSON object whose members stand on the wire in the order in which they are given.
Content Members(const std::vector<std::string>& members) {
  // Messages that are written one after the other are merged when they are read.
  Content object = {.kind = Content::Kind::kJson, .body = ""};
  for (const std::string& member : members) object.body += Json("{" + member + "}").body;
  return object;
}

TEST(TaskFilterTest, AnEmptyOneIsForAllOfTheDefaultQueue) {
  const TaskFilter filter = Parse("{}");
  EXPECT_EQ(filter.queue(), "default");
  EXPECT_FALSE(filter.state().has_value());
  EXPECT_FALSE(filter.has_name() || filter.has_input());
  EXPECT_TRUE(filter.Matches(Task("n", Json("1"))));
}

TEST(TaskFilterTest, NamesAreCompared) {
  const TaskFilter filter = Parse(R"({"name": "n"})");
  EXPECT_TRUE(filter.Matches(Task("n", {})));
  EXPECT_FALSE(filter.Matches(Task("N", {})));
  EXPECT_FALSE(filter.Matches(Task("", {})));
}

TEST(TaskFilterTest, JsonIsTheSameWhateverTheOrderOfItsKeys) {
  const TaskFilter filter = Parse(R"({"args": {"a": 1, "b": {"c": [1, 2], "d": null}}})");
  EXPECT_TRUE(filter.Matches(Task("n", Json(R"({"b": {"d": null, "c": [1, 2]}, "a": 1})"))));
  for (const char* other : {R"({"a": 1, "b": {"c": [2, 1], "d": null}})", R"({"a": 1, "b": {"c": [1, 2]}})",
                            R"({"a": 2, "b": {"c": [1, 2], "d": null}})", "null", "[]", R"({})"}) {
    EXPECT_FALSE(filter.Matches(Task("n", Json(other)))) << other;
  }
  EXPECT_FALSE(filter.Matches(Task("n", {})));
  EXPECT_FALSE(filter.Matches(Task("n", {.kind = Content::Kind::kBytes, .body = Json("1").body})));
  EXPECT_FALSE(filter.Matches(Task("n", {.kind = Content::Kind::kJson, .body = "no message at all"})));
}

TEST(TaskFilterTest, EitherOrderOnTheWireIsTheSame) {
  // Read and written again, both are one map field; so the filter is made of each order, and asked about each.
  const std::vector<std::string> members = {R"("x": 1)", R"("y": 2)", R"("z": {"k": 1, "l": 2})"};
  google::protobuf::Value value;
  ASSERT_TRUE(value.ParseFromString(Members({members[2], members[0], members[1]}).body));
  v1::TaskFilter message;
  *message.mutable_args() = value;
  const absl::StatusOr<TaskFilter> filter = TaskFilter::Parse(message);
  ASSERT_TRUE(filter.ok());
  for (int i = 0; i < 100; ++i) {
    // A map's order on the wire differs from one map to the next.
    google::protobuf::Value other;
    ASSERT_TRUE(other.ParseFromString(Members(members).body));
    EXPECT_TRUE(filter->Matches(Task("n", {.kind = Content::Kind::kJson, .body = other.SerializeAsString()})));
  }
}

TEST(TaskFilterTest, BytesAreComparedAsTheyAre) {
  const TaskFilter filter = Parse(R"({"data": "AAE="})");
  EXPECT_TRUE(filter.Matches(Task("n", {.kind = Content::Kind::kBytes, .body = std::string("\0\1", 2)})));
  EXPECT_FALSE(filter.Matches(Task("n", {.kind = Content::Kind::kBytes, .body = std::string("\0\2", 2)})));
  EXPECT_FALSE(filter.Matches(Task("n", {.kind = Content::Kind::kBytes, .body = ""})));
}

TEST(TaskFilterTest, WhatNoTaskCanHaveIsRefused) {
  v1::TaskFilter filter;
  filter.set_state(static_cast<v1::TaskState>(8));
  EXPECT_EQ(TaskFilter::Parse(filter).status().code(), absl::StatusCode::kInvalidArgument);
  filter.Clear();
  filter.set_name(std::string(257, 'n'));
  EXPECT_EQ(TaskFilter::Parse(filter).status().code(), absl::StatusCode::kInvalidArgument);
  filter.Clear();
  filter.set_queue(std::string(257, 'q'));
  EXPECT_EQ(TaskFilter::Parse(filter).status().code(), absl::StatusCode::kInvalidArgument);
  filter.Clear();
  filter.mutable_args();
  EXPECT_EQ(TaskFilter::Parse(filter).status().code(), absl::StatusCode::kInvalidArgument);
  filter.set_data(std::string((size_t{1} << 20) + 1, 'x'));
  EXPECT_EQ(TaskFilter::Parse(filter).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace actioncluster
