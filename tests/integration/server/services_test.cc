// The services of whole nodes inside this process: what is hard to bring about from outside.
#include <grpcpp/client_context.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/v1/connections.pb.h"
#include "actioncluster/v1/errors.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/keys/keys.h"
#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/grpc/content.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {
namespace {

using ::testing::StartsWith;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info;
}

// An application's stream, read and written by the test itself.
class Serving {
 public:
  explicit Serving(LocalNode& node) : stream_(node.rpc().Serve(&context_)) {}
  ~Serving() {
    context_.TryCancel();
    if (!finished_) End();
  }

  void Register(const std::set<std::string>& methods, uint32_t max_in_flight = 64) {
    v1::ServeRequest frame;
    frame.mutable_register_()->set_max_in_flight(max_in_flight);
    for (const std::string& method : methods) frame.mutable_register_()->add_methods(method);
    stream_->Write(frame);
  }
  void Register(v1::ServeRequest::Register offered) {
    v1::ServeRequest frame;
    *frame.mutable_register_() = std::move(offered);
    stream_->Write(frame);
  }
  void Heartbeat() {
    v1::ServeRequest frame;
    frame.mutable_heartbeat();
    stream_->Write(frame);
  }
  void Reply(v1::ServeRequest::Reply reply) {
    v1::ServeRequest frame;
    *frame.mutable_reply() = std::move(reply);
    stream_->Write(frame);
  }
  // The next frame; one that is not set when the stream has ended.
  v1::ServeResponse Read() {
    v1::ServeResponse frame;
    return stream_->Read(&frame) ? frame : v1::ServeResponse();
  }
  grpc::Status End() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ServeRequest, v1::ServeResponse>> stream_;
  bool finished_ = false;
};

class ServicesTest : public ::testing::Test {
 protected:
  struct Answer {
    grpc::Status status;
    v1::CallResponse response;
  };

  Answer Call(v1::CallRequest request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    request.mutable_timeout()->set_seconds(15);
    Answer answer;
    answer.status = node_.rpc().Call(&context, request, &answer.response);
    return answer;
  }
  Answer Call(const std::string& method, const std::vector<std::string>& texts = {}) {
    v1::CallRequest request;
    request.set_method(method);
    request.set_node_id(node_.id());
    for (const std::string& text : texts) request.mutable_args()->add_values()->set_string_value(text);
    return Call(std::move(request));
  }

  // As a part of the node does it.
  fakes::Waiter<absl::StatusOr<CallResult>> CallAbout(const std::string& method, const std::string& subject) {
    fakes::Waiter<absl::StatusOr<CallResult>> done;
    node_.rooms().rpc.Call({.method = method,
                            .arguments = {},
                            .target = AnyNode{},
                            .deadline = MonotonicNow() + fakes::kPatience,
                            .subject = subject},
                           done.Callback());
    return done;
  }

  fakes::RedisServer redis_;
  LocalNode node_{redis_.endpoint()};
};

std::string Subject() {
  v1::Connection connection;
  connection.set_id("c-1");
  connection.set_type("browser");
  internal::v1::CallSubject subject;
  subject.set_connection(connection.SerializeAsString());
  subject.set_room("lobby");
  subject.set_from_connection_id("c-2");
  return subject.SerializeAsString();
}

TEST_F(ServicesTest, TheLargestErrorOfAHandlerReachesAClientWithDefaultLimits) {
  Serving application(node_);
  application.Register({"m"});
  ASSERT_TRUE(application.Read().has_registered());
  std::thread answering([&] {
    v1::ServeRequest::Reply reply;
    reply.set_call_id(application.Read().call().call_id());
    reply.mutable_error()->set_code(grpc::StatusCode::DATA_LOSS);
    for (int i = 0; i < 2700; ++i) reply.mutable_error()->mutable_message()->append("€");
    for (char key = 'a'; key < 'a' + 16; ++key) {
      (*reply.mutable_error()->mutable_metadata())[std::string(1, key)] = std::string(250, 'v');
    }
    application.Reply(std::move(reply));
  });
  const Answer answer = Call("m");
  answering.join();
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DATA_LOSS) << answer.status.error_message();
  EXPECT_THAT(answer.status.error_message(), StartsWith("€€€"));
  EXPECT_EQ(InfoOf(answer.status).reason(), "HANDLER_FAILED");
  EXPECT_EQ(InfoOf(answer.status).metadata().at("p"), std::string(250, 'v'));
  EXPECT_EQ(InfoOf(answer.status).metadata().at("node_id"), node_.id());
}

TEST_F(ServicesTest, EveryOneOfManyRegistersIsAnsweredAndTheLastCounts) {
  Serving application(node_);
  constexpr int kRegisters = 20;
  for (int i = 0; i < kRegisters; ++i) application.Register({absl::StrCat("m-", i)});
  for (int i = 0; i < kRegisters; ++i) ASSERT_TRUE(application.Read().has_registered()) << i;
  std::thread answering([&] {
    v1::ServeRequest::Reply reply;
    reply.set_call_id(application.Read().call().call_id());
    application.Reply(std::move(reply));
  });
  EXPECT_TRUE(Call(absl::StrCat("m-", kRegisters - 1)).status.ok());
  answering.join();
  EXPECT_EQ(InfoOf(Call("m-0").status).reason(), "METHOD_NOT_FOUND");
}

TEST_F(ServicesTest, MethodsHooksAndMethodsOfConnectionsOfOneNameAreThreeThings) {
  Serving application(node_);
  v1::ServeRequest::Register offered;
  offered.add_methods("join");
  offered.add_connection_methods("join");
  offered.add_hooks("join");
  application.Register(offered);
  ASSERT_TRUE(application.Read().has_registered());
  for (const auto& [method, scope] : {std::pair("join", v1::ServeResponse::SCOPE_UNSPECIFIED),
                                      std::pair("connection/join", v1::ServeResponse::SCOPE_CONNECTION),
                                      std::pair("hook/join", v1::ServeResponse::SCOPE_HOOK)}) {
    const auto done = CallAbout(method, Subject());
    const v1::ServeResponse::Call call = application.Read().call();
    EXPECT_EQ(call.scope(), scope);
    EXPECT_EQ(call.method(), "join");
    EXPECT_EQ(call.connection_id(), "c-1");
    const bool is_plain = scope == v1::ServeResponse::SCOPE_UNSPECIFIED;
    EXPECT_EQ(call.has_connection(), !is_plain);
    EXPECT_EQ(call.connection().type(), is_plain ? "" : "browser");
    EXPECT_EQ(call.room(), "lobby");
    EXPECT_EQ(call.from_connection_id(), "c-2");
    v1::ServeRequest::Reply reply;
    reply.set_call_id(call.call_id());
    application.Reply(std::move(reply));
    EXPECT_TRUE(done.Next().ok());
  }
}

TEST_F(ServicesTest, ACallAboutNothingOrAboutNonsenseSaysNothing) {
  Serving application(node_);
  v1::ServeRequest::Register offered;
  offered.add_hooks("say.receive");
  application.Register(offered);
  ASSERT_TRUE(application.Read().has_registered());
  for (const std::string subject : {"", "\xff\xff"}) {
    const auto done = CallAbout("hook/say.receive", subject);
    const v1::ServeResponse::Call call = application.Read().call();
    EXPECT_EQ(call.scope(), v1::ServeResponse::SCOPE_HOOK);
    EXPECT_FALSE(call.has_connection());
    EXPECT_EQ(call.connection_id() + call.room() + call.from_connection_id(), "");
    v1::ServeRequest::Reply reply;
    reply.set_call_id(call.call_id());
    application.Reply(std::move(reply));
    EXPECT_TRUE(done.Next().ok());
  }
}

TEST_F(ServicesTest, WhatIsOfferedForConnectionsIsListedAndCallersCannotCallIt) {
  Serving application(node_);
  v1::ServeRequest::Register offered;
  offered.add_connection_methods("ban");
  offered.add_hooks("join");
  application.Register(offered);
  ASSERT_TRUE(application.Read().has_registered());
  {
    grpc::ClientContext context;
    v1::ListMethodsResponse listed;
    ASSERT_TRUE(node_.rpc().ListMethods(&context, {}, &listed).ok());
    ASSERT_EQ(listed.methods_size(), 2);
    EXPECT_EQ(listed.methods(0).name(), "connection/ban");
    EXPECT_EQ(listed.methods(1).name(), "hook/join");
  }
  for (const std::string method : {"connection/ban", "hook/join"}) {
    EXPECT_EQ(InfoOf(Call(method).status).reason(), "METHOD_NOT_FOUND");
    grpc::ClientContext notifying;
    v1::NotifyRequest notify;
    notify.set_method(method);
    v1::NotifyResponse notified;
    EXPECT_EQ(InfoOf(node_.rpc().Notify(&notifying, notify, &notified)).reason(), "METHOD_NOT_FOUND");
    grpc::ClientContext calling;
    v1::CallAllRequest all;
    all.set_method(method);
    EXPECT_EQ(InfoOf(node_.rpc().CallAll(&calling, all)->Finish()).reason(), "METHOD_NOT_FOUND");
  }
  application.Register(std::set<std::string>());
  EXPECT_TRUE(application.Read().has_registered()) << "or it was called";
  EXPECT_EQ(ReasonOf(CallAbout("connection/ban", "").Next().status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
}

TEST_F(ServicesTest, NodesCallEachOtherByMethodsThatCallersCannotName) {
  LocalNode other(redis_.endpoint());
  other.io().Run([&] {
    other.rooms().node_methods.Serve("node.test.echo", [](IncomingCall call, NodeMethods::Done done) {
      std::move(done)({.kind = Outcome::Kind::kResult, .result = std::move(call.arguments), .error = {}});
    });
    // What nodes ask of each other goes on while applications' calls are declined.
    other.rooms().host.Decline();
  });
  fakes::Waiter<absl::StatusOr<CallResult>> done;
  node_.rooms().rpc.Call({.method = "node.test.echo",
                          .arguments = {Content::Kind::kBytes, "hello"},
                          .target = OneNode{other.id()},
                          .deadline = MonotonicNow() + fakes::kPatience},
                         done.Callback());
  const absl::StatusOr<CallResult> result = done.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "hello");
  EXPECT_EQ(result->node_id, other.id());
  v1::CallRequest request;
  request.set_method("node.test.echo");
  request.set_node_id(other.id());
  EXPECT_EQ(InfoOf(Call(request).status).reason(), "METHOD_NOT_FOUND");
}

TEST_F(ServicesTest, TheFirstFrameMustBeRegister) {
  Serving application(node_);
  application.Heartbeat();
  EXPECT_EQ(application.Read().frame_case(), v1::ServeResponse::FRAME_NOT_SET);
  EXPECT_EQ(application.End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

// Together they are four times what may wait to be read.
TEST_F(ServicesTest, LargeCallsAtOnceAreRunOrDeclinedAndTheApplicationStays) {
  Serving application(node_);
  application.Register({"m"});
  ASSERT_TRUE(application.Read().has_registered());
  constexpr int kCalls = 16;
  fakes::Waiter<Answer> answers;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&] {
      v1::CallRequest request;
      request.set_method("m");
      request.set_data(std::string(kMaxContentBytes, 'x'));
      answers.Add(Call(std::move(request)));
    });
  }
  // What is not declined while nothing is read is run when it is.
  const Answer declined = answers.Next();
  EXPECT_EQ(InfoOf(declined.status).reason(), "LIMIT_EXCEEDED") << declined.status.error_message();
  EXPECT_EQ(InfoOf(declined.status).metadata().at("limit"), "outbox");
  std::thread serving([&] {
    while (true) {
      const v1::ServeResponse frame = application.Read();
      if (!frame.has_call()) return;
      v1::ServeRequest::Reply reply;
      reply.set_call_id(frame.call().call_id());
      reply.set_data(frame.call().data().substr(0, 4));
      application.Reply(std::move(reply));
    }
  });
  int ran = 0;
  for (int i = 1; i < kCalls; ++i) {
    const Answer answer = answers.Next();
    if (answer.status.ok()) {
      EXPECT_EQ(answer.response.data(), "xxxx");
      ++ran;
    } else {
      EXPECT_EQ(InfoOf(answer.status).reason(), "LIMIT_EXCEEDED") << answer.status.error_message();
    }
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GE(ran, 4);
  EXPECT_TRUE(Call("m").status.ok());
  node_.io().Run([this] { node_.rooms().host.CloseAll(absl::AbortedError("enough")); });
  serving.join();
}

TEST_F(ServicesTest, NodeMethodsAnswerAndOthersUnderTheirNameAreNotFound) {
  const Answer ping = Call("node.ping");
  ASSERT_TRUE(ping.status.ok()) << ping.status.error_message();
  EXPECT_EQ(ping.response.result().struct_value().fields().at("node_id").string_value(), node_.id());
  const Answer info = Call("node.info");
  ASSERT_TRUE(info.status.ok());
  EXPECT_EQ(info.response.result().struct_value().fields().at("id").string_value(), node_.id());
  EXPECT_TRUE(info.response.result().struct_value().fields().at("counts").has_struct_value());
  EXPECT_TRUE(Call("node.log", {"one\ntwo"}).response.result().bool_value());
  EXPECT_EQ(Call("node.log").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  for (const char* method : {"node.", "node.drain", "node.exit", "node.ping2"}) {
    EXPECT_EQ(InfoOf(Call(method).status).reason(), "METHOD_NOT_FOUND") << method;
  }
}

TEST_F(ServicesTest, ShutdownIsAnsweredAndThenBegins) {
  EXPECT_TRUE(Call("node.shutdown").response.result().bool_value());
  EXPECT_TRUE(node_.shutdowns().Next());
}

TEST_F(ServicesTest, ACallToANodeThatHasDrainedIsAnsweredByItsSuccessorWhereasAStrangerIsMissedAtOnce) {
  std::optional<LocalNode> other(std::in_place, redis_.endpoint());
  const std::string name = other->id();
  const fakes::Waiter<uint32_t> drained;
  other->io().Run([&] { other->rooms().drain.Begin(fakes::kPatience, drained.Callback()); });
  EXPECT_EQ(drained.Next(), 0u);
  other.reset();
  v1::CallRequest request;
  request.set_method("node.ping");
  request.set_node_id(name);
  const fakes::Waiter<Answer> answered;
  std::thread calling([&] { answered.Add(Call(request)); });
  while (node_.rooms().rpc.waiting() == 0) std::this_thread::yield();
  // Both are looked up in Redis; when this one is known to be missing, so is the other.
  request.set_node_id("a-stranger");
  EXPECT_EQ(InfoOf(Call(request).status).reason(), "NODE_NOT_FOUND");
  EXPECT_EQ(node_.rooms().rpc.waiting(), 1u);
  other.emplace(redis_.endpoint());
  ASSERT_EQ(other->id(), name);
  const Answer answer = answered.Next();
  calling.join();
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.node_id(), name);
}

TEST_F(ServicesTest, AClientThatGivesUpOnTheDrainOfAnotherNodeLeavesNothingBehind) {
  LocalNode other(redis_.endpoint());
  Serving application(other);
  application.Register({"m"});
  ASSERT_TRUE(application.Read().has_registered());
  // A call runs there, so that the drain does not end by itself.
  v1::CallRequest request;
  request.set_method("m");
  request.set_node_id(other.id());
  fakes::Waiter<Answer> ran;
  std::thread running([&] { ran.Add(Call(request)); });
  const std::string call_id = application.Read().call().call_id();

  grpc::ClientContext context;
  v1::DrainRequest drain;
  drain.set_node_id(other.id());
  drain.mutable_timeout()->set_seconds(3600);
  v1::DrainResponse response;
  fakes::Waiter<grpc::Status> drained;
  node_.cluster().async()->Drain(&context, &drain, &response, drained.Callback());
  EXPECT_TRUE(application.Read().has_draining());
  EXPECT_EQ(node_.rooms().rpc.waiting(), 2u);
  context.TryCancel();
  EXPECT_EQ(drained.Next().error_code(), grpc::StatusCode::CANCELLED);
  // The client hears of its own cancellation before the node does; then only the running call is left.
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while (node_.rooms().rpc.waiting() > 1 && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(node_.rooms().rpc.waiting(), 1u);
  v1::ServeRequest::Reply reply;
  reply.set_call_id(call_id);
  application.Reply(std::move(reply));
  running.join();
  EXPECT_TRUE(ran.Next().status.ok());
}

TEST_F(ServicesTest, ClustersOnTwoDatabasesOfOneRedisDoNotHearEachOther) {
  redis::Endpoint second = redis_.endpoint();
  second.database = 1;
  const LocalNode other(second);
  EXPECT_EQ(other.id(), node_.id());
  for (const int database : {0, 1}) {
    const std::string channel = Keys("actioncluster", database).ChannelAll();
    const redis::Reply subscribers = redis_.Command({"PUBSUB", "NUMSUB", channel});
    EXPECT_EQ(*subscribers.view()[1].Integer(), 1) << channel;
  }
}

}  // namespace
}  // namespace actioncluster
