#include "tests/cluster/connection_calls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/cluster/calls.h"

namespace actioncluster::cluster {
namespace {

v1::OpenRequest FirstFrame(const v1::OpenRequest::Hello& hello) {
  v1::OpenRequest frame;
  *frame.mutable_hello() = hello;
  return frame;
}

}  // namespace

v1::ApplyRequest ApplyOf(const std::string& connection_id, const std::string& method, absl::string_view arguments) {
  v1::ApplyRequest request;
  request.set_connection_id(connection_id);
  request.set_method(method);
  *request.mutable_args() = Json(arguments).list_value();
  return request;
}

v1::InvokeRequest InvokeOf(const std::string& connection_id, const std::string& method, absl::string_view arguments,
                           absl::Duration timeout) {
  v1::InvokeRequest request;
  request.set_connection_id(connection_id);
  request.set_method(method);
  *request.mutable_args() = Json(arguments).list_value();
  SetDuration(timeout, request.mutable_timeout());
  return request;
}

v1::ConnectionServiceGetRequest GetOf(const std::string& connection_id) {
  v1::ConnectionServiceGetRequest request;
  request.set_connection_id(connection_id);
  return request;
}

v1::AddMemberRequest AddOf(const std::string& connection_id, const std::string& room) {
  v1::AddMemberRequest request;
  request.set_connection_id(connection_id);
  request.set_room(room);
  return request;
}

v1::RemoveMemberRequest RemoveOf(const std::string& connection_id, const std::string& room) {
  v1::RemoveMemberRequest request;
  request.set_connection_id(connection_id);
  request.set_room(room);
  return request;
}

v1::BroadcastRequest BroadcastOf(const std::string& room, absl::string_view json, const std::string& from) {
  v1::BroadcastRequest request;
  request.set_room(room);
  request.set_from_connection_id(from);
  *request.mutable_value() = Json(json);
  return request;
}

void CreateRoom(const Node& node, const std::string& room, v1::RoomServiceCreateRequest request) {
  request.set_room(room);
  Good(Ask(node, &Rooms::Create, request));
}

v1::RoomServiceStatusResponse StatusOf(const Node& node, const std::string& room) {
  v1::RoomServiceStatusRequest request;
  request.set_room(room);
  return Good(Ask(node, &Rooms::Status, request));
}

std::vector<std::string> MembersOf(const Node& node, const std::string& room) {
  std::vector<std::string> ids;
  const v1::RoomServiceStatusResponse status = StatusOf(node, room);
  for (const v1::RoomMember& member : status.members()) ids.push_back(member.connection_id());
  std::ranges::sort(ids);
  return ids;
}

std::vector<std::string> Listed(const Node& node, v1::ConnectionServiceListRequest request) {
  std::vector<std::string> ids;
  do {
    const auto page = Good(Ask(node, &Connections::List, request));
    EXPECT_EQ(page.missing_nodes_size(), 0) << page.missing_nodes(0);
    for (const v1::Connection& connection : page.connections()) ids.push_back(connection.id());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return ids;
}

v1::OpenRequest::Hello HelloOf(const std::string& id) {
  v1::OpenRequest::Hello hello;
  hello.set_id(id);
  hello.set_can_chat(true);
  return hello;
}

v1::OpenRequest::Hello Resuming(const v1::OpenResponse::Welcome& welcome,
                                const std::map<std::string, uint64_t>& offsets) {
  v1::OpenRequest::Hello hello = HelloOf(welcome.connection().id());
  hello.set_resume_token(welcome.resume_token());
  for (const auto& [room, offset] : offsets) {
    v1::RoomOffset& resume = *hello.add_resume();
    resume.set_room(room);
    resume.set_offset(offset);
  }
  return hello;
}

v1::OpenRequest VerbOf(const std::string& verb, absl::string_view arguments, const std::string& message_id) {
  v1::OpenRequest frame;
  frame.mutable_verb()->set_verb(verb);
  frame.mutable_verb()->set_message_id(message_id);
  *frame.mutable_verb()->mutable_args() = Json(arguments).list_value();
  return frame;
}

std::string ErrorIn(const v1::OpenResponse::Reply& reply) {
  if (!reply.has_error()) return "";
  return reply.error().reason().empty() ? absl::StrCat(reply.error().code()) : reply.error().reason();
}

RawClient::RawClient(v1::ConnectionService::StubInterface& stub, const v1::OpenRequest::Hello& hello, Options options)
    : RawClient(stub, FirstFrame(hello), std::move(options)) {}

RawClient::RawClient(v1::ConnectionService::StubInterface& stub, v1::OpenRequest first, Options options)
    : options_(std::move(options)) {
  context_.set_wait_for_ready(true);  // Connecting may take a while beside thousands of others.
  stub.async()->Open(&context_, this);
  AddHold();
  Send(std::move(first));
  StartRead(&frame_);
  StartCall();
}

RawClient::~RawClient() {
  context_.TryCancel();
  {
    absl::MutexLock lock(&mutex_);
    Release();
  }
  done_.WaitForNotification();
}

v1::OpenResponse::Welcome RawClient::AwaitWelcome() {
  Frame::Welcome welcome = welcome_.Next();
  EXPECT_TRUE(welcome.has_connection()) << "not welcome: " << Describe(AwaitEnd());
  return welcome;
}

std::optional<v1::OpenResponse::Welcome> RawClient::AwaitWelcomeOrEnd() {
  Frame::Welcome welcome = welcome_.Next();
  return welcome.has_connection() ? std::make_optional(std::move(welcome)) : std::nullopt;
}

v1::OpenResponse::Reply RawClient::Do(const std::string& verb, absl::string_view arguments) {
  std::string message_id;
  {
    absl::MutexLock lock(&mutex_);
    message_id = absl::StrCat("done-", ++verbs_);
  }
  Send(VerbOf(verb, arguments, message_id));
  return replies_.NextThat([&](const Frame::Reply& reply) { return reply.message_id() == message_id; });
}

google::protobuf::Value RawClient::Done(const std::string& verb, absl::string_view arguments) {
  const Frame::Reply reply = Do(verb, arguments);
  EXPECT_TRUE(reply.has_result()) << verb << arguments << ": " << reply.ShortDebugString();
  return reply.result();
}

void RawClient::Send(v1::OpenRequest frame) {
  absl::MutexLock lock(&mutex_);
  if (!held_) return;
  writes_.push_back(std::move(frame));
  WriteNext();
}

void RawClient::Answer(const std::string& call_id, absl::string_view json) {
  v1::OpenRequest frame;
  frame.mutable_answer()->set_call_id(call_id);
  *frame.mutable_answer()->mutable_result() = Json(json);
  Send(std::move(frame));
}

void RawClient::Read() {
  absl::MutexLock lock(&mutex_);
  if (!stuck_) return;
  stuck_ = false;
  StartRead(&frame_);
}

void RawClient::Close() {
  absl::MutexLock lock(&mutex_);
  if (!held_ || closing_) return;
  closing_ = true;
  WriteNext();
}

std::string RawClient::NextText() const {
  const Frame::Message message = messages_.Next();
  return message.has_data() ? message.data() : ToJson(message.value());
}

void RawClient::WriteNext() {
  if (writing_) return;
  if (!writes_.empty()) {
    writing_ = true;
    StartWrite(&writes_.front());
  } else if (closing_) {
    writing_ = true;
    StartWritesDone();
  }
}

void RawClient::Release() {
  if (std::exchange(held_, false)) RemoveHold();
}

void RawClient::Sort() {
  switch (frame_.frame_case()) {
    case Frame::kWelcome:
      return welcome_.Add(frame_.welcome());
    case Frame::kReply:
      return replies_.Add(frame_.reply());
    case Frame::kMessage:
    case Frame::kDirect:
    case Frame::kMissed:
      if (options_.on_message) return options_.on_message(frame_);
      if (frame_.has_message()) messages_.Add(frame_.message());
      if (frame_.has_direct()) directs_.Add(frame_.direct());
      if (frame_.has_missed()) missed_.Add(frame_.missed());
      return;
    case Frame::kInvoke:
      if (options_.on_invoke) return Answer(frame_.invoke().call_id(), options_.on_invoke(frame_.invoke()));
      return invokes_.Add(frame_.invoke());
    case Frame::kLeft:
      return lefts_.Add(frame_.left());
    case Frame::kGoodbye:
      return goodbyes_.Add(frame_.goodbye());
    case Frame::kError:
      return errors_.Add(frame_.error());
    case Frame::FRAME_NOT_SET:
      ADD_FAILURE() << "an empty frame";
  }
}

void RawClient::OnReadDone(bool ok) {
  if (ok) Sort();
  absl::MutexLock lock(&mutex_);
  if (!ok) return Release();
  stuck_ = !options_.read_on && frame_.has_welcome() && held_;
  if (!stuck_) StartRead(&frame_);
}

void RawClient::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  writes_.pop_front();
  if (ok && held_) WriteNext();
}

void RawClient::OnDone(const grpc::Status& status) {
  welcome_.Add({});
  goodbyes_.Add({});
  end_.Add(status);
  done_.Notify();
}

std::unique_ptr<RawClient> Open(const Node& node, const std::string& id) {
  auto client = std::make_unique<RawClient>(node, HelloOf(id));
  EXPECT_EQ(client->AwaitWelcome().connection().id(), id);
  return client;
}

std::unique_ptr<RawClient> OpenIn(const Node& node, const std::string& id, const std::string& room) {
  std::unique_ptr<RawClient> client = Open(node, id);
  client->Done("roomAdd", absl::StrCat("[\"", room, "\"]"));
  return client;
}

RoomWatch::RoomWatch(const Node& node, const std::string& room) {
  v1::WatchRoomRequest request;
  request.set_room(room);
  stream_ = node.rooms().WatchRoom(&context_, request);
  reader_ = std::thread([this] {
    for (v1::WatchRoomResponse event; stream_->Read(&event);) events_.Add(event);
    end_.Add(stream_->Finish());
  });
}

RoomWatch::~RoomWatch() {
  context_.TryCancel();
  reader_.join();
}

std::vector<std::string> RoomWatch::Next(v1::WatchRoomResponse::Kind kind) const {
  const v1::WatchRoomResponse event = Next();
  EXPECT_EQ(event.kind(), kind) << event.ShortDebugString();
  std::vector<std::string> ids;
  for (const v1::RoomMember& member : event.members()) ids.push_back(member.connection_id());
  std::ranges::sort(ids);
  return ids;
}

}  // namespace actioncluster::cluster
