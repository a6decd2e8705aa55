// Publish and Subscribe through whole nodes inside this process, on one Redis.
#include <grpcpp/client_context.h>

#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/protobuf/util/time_util.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/grpc/content.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/subscription.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {
namespace {

using fakes::Subscription;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info;
}

// Well below what a command to Redis may take.
constexpr absl::Duration kAtOnce = absl::Seconds(2);

class PubSubTest : public ::testing::Test {
 protected:
  struct Published {
    grpc::Status status;
    int receivers = 0;
  };
  static Published Publish(LocalNode& node, const v1::PublishRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    v1::PublishResponse response;
    Published published;
    published.status = node.pubsub().Publish(&context, request, &response);
    published.receivers = response.receivers();
    return published;
  }
  static Published Publish(LocalNode& node, const std::string& type, const std::string& data) {
    v1::PublishRequest request;
    request.set_message_type(type);
    request.set_data(data);
    return Publish(node, request);
  }
  // The content of the next messages.
  static std::vector<std::string> Next(Subscription& subscription, int count) {
    std::vector<std::string> data;
    for (int i = 0; i < count; ++i) data.push_back(subscription.Next().data());
    return data;
  }
  // How many connections listen on the channel of this type.
  int Listening(const std::string& type) {
    const redis::Reply reply = redis_.Command({"PUBSUB", "NUMSUB", keys_.ChannelType(type)});
    return static_cast<int>(reply.view()[1].Integer().value());
  }
  void AwaitListening(const std::string& type, int count) {
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (Listening(type) != count) ASSERT_LT(absl::Now(), limit) << type << " has " << Listening(type);
  }
  // Makes Redis forget everything, and awaits that both nodes have joined anew.
  void RestartRedis() {
    const std::string boots[] = {BootOf(one_), BootOf(two_)};
    redis_.Kill();
    redis_.Start();
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (BootOf(one_) == boots[0] || BootOf(two_) == boots[1] || !Carries(one_) || !Carries(two_)) {
      ASSERT_LT(absl::Now(), limit);
    }
  }
  static std::string BootOf(LocalNode& node) {
    return node.io().Run([&node] { return node.rooms().membership.self().boot; });
  }
  static bool Carries(LocalNode& node) {
    return node.io().Run([&node] { return node.rooms().membership.Serving() && node.rooms().bus.state().ok(); });
  }

  const Keys keys_{"actioncluster"};
  fakes::RedisServer redis_;
  LocalNode one_{redis_.endpoint()};
  LocalNode two_{redis_.endpoint()};
};

TEST_F(PubSubTest, WhatIsPublishedThroughOneNodeIsHeardThroughAll) {
  Subscription here(one_.pubsub(), {{"a"}});
  Subscription there(two_.pubsub(), {{"a"}});
  EXPECT_EQ(here.AwaitOpen(), one_.id());
  EXPECT_EQ(there.AwaitOpen(), two_.id());
  const absl::Time before = absl::Now();
  const Published published = Publish(one_, "a", "text");
  ASSERT_TRUE(published.status.ok()) << published.status.error_message();
  EXPECT_EQ(published.receivers, 2);
  for (Subscription* subscription : {&here, &there}) {
    const v1::SubscribeResponse message = subscription->Next();
    EXPECT_EQ(message.message_type(), "a");
    EXPECT_EQ(message.node_id(), one_.id());
    EXPECT_EQ(message.data(), "text");
    EXPECT_EQ(message.missed(), 0u);
    EXPECT_FALSE(message.gap());
    const absl::Time sent_at =
        absl::FromUnixMicros(google::protobuf::util::TimeUtil::TimestampToMicroseconds(message.sent_at()));
    EXPECT_GT(sent_at, before - absl::Seconds(1));
    EXPECT_LT(sent_at, absl::Now() + absl::Seconds(1));
  }
}

TEST_F(PubSubTest, ASubscriberHearsItsTypesAndPatternsEachMessageOnce) {
  Subscription types(two_.pubsub(), {{"a", "b"}});
  Subscription patterns(two_.pubsub(), {{"a"}, {"a*", "*.x", "*"}});
  Subscription some(one_.pubsub(), {{}, {"*.x"}});
  for (Subscription* subscription : {&types, &patterns, &some}) ASSERT_NE(subscription->AwaitOpen(), "");
  for (const char* type : {"a", "ab", "b", "c.x"}) ASSERT_TRUE(Publish(one_, type, type).status.ok());
  EXPECT_THAT(Next(types, 2), ElementsAre("a", "b"));
  EXPECT_THAT(Next(patterns, 4), ElementsAre("a", "ab", "b", "c.x"));
  EXPECT_THAT(Next(some, 1), ElementsAre("c.x"));
  // What comes last says that nothing came in between.
  for (const char* type : {"a", "end.x"}) ASSERT_TRUE(Publish(one_, type, absl::StrCat("last ", type)).status.ok());
  EXPECT_THAT(Next(types, 1), ElementsAre("last a"));
  EXPECT_THAT(Next(patterns, 2), ElementsAre("last a", "last end.x"));
  EXPECT_THAT(Next(some, 1), ElementsAre("last end.x"));
}

TEST_F(PubSubTest, WhatIsPublishedOnceTheMetadataHasComeIsHeard) {
  for (int i = 0; i < 50; ++i) {
    const std::string type = absl::StrCat("t", i);
    Subscription subscription = {two_.pubsub(), i % 2 == 0 ? Subscription::Interest{{type}}
                                                           : Subscription::Interest{{}, {absl::StrCat(type, "*")}}};
    ASSERT_EQ(subscription.AwaitOpen(), two_.id());
    ASSERT_TRUE(Publish(one_, type, "first").status.ok());
    EXPECT_EQ(subscription.Next().data(), "first");
  }
}

TEST_F(PubSubTest, AllSubscribersSeeOneOrderAndEachPublishersOwn) {
  constexpr int kEach = 300;
  Subscription here(one_.pubsub(), {{"a"}});
  Subscription there(two_.pubsub(), {{"a"}});
  Subscription pattern(two_.pubsub(), {{}, {"a"}});
  for (Subscription* subscription : {&here, &there, &pattern}) ASSERT_NE(subscription->AwaitOpen(), "");
  std::vector<std::thread> publishers;
  for (int p = 0; p < 3; ++p) {
    publishers.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) Publish(p == 0 ? one_ : two_, "a", absl::StrCat(p, " ", i));
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  const std::vector<std::string> seen = Next(here, 3 * kEach);
  EXPECT_EQ(Next(there, 3 * kEach), seen);
  EXPECT_EQ(Next(pattern, 3 * kEach), seen);
  std::map<std::string, int> next;
  for (const std::string& text : seen) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    EXPECT_EQ(words[1], absl::StrCat(next[words[0]]++)) << "of publisher " << words[0];
  }
}

TEST_F(PubSubTest, SubscribersByTypeAndByPatternSeeOneOrderAlsoOfLargeMessages) {
  constexpr int kEach = 60;
  Subscription type(one_.pubsub(), {{"a"}});
  Subscription pattern(one_.pubsub(), {{}, {"a"}});
  for (Subscription* subscription : {&type, &pattern}) ASSERT_NE(subscription->AwaitOpen(), "");
  const std::string ballast(100'000, 'x');
  std::vector<std::thread> publishers;
  for (int p = 0; p < 4; ++p) {
    publishers.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) {
        Publish(p % 2 == 0 ? one_ : two_, "a", absl::StrCat(p, " ", i, p < 2 ? ballast : ""));
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  EXPECT_TRUE(Next(type, 4 * kEach) == Next(pattern, 4 * kEach));
}

TEST_F(PubSubTest, ContentArrivesAsItWasSent) {
  Subscription subscription(two_.pubsub(), {{"a"}});
  ASSERT_NE(subscription.AwaitOpen(), "");
  std::vector<v1::PublishRequest> requests(1);  // One without content.
  for (const char* json : {"null", "[]", "{}", "1e308", "9007199254740992", "\"👋 \\u0000\"", "{\"a\": [1, null]}"}) {
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, requests.emplace_back().mutable_value()).ok());
  }
  for (const size_t size : {size_t{0}, size_t{1}, size_t{20'000}, kMaxContentBytes}) {
    requests.emplace_back().set_data(std::string(size, '\xff'));
  }
  for (v1::PublishRequest& request : requests) {
    request.set_message_type("a");
    ASSERT_TRUE(Publish(one_, request).status.ok());
    const v1::SubscribeResponse message = subscription.Next();
    EXPECT_EQ(static_cast<int>(message.content_case()) - static_cast<int>(v1::SubscribeResponse::kValue),
              request.content_case() == v1::PublishRequest::CONTENT_NOT_SET
                  ? -static_cast<int>(v1::SubscribeResponse::kValue)
                  : static_cast<int>(request.content_case()) - static_cast<int>(v1::PublishRequest::kValue));
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(message.value(), request.value()));
    EXPECT_TRUE(message.data() == request.data());
  }
}

TEST_F(PubSubTest, BadRequestsAreRefusedAndSayWhy) {
  const auto refused = [&](const v1::PublishRequest& request, grpc::StatusCode code, const std::string& says) {
    const Published published = Publish(one_, request);
    EXPECT_EQ(published.status.error_code(), code);
    EXPECT_THAT(published.status.error_message(), HasSubstr(says));
  };
  v1::PublishRequest request;
  refused(request, grpc::INVALID_ARGUMENT, "message_type");
  request.set_message_type(std::string(257, 'x'));
  refused(request, grpc::INVALID_ARGUMENT, "256");
  request.set_message_type("a");
  request.mutable_value()->set_number_value(1.0 / 0.0);
  refused(request, grpc::INVALID_ARGUMENT, "value");
  request.set_data(std::string(kMaxContentBytes + 1, 'x'));
  refused(request, grpc::RESOURCE_EXHAUSTED, "bytes");

  const std::vector<std::string> many(1025, "t");
  const std::vector<std::string> too_many_patterns(65, "p*");
  struct Case {
    Subscription::Interest interest;
    grpc::StatusCode code;
    std::string says;
  };
  for (const Case& c :
       {Case{{}, grpc::INVALID_ARGUMENT, "at least one"}, Case{{{""}}, grpc::INVALID_ARGUMENT, "message_types"},
        Case{{{}, {std::string(257, 'p')}}, grpc::INVALID_ARGUMENT, "patterns"},
        Case{{{}, {"*a*b*c*d*e*f*g*h*"}}, grpc::INVALID_ARGUMENT, "asterisks"},
        Case{{many}, grpc::RESOURCE_EXHAUSTED, "message_types"},
        Case{{{}, too_many_patterns}, grpc::RESOURCE_EXHAUSTED, "patterns"}}) {
    Subscription subscription(one_.pubsub(), c.interest);
    const grpc::Status status = subscription.AwaitEnd();
    EXPECT_EQ(status.error_code(), c.code) << c.says;
    EXPECT_THAT(status.error_message(), HasSubstr(c.says));
  }
}

TEST_F(PubSubTest, WhatIsNotSealedByANodeOfTheClusterReachesNobody) {
  Subscription types(one_.pubsub(), {{"a"}});
  Subscription patterns(two_.pubsub(), {{}, {"*"}});
  ASSERT_NE(types.AwaitOpen(), "");
  ASSERT_NE(patterns.AwaitOpen(), "");
  const auto rejections = [](LocalNode& node) {
    uint64_t sum = 0;
    for (const auto& count : node.rooms().bus.counters().rejected) sum += count;
    return sum;
  };
  const uint64_t before[] = {rejections(one_), rejections(two_)};
  for (const std::string& channel : {keys_.ChannelType("a"), keys_.ChannelAllTypes()}) {
    redis_.Command({"PUBLISH", channel, "a message of somebody who knows the channel, and not the token"});
  }
  ASSERT_TRUE(Publish(two_, "a", "genuine").status.ok());
  EXPECT_EQ(types.Next().data(), "genuine");
  EXPECT_EQ(patterns.Next().data(), "genuine");
  EXPECT_EQ(rejections(one_), before[0] + 1);
  EXPECT_EQ(rejections(two_), before[1] + 1);
}

TEST_F(PubSubTest, ANodeListensToWhatItsSubscribersWantAndToNothingElse) {
  EXPECT_EQ(Listening("a"), 0);
  std::optional<Subscription> first(std::in_place, one_.pubsub(), Subscription::Interest{{"a", "b"}});
  std::optional<Subscription> second(std::in_place, one_.pubsub(), Subscription::Interest{{"a"}});
  Subscription other(two_.pubsub(), {{"b"}});
  for (Subscription* subscription : {&*first, &*second, &other}) ASSERT_NE(subscription->AwaitOpen(), "");
  EXPECT_EQ(Listening("a"), 1);
  EXPECT_EQ(Listening("b"), 2);
  EXPECT_EQ(Publish(two_, "a", "").receivers, 1);
  first.reset();
  AwaitListening("b", 1);
  EXPECT_EQ(Listening("a"), 1);
  second.reset();
  AwaitListening("a", 0);
  EXPECT_EQ(Publish(two_, "a", "").receivers, 0);
  EXPECT_EQ(Publish(one_, "b", "still").receivers, 1);
  EXPECT_EQ(other.Next().data(), "still");
}

TEST_F(PubSubTest, AStuckSubscriberIsToldHowManyItMissedAndOthersMissNone) {
  constexpr int kMessages = 60;
  const std::string body(1 << 20, 'x');  // 16 of them fill the outbox.
  Subscription stuck(one_.pubsub(), {{"a"}}, {.read = false});
  Subscription healthy(one_.pubsub(), {{"a"}});
  ASSERT_EQ(stuck.AwaitOpen(), one_.id());
  ASSERT_EQ(healthy.AwaitOpen(), one_.id());
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(Publish(two_, "a", body + absl::StrCat(i)).status.ok());
    EXPECT_TRUE(healthy.Next().data() == body + absl::StrCat(i));  // It keeps up.
  }
  stuck.Read();
  int received = 0;
  uint64_t missed = 0;
  while (received + static_cast<int>(missed) < kMessages) {
    const v1::SubscribeResponse message = stuck.Next();
    missed += message.missed();
    if (message.message_type().empty()) {
      EXPECT_GT(message.missed(), 0u);
      continue;
    }
    EXPECT_TRUE(message.data() == body + absl::StrCat(static_cast<uint64_t>(received) + missed));
    ++received;
  }
  EXPECT_EQ(received + static_cast<int>(missed), kMessages);
  EXPECT_GT(missed, 0u);
  EXPECT_GE(received, 15);  // What the outbox holds, at the least.
  // From here on it hears all again.
  ASSERT_TRUE(Publish(two_, "a", "again").status.ok());
  const v1::SubscribeResponse again = stuck.Next();
  EXPECT_EQ(again.data(), "again");
  EXPECT_EQ(again.missed(), 0u);
}

TEST_F(PubSubTest, AStuckSubscriberIsToldWhatItMissedBeforeItsNodeDrains) {
  constexpr int kMessages = 40;
  const std::string body(1 << 20, 'x');
  Subscription stuck(one_.pubsub(), {{"a"}}, {.read = false});
  Subscription healthy(one_.pubsub(), {{"a"}});
  ASSERT_EQ(stuck.AwaitOpen(), one_.id());
  ASSERT_EQ(healthy.AwaitOpen(), one_.id());
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(Publish(two_, "a", body).status.ok());
    healthy.Next();
  }
  fakes::Waiter<uint32_t> drained;
  one_.io().Run([&] { one_.rooms().drain.Begin(absl::ZeroDuration(), drained.Callback()); });
  drained.Next();
  EXPECT_EQ(one_.io().Run([this] { return one_.rooms().subscribers.size(); }), 0u)
      << "who is being ended is not counted";
  stuck.Read();
  EXPECT_EQ(InfoOf(stuck.AwaitEnd()).metadata().count("alternatives"), 1u);
  int received = 0;
  uint64_t missed = 0;
  while (stuck.unread() > 0) {
    const v1::SubscribeResponse message = stuck.Next();
    missed += message.missed();
    if (!message.message_type().empty()) ++received;
  }
  EXPECT_EQ(received + static_cast<int>(missed), kMessages);
  EXPECT_GT(missed, 0u);
}

TEST_F(PubSubTest, AnOutageOfRedisIsAGapAndTheStreamGoesOn) {
  Subscription types(one_.pubsub(), {{"a"}});
  Subscription patterns(two_.pubsub(), {{}, {"*"}});
  ASSERT_NE(types.AwaitOpen(), "");
  ASSERT_NE(patterns.AwaitOpen(), "");
  RestartRedis();
  for (Subscription* subscription : {&types, &patterns}) {
    // The news comes by itself, or with the first message.
    while (!subscription->Next().gap()) {
    }
  }
  AwaitListening("a", 1);
  ASSERT_TRUE(Publish(two_, "a", "after").status.ok());
  const v1::SubscribeResponse after = types.Next();
  EXPECT_EQ(after.data(), "after");
  EXPECT_FALSE(after.gap());
  Subscription late(one_.pubsub(), {{"a"}});
  ASSERT_NE(late.AwaitOpen(), "");
  ASSERT_TRUE(Publish(two_, "a", "late").status.ok());
  const v1::SubscribeResponse first = late.Next();
  EXPECT_EQ(first.data(), "late");
  EXPECT_FALSE(first.gap()) << "it has missed nothing";
}

TEST_F(PubSubTest, WithoutRedisBothFailAtOnce) {
  redis_.Kill();
  Published published;
  const absl::Time begun = absl::Now();
  do {
    published = Publish(one_, "a", "");  // It may not know yet.
  } while (published.status.ok() && absl::Now() < begun + kAtOnce);
  EXPECT_EQ(published.status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(InfoOf(published.status).reason(), "BACKPLANE_UNAVAILABLE");
  Subscription subscription(one_.pubsub(), {{"a"}});
  const grpc::Status status = subscription.AwaitEnd();
  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(InfoOf(status).reason(), "BACKPLANE_UNAVAILABLE");
  EXPECT_LT(absl::Now(), begun + kAtOnce);
  redis_.Start();
}

TEST_F(PubSubTest, ADrainingNodeSendsItsSubscribersElsewhere) {
  Subscription subscription(one_.pubsub(), {{"a"}});
  ASSERT_NE(subscription.AwaitOpen(), "");
  ASSERT_TRUE(Publish(two_, "a", "before").status.ok());
  EXPECT_EQ(subscription.Next().data(), "before");
  fakes::Waiter<uint32_t> drained;
  one_.io().Run([&] { one_.rooms().drain.Begin(absl::ZeroDuration(), drained.Callback()); });
  drained.Next();
  const grpc::Status status = subscription.AwaitEnd();
  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
  EXPECT_THAT(InfoOf(status).metadata().at("alternatives"), HasSubstr("unix:"));
  Subscription late(one_.pubsub(), {{"a"}});
  EXPECT_EQ(InfoOf(late.AwaitEnd()).metadata().count("alternatives"), 1u);
}

TEST_F(PubSubTest, OpenSubscriptionsAreCounted) {
  std::optional<Subscription> subscription(std::in_place, one_.pubsub(), Subscription::Interest{{"a"}});
  ASSERT_NE(subscription->AwaitOpen(), "");
  const auto count = [this] { return one_.io().Run([this] { return one_.rooms().subscribers.size(); }); };
  EXPECT_EQ(count(), 1u);
  subscription.reset();
  AwaitListening("a", 0);
  EXPECT_EQ(count(), 0u);
}

}  // namespace
}  // namespace actioncluster
