// What is saved through one node is there through the others, whatever it is; and what is no content is refused.

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {
namespace {

using google::protobuf::Value;
using google::protobuf::util::MessageDifferencer;
using testing::IsEmpty;

constexpr char kHandshake[] = "👋🏽 ünïcödé \\u0000 \\ud83d\\ude00 \\n\\\"\\\\";

// Of every shape.
std::vector<std::string> Shapes() {
  return {"[]",
          "{}",
          "null",
          "true",
          "false",
          "0",
          "-1.5",
          "1e308",
          "-1e308",
          "5e-324",
          "9007199254740992",
          "-9007199254740992",
          "9007199254740991",
          "\"\"",
          absl::StrCat("\"", kHandshake, "\""),
          absl::StrCat("{\"", kHandshake, "\": [[], {}, null, [null], {\"\": {}}, \"\", 0, false]}"),
          "[[[]], [[], []], {\"a\": [], \"b\": null}]"};
}

// Lists in lists, so deep.
Value Nested(int depth, bool as_objects) {
  Value value;
  value.set_string_value("inside");
  for (int i = 0; i < depth; ++i) {
    Value outer;
    *(as_objects ? &(*outer.mutable_struct_value()->mutable_fields())["k"] : outer.mutable_list_value()->add_values()) =
        value;
    value = outer;
  }
  return value;
}

std::vector<Value> Values() {
  std::vector<Value> values;
  for (const std::string& shape : Shapes()) values.push_back(Json(shape));
  values.push_back(Nested(32, false));
  values.push_back(Nested(32, true));
  return values;
}

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::vector<std::string> ByteStrings() {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  return {"", std::string(1, '\0'), "\r\n", "*3\r\n$3\r\nDEL\r\n", all, RandomBytes(20'000), RandomBytes(4 << 20)};
}

v1::SaveRequest SaveOf(const std::string& key, const Value& value) {
  auto request = On<v1::SaveRequest>(key);
  *request.mutable_value() = value;
  return request;
}

class CacheContentsTest : public testing::Test {
 protected:
  Node& NodeAfter(size_t i) { return cluster_.node(1 + static_cast<int>(i % 3)); }
  v1::LoadResponse Load(const Node& node, const std::string& key) {
    return Good(Ask(node, &Cache::Load, On<v1::LoadRequest>(key)));
  }
  std::string WhyNotLoaded(const Node& node, const std::string& key) {
    return ReasonOf(Ask(node, &Cache::Load, On<v1::LoadRequest>(key)).status);
  }

  Cluster cluster_{3};
  Node& one_ = cluster_.node(1);
  Node& two_ = cluster_.node(2);
  Node& three_ = cluster_.node(3);
};

TEST_F(CacheContentsTest, SavedOnOneNodeReadOnAnotherDestroyedOnAThirdAndGoneOnTheFirst) {
  const v1::SaveResponse saved = Good(Ask(one_, &Cache::Save, SaveOf("k", Json("{\"n\": 1}"))));
  EXPECT_FALSE(saved.replaced());
  const v1::LoadResponse loaded = Load(two_, "k");
  EXPECT_EQ(ToJson(loaded.value()), "{\"n\":1}");
  EXPECT_EQ(loaded.version(), saved.version());
  EXPECT_FALSE(loaded.has_expires_at());
  EXPECT_LT(absl::AbsDuration(ToTime(loaded.created_at()) - absl::Now()), absl::Minutes(1));
  EXPECT_TRUE(Good(Ask(three_, &Cache::Destroy, On<v1::DestroyRequest>("k"))).destroyed());
  EXPECT_EQ(WhyNotLoaded(one_, "k"), "CACHE_KEY_NOT_FOUND");
  EXPECT_FALSE(Good(Ask(one_, &Cache::Destroy, On<v1::DestroyRequest>("k"))).destroyed());
  EXPECT_THAT(CacheKeysIn(cluster_.redis()), IsEmpty());

  // And what expires is gone everywhere.
  v1::SaveRequest brief = SaveOf("k", Json("1"));
  SetDuration(absl::Seconds(1), brief.mutable_expire_after());
  const v1::SaveResponse again = Good(Ask(two_, &Cache::Save, brief));
  EXPECT_GT(again.version(), saved.version()) << "versions never come again";
  const v1::LoadResponse there = Load(three_, "k");
  const absl::Duration life = ToTime(there.expires_at()) - ToTime(there.created_at());
  EXPECT_GE(life, absl::Milliseconds(1000));
  EXPECT_LT(life, absl::Milliseconds(1001)) << "it ends with a whole millisecond";
  for (const Node& node : cluster_.nodes()) {
    EXPECT_TRUE(Await([&] { return WhyNotLoaded(node, "k") == "CACHE_KEY_NOT_FOUND"; }));
  }
  EXPECT_GE(absl::Now(), ToTime(there.expires_at()));
}

TEST_F(CacheContentsTest, JsonOfEveryShapeComesBackEqual) {
  const std::vector<Value> values = Values();
  std::vector<Pipeline::Operation> loads;
  v1::LoadManyRequest many;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string key = absl::StrCat("json-", i);
    Good(Ask(NodeAfter(i), &Cache::Save, SaveOf(key, values[i])));
    const Value loaded = Load(NodeAfter(i + 1), key).value();
    EXPECT_TRUE(MessageDifferencer::Equals(loaded, values[i])) << ToJson(values[i]) << " became " << ToJson(loaded);
    *loads.emplace_back().mutable_load() = On<v1::LoadRequest>(key);
    many.add_keys(key);
    auto push = On<v1::PushRequest>("list");
    *push.mutable_value() = values[i];
    EXPECT_EQ(Good(Ask(NodeAfter(i), &Cache::Push, push)).length(), static_cast<int64_t>(i + 1));
  }
  const auto by_pipeline = Pipeline(three_).Do(loads);
  const v1::LoadManyResponse by_many = Good(Ask(one_, &Cache::LoadMany, many));
  ASSERT_EQ(by_many.outcomes_size(), static_cast<int>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(MessageDifferencer::Equals(by_pipeline[i].load().value(), values[i])) << ToJson(values[i]);
    const Value& of_many = by_many.outcomes(static_cast<int>(i)).entry().value();
    EXPECT_TRUE(MessageDifferencer::Equals(of_many, values[i])) << ToJson(values[i]);
    const Value item = Good(Ask(NodeAfter(i + 2), &Cache::Pop, PopOf("list"))).value();
    EXPECT_TRUE(MessageDifferencer::Equals(item, values[i])) << ToJson(values[i]) << " became " << ToJson(item);
  }
}

TEST_F(CacheContentsTest, AnyBytesComeBackEqual) {
  const std::vector<std::string> strings = ByteStrings();
  for (size_t i = 0; i < strings.size(); ++i) {
    const std::string key = absl::StrCat("bytes-", i);
    Good(Ask(NodeAfter(i), &Cache::Save, cluster::SaveOf(key, strings[i])));
    const v1::LoadResponse loaded = Load(NodeAfter(i + 1), key);
    EXPECT_TRUE(loaded.has_data());
    EXPECT_TRUE(loaded.data() == strings[i]) << strings[i].size() << " bytes, and back " << loaded.data().size();
    Good(Ask(NodeAfter(i), &Cache::Push, PushOf("list", strings[i])));
  }
  for (size_t i = 0; i < strings.size(); ++i) {
    const v1::PopResponse item = Good(Ask(NodeAfter(i + 2), &Cache::Pop, PopOf("list")));
    EXPECT_TRUE(item.has_data() && item.data() == strings[i]) << strings[i].size() << " bytes";
  }
  // One byte more than the limit is refused, and changes nothing.
  const auto refused = Ask(two_, &Cache::Save, cluster::SaveOf("bytes-0", RandomBytes((4 << 20) + 1)));
  EXPECT_EQ(ReasonOf(refused.status), "LIMIT_EXCEEDED") << Describe(refused.status);
  EXPECT_EQ(ErrorInfoOf(refused.status).metadata().at("limit"), "cache_value_bytes");
  EXPECT_EQ(Load(one_, "bytes-0").data(), "");
}

TEST_F(CacheContentsTest, WhatIsNotJsonIsRefusedAndChangesNothing) {
  std::vector<Value> bad(4);
  bad[0].set_number_value(std::numeric_limits<double>::quiet_NaN());
  bad[1].set_number_value(std::numeric_limits<double>::infinity());
  bad[2].mutable_list_value()->add_values();  // Of no kind.
  bad[3] = Nested(33, false);
  bad.emplace_back();  // Of no kind, itself.
  for (size_t i = 0; i < bad.size(); ++i) {
    const auto saved = Ask(NodeAfter(i), &Cache::Save, SaveOf("bad", bad[i]));
    EXPECT_EQ(saved.status.error_code(), grpc::INVALID_ARGUMENT) << i << " " << Describe(saved.status);
    auto push = On<v1::PushRequest>("bad");
    *push.mutable_value() = bad[i];
    EXPECT_EQ(Ask(NodeAfter(i), &Cache::Push, push).status.error_code(), grpc::INVALID_ARGUMENT) << i;
    // Among others, only it fails.
    v1::SaveManyRequest many;
    *many.add_entries() = SaveOf("bad", bad[i]);
    *many.add_entries() = SaveOf("good", Json("1"));
    const v1::SaveManyResponse outcomes = Good(Ask(NodeAfter(i), &Cache::SaveMany, many));
    ASSERT_EQ(outcomes.outcomes_size(), 2);
    EXPECT_EQ(outcomes.outcomes(0).error().code(), grpc::INVALID_ARGUMENT) << i;
    EXPECT_FALSE(outcomes.outcomes(1).has_error()) << outcomes.outcomes(1).ShortDebugString();
  }
  EXPECT_EQ(Ask(one_, &Cache::Save, On<v1::SaveRequest>("bad")).status.error_code(), grpc::INVALID_ARGUMENT);
  // Deeper than Protocol Buffers parse: gRPC refuses that by itself, with a code of its own choice.
  for (const bool as_objects : {false, true})
    EXPECT_FALSE(Ask(two_, &Cache::Save, SaveOf("bad", Nested(64, as_objects))).ok());
  EXPECT_EQ(WhyNotLoaded(one_, "bad"), "CACHE_KEY_NOT_FOUND");
  EXPECT_EQ(Good(Ask(one_, &Cache::ListLength, On<v1::ListLengthRequest>("bad"))).length(), 0);
}

TEST_F(CacheContentsTest, IntegersAreExactOverTheWholeRangeThroughAllNodes) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  constexpr int64_t kExact = int64_t{1} << 53;
  const auto add = [&](size_t node, int64_t by) {
    auto request = On<v1::IncrementRequest>("n");
    request.set_by(by);
    return Ask(NodeAfter(node), &Cache::Increment, request);
  };
  EXPECT_EQ(Good(add(0, kExact)).value(), kExact);
  EXPECT_EQ(Load(two_, "n").value().number_value(), static_cast<double>(kExact));
  EXPECT_EQ(Good(add(1, 1)).value(), kExact + 1);
  EXPECT_EQ(Load(three_, "n").value().string_value(), absl::StrCat(kExact + 1));
  EXPECT_EQ(Good(add(2, kLargest - kExact - 1)).value(), kLargest);
  EXPECT_EQ(add(0, 1).status.error_code(), grpc::OUT_OF_RANGE);
  EXPECT_EQ(Load(one_, "n").value().string_value(), absl::StrCat(kLargest));
  Good(Ask(one_, &Cache::Save, SaveOf("n", Json("\"text\""))));
  EXPECT_EQ(ReasonOf(add(1, 1).status), "NOT_AN_INTEGER");
}

TEST_F(CacheContentsTest, ClientsInTwoLanguagesReadWhatTheOtherWrote) {
  const std::vector<std::string> shapes = Shapes();
  for (size_t i = 0; i < shapes.size(); ++i)
    Good(Ask(one_, &Cache::Save, SaveOf(absl::StrCat("cpp-", i), Json(shapes[i]))));
  const std::string bytes = RandomBytes(20'000);
  Good(Ask(one_, &Cache::Save, cluster::SaveOf("cpp-bytes", bytes)));
  Good(Ask(one_, &Cache::Push, PushOf("cpp-list", "first")));
  Good(Ask(one_, &Cache::Push, PushOf("cpp-list", "second")));
  auto increment = On<v1::IncrementRequest>("cpp-count");
  increment.set_by(41);
  Good(Ask(one_, &Cache::Increment, increment));

  std::vector<std::string> command = {"/usr/bin/python3", CACHE_CLIENT, "exchange", two_.address()};
  command.insert(command.end(), shapes.begin(), shapes.end());
  Program python(command, {absl::StrCat("PYTHONPATH=", PYTHON_STUBS)});
  ASSERT_EQ(python.Wait(), std::make_optional(0)) << python.Err();

  for (size_t i = 0; i < shapes.size(); ++i) {
    const Value loaded = Load(three_, absl::StrCat("python-", i)).value();
    EXPECT_TRUE(MessageDifferencer::Equals(loaded, Json(shapes[i]))) << shapes[i] << " became " << ToJson(loaded);
  }
  EXPECT_EQ(Load(three_, "python-bytes").data(), std::string(bytes.rbegin(), bytes.rend()));
  EXPECT_EQ(Good(Ask(three_, &Cache::Pop, PopOf("python-list"))).data(), "second");
  EXPECT_EQ(Good(Ask(three_, &Cache::Pop, PopOf("python-list"))).data(), "first");
  EXPECT_EQ(Load(three_, "cpp-count").value().number_value(), 42);
  const auto locked = Ask(one_, &Cache::Save, cluster::SaveOf("python-locked", "mine?"));
  EXPECT_EQ(ReasonOf(locked.status), "KEY_LOCKED");
  EXPECT_EQ(ErrorInfoOf(locked.status).metadata().at("held_by"), "python");
}

}  // namespace
}  // namespace actioncluster::cluster
