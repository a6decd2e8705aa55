#include "tests/integration/server/open_client.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/slice.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/protobuf/util/json_util.h"

namespace actioncluster {

OpenClient::OpenClient(const std::shared_ptr<grpc::Channel>& channel, bool read) : stub_(channel) {
  stub_.PrepareBidiStreamingCall(&context_, "/actioncluster.v1.ConnectionService/Open", grpc::StubOptions(), this);
  if (read) {
    StartRead(&incoming_);
  } else {
    AddHold();
    held_ = true;
  }
  AddHold();  // For writes, until NoMoreWrites.
  StartCall();
}

OpenClient::~OpenClient() {
  Cancel();
  if (held_) RemoveHold();
  NoMoreWrites();
  done_.WaitForNotification();
}

void OpenClient::SendBytes(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  absl::MutexLock lock(&mutex_);
  outgoing_.emplace_back(&slice, 1);
  if (outgoing_.size() == 1) WriteNext();
}

void OpenClient::WriteNext() {
  if (!over_) StartWrite(&outgoing_.front());
}

void OpenClient::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  outgoing_.pop_front();
  if (over_ || !ok) return;
  if (!outgoing_.empty()) return WriteNext();
  if (closing_) StartWritesDone();
}

void OpenClient::NoMoreWrites() {
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(over_, true)) RemoveHold();
}

v1::OpenResponse::Welcome OpenClient::Hello(const std::string& id, const std::string& token) {
  v1::OpenRequest frame = HelloFrame(id);
  frame.mutable_hello()->set_resume_token(token);
  Send(frame);
  const v1::OpenResponse response = Next();
  CHECK(response.has_welcome()) << response.ShortDebugString();
  return response.welcome();
}

v1::OpenResponse::Reply OpenClient::Verb(const std::string& verb, absl::string_view arguments) {
  const std::string message_id = absl::StrCat(++verbs_);
  Send(VerbFrame(message_id, verb, arguments));
  return frames_.NextThat([&](const v1::OpenResponse& frame) { return frame.reply().message_id() == message_id; })
      .reply();
}

void OpenClient::Read() {
  StartRead(&incoming_);
  RemoveHold();
  held_ = false;
}

void OpenClient::CloseHalf() {
  absl::MutexLock lock(&mutex_);
  closing_ = true;
  if (outgoing_.empty() && !over_) StartWritesDone();
}

void OpenClient::OnReadDone(bool ok) {
  if (!ok) return NoMoreWrites();
  v1::OpenResponse frame;
  CHECK(grpc::SerializationTraits<v1::OpenResponse>::Deserialize(&incoming_, &frame).ok());
  frames_.Add(std::move(frame));
  StartRead(&incoming_);
}

void OpenClient::OnDone(const grpc::Status& status) {
  end_.Add(status);
  done_.Notify();
}

v1::OpenRequest HelloFrame(const std::string& id) {
  v1::OpenRequest frame;
  frame.mutable_hello()->set_id(id);
  frame.mutable_hello()->set_can_chat(true);
  return frame;
}

v1::OpenRequest VerbFrame(const std::string& message_id, const std::string& verb, absl::string_view arguments) {
  v1::OpenRequest frame;
  frame.mutable_verb()->set_message_id(message_id);
  frame.mutable_verb()->set_verb(verb);
  CHECK(google::protobuf::util::JsonStringToMessage(std::string(arguments), frame.mutable_verb()->mutable_args()).ok());
  return frame;
}

}  // namespace actioncluster
