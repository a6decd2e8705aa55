#include "tests/integration/server/host_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "tests/integration/server/open_client.h"

namespace actioncluster {
namespace {

using RoomStub = v1::RoomService::Stub;

template <class Request, class Response>
Response Ask(LocalNode& node, grpc::Status (RoomStub::*rpc)(grpc::ClientContext*, const Request&, Response*),
             const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
  Response response;
  const grpc::Status status = (node.chat().*rpc)(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

}  // namespace

bool FakeStream::SendInvoke(v1::OpenResponse frame) {
  frames_.Add(std::move(frame));
  return true;
}

void FakeStream::SendMessage(const grpc::ByteBuffer& frame, size_t, OutboxWriter) {
  if (room_-- <= 0) ++pushed_out_;
  grpc::ByteBuffer bytes = frame;
  v1::OpenResponse response;
  CHECK(grpc::SerializationTraits<v1::OpenResponse>::Deserialize(&bytes, &response).ok());
  frames_.Add(std::move(response));
}

void FakeStream::MarkGap() {
  v1::OpenResponse frame;
  frame.mutable_missed()->set_gap(true);
  frames_.Add(std::move(frame));
}

void FakeStream::Close(v1::OpenResponse::Goodbye goodbye, const absl::Status& why) {
  v1::OpenResponse frame;
  *frame.mutable_goodbye() = std::move(goodbye);
  frames_.Add(std::move(frame));
  end_.Add(why);
}

HostClient::HostClient(LocalNode& node, const v1::OpenRequest::Hello& hello, std::optional<int64_t> room)
    : node_(node) {
  node_.io().Run([&] {
    if (room.has_value()) stream_->SetRoom(*room);
    id_ = node_.rooms().connections.Attach(stream_, hello, "127.0.0.1:1");
  });
}

HostClient::HostClient(LocalNode& node, const std::string& id) : HostClient(node, HelloOf(id)) { AwaitWelcome(); }

v1::OpenResponse::Welcome HostClient::AwaitWelcome() const {
  const v1::OpenResponse frame = frames().Next();
  EXPECT_TRUE(frame.has_welcome()) << frame.ShortDebugString();
  return frame.welcome();
}

std::optional<v1::OpenResponse::Welcome> HostClient::AwaitWelcomeOrEnd() const {
  if (!AwaitThat([this] { return frames().size() + stream_->end().size() > 0; })) return std::nullopt;
  if (frames().size() == 0) return std::nullopt;
  return AwaitWelcome();
}

v1::OpenResponse::Reply HostClient::Verb(const std::string& verb, absl::string_view arguments) {
  const std::string message_id = absl::StrCat(++verbs_);
  const v1::OpenRequest frame = VerbFrame(message_id, verb, arguments);
  node_.io().Run([&] { node_.rooms().connections.Verb(id_, frame.verb()); });
  return frames()
      .NextThat([&](const v1::OpenResponse& each) { return each.reply().message_id() == message_id; })
      .reply();
}

void HostClient::Detach(bool finished) {
  node_.io().Run([&] { node_.rooms().connections.Detach(id_, finished); });
}

void HostClient::SetRoom(int64_t messages) {
  node_.io().Run([&] { stream_->SetRoom(messages); });
}

std::string HostClient::NextText() const {
  const v1::OpenResponse frame = frames().Next();
  EXPECT_TRUE(frame.has_message()) << frame.ShortDebugString();
  return frame.message().data();
}

HostApplication::HostApplication(LocalNode& node, const std::string& method) : node_(node) {
  const fakes::Waiter<absl::Status> registered;
  node_.io().Run([&] {
    id_ = node_.rooms().host.Attach(application_);
    node_.rooms().host.Register(id_, {method}, 1'000'000, absl::InfiniteDuration(), /*stays=*/false,
                                registered.Callback());
  });
  const absl::Status status = registered.Next();
  CHECK(status.ok()) << status;
}

void HostApplication::Approve(const Asked& asked) {
  node_.io().Run([&] { node_.rooms().host.Reply(id_, asked.call_id, Outcome()); });
}

void HostApplication::Detach() {
  node_.io().Run([&] { node_.rooms().host.Detach(std::exchange(id_, 0)); });
}

v1::OpenRequest::Hello HelloOf(const std::string& id) { return HelloFrame(id).hello(); }

v1::OpenRequest::Hello Resuming(const v1::OpenResponse::Welcome& welcome) {
  v1::OpenRequest::Hello hello = HelloOf(welcome.connection().id());
  hello.set_resume_token(welcome.resume_token());
  return hello;
}

void AddOffset(const std::string& room, uint64_t offset, v1::OpenRequest::Hello* hello) {
  v1::RoomOffset& resume = *hello->add_resume();
  resume.set_room(room);
  resume.set_offset(offset);
}

bool AwaitThat(absl::FunctionRef<bool()> condition) {
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while (!condition()) {
    if (absl::Now() > limit) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

void AwaitCommands(LocalNode& node) {
  const fakes::Waiter<absl::StatusOr<redis::Reply>> answered;
  // Redis may refuse a PING when it refuses writes.
  node.io().Run([&] {
    node.rooms().commands.Execute(redis::Command({"EXISTS", node.rooms().keys.MembershipState()}), answered.Callback());
  });
  EXPECT_TRUE(answered.Next().ok());
}

void CreateRoom(LocalNode& node, const std::string& room, uint32_t history) {
  v1::RoomServiceCreateRequest request;
  request.set_room(room);
  if (history > 0) request.mutable_history()->set_messages(history);
  Ask(node, &RoomStub::Create, request);
}

void DestroyRoom(LocalNode& node, const std::string& room) {
  v1::RoomServiceDestroyRequest request;
  request.set_room(room);
  Ask(node, &RoomStub::Destroy, request);
}

uint64_t Broadcast(LocalNode& node, const std::string& room, const std::string& data) {
  v1::BroadcastRequest request;
  request.set_room(room);
  request.set_data(data);
  return Ask(node, &RoomStub::Broadcast, request).offset();
}

std::vector<std::string> MembersOf(LocalNode& node, const std::string& room) {
  v1::RoomServiceStatusRequest request;
  request.set_room(room);
  std::vector<std::string> ids;
  const v1::RoomServiceStatusResponse status = Ask(node, &RoomStub::Status, request);
  for (const v1::RoomMember& member : status.members()) ids.push_back(member.connection_id());
  std::ranges::sort(ids);
  return ids;
}

}  // namespace actioncluster
