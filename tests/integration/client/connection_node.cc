#include "tests/integration/client/connection_node.h"

#include <grpc/grpc.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"

namespace actioncluster::client {

class ConnectionNode::Connections final : public v1::ConnectionService::Service {
 public:
  explicit Connections(ConnectionNode& node) : node_(node) {}

 private:
  grpc::Status Open(grpc::ServerContext*, Stream* stream) override {
    const grpc::Status status = node_.Count("Open");
    return node_.script_ == nullptr ? status : node_.script_(*stream);
  }
  grpc::Status Apply(grpc::ServerContext*, const v1::ApplyRequest*, v1::ApplyResponse*) override {
    return node_.Count("Apply");
  }
  grpc::Status Invoke(grpc::ServerContext*, const v1::InvokeRequest*, v1::InvokeResponse*) override {
    return node_.Count("Invoke");
  }
  grpc::Status Get(grpc::ServerContext*, const v1::ConnectionServiceGetRequest*,
                   v1::ConnectionServiceGetResponse*) override {
    return node_.Count("Get");
  }
  grpc::Status List(grpc::ServerContext*, const v1::ConnectionServiceListRequest*,
                    v1::ConnectionServiceListResponse*) override {
    return node_.Count("List");
  }

  ConnectionNode& node_;
};

class ConnectionNode::Rooms final : public v1::RoomService::Service {
 public:
  explicit Rooms(ConnectionNode& node) : node_(node) {}

 private:
  grpc::Status Create(grpc::ServerContext*, const v1::RoomServiceCreateRequest*,
                      v1::RoomServiceCreateResponse*) override {
    return node_.Count("room Create");
  }
  grpc::Status Destroy(grpc::ServerContext*, const v1::RoomServiceDestroyRequest*,
                       v1::RoomServiceDestroyResponse*) override {
    return node_.Count("room Destroy");
  }
  grpc::Status Exists(grpc::ServerContext*, const v1::RoomServiceExistsRequest*,
                      v1::RoomServiceExistsResponse*) override {
    return node_.Count("room Exists");
  }
  grpc::Status List(grpc::ServerContext*, const v1::RoomServiceListRequest*, v1::RoomServiceListResponse*) override {
    return node_.Count("room List");
  }
  grpc::Status Status(grpc::ServerContext*, const v1::RoomServiceStatusRequest*,
                      v1::RoomServiceStatusResponse*) override {
    return node_.Count("room Status");
  }
  grpc::Status AddMember(grpc::ServerContext*, const v1::AddMemberRequest*, v1::AddMemberResponse*) override {
    return node_.Count("room AddMember");
  }
  grpc::Status RemoveMember(grpc::ServerContext*, const v1::RemoveMemberRequest*, v1::RemoveMemberResponse*) override {
    return node_.Count("room RemoveMember");
  }
  grpc::Status Broadcast(grpc::ServerContext*, const v1::BroadcastRequest*, v1::BroadcastResponse*) override {
    return node_.Count("room Broadcast");
  }
  grpc::Status WatchRoom(grpc::ServerContext*, const v1::WatchRoomRequest*,
                         grpc::ServerWriter<v1::WatchRoomResponse>*) override {
    return node_.Count("room WatchRoom");
  }

  ConnectionNode& node_;
};

ConnectionNode::ConnectionNode(Script script) : script_(std::move(script)) {
  services_.push_back(std::make_unique<Connections>(*this));
  services_.push_back(std::make_unique<Rooms>(*this));
  grpc::ServerBuilder builder;
  // Otherwise gRPC takes in advance, on a quick machine, a lot of what no script has read yet.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr && port > 0);
  address_ = absl::StrCat("127.0.0.1:", port);
}

ConnectionNode::~ConnectionNode() { server_->Shutdown(std::chrono::system_clock::now()); }

std::map<std::string, int> ConnectionNode::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

grpc::Status ConnectionNode::Count(const std::string& rpc) {
  absl::MutexLock lock(&mutex_);
  ++calls_[rpc];
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
}

v1::OpenResponse WelcomeFrame(const std::string& id, const std::vector<std::string>& rooms, bool resumed) {
  v1::OpenResponse frame;
  v1::OpenResponse::Welcome* const welcome = frame.mutable_welcome();
  welcome->mutable_connection()->set_id(id);
  welcome->mutable_connection()->set_node_id("fake");
  welcome->mutable_connection()->mutable_rooms()->Assign(rooms.begin(), rooms.end());
  welcome->set_resume_token(absl::StrCat("token of ", id));
  welcome->set_resumed(resumed);
  return frame;
}

v1::OpenResponse MessageFrame(const std::string& room, int number, uint64_t offset) {
  v1::OpenResponse frame;
  frame.mutable_message()->set_room(room);
  frame.mutable_message()->mutable_value()->set_number_value(number);
  frame.mutable_message()->set_offset(offset);
  return frame;
}

v1::OpenResponse ReplyFrame(const v1::OpenRequest::Verb& verb) {
  v1::OpenResponse frame;
  frame.mutable_reply()->set_message_id(verb.message_id());
  frame.mutable_reply()->mutable_result()->set_bool_value(true);
  return frame;
}

v1::OpenResponse InvokeFrame(const std::string& call_id, const std::string& method) {
  v1::OpenResponse frame;
  frame.mutable_invoke()->set_call_id(call_id);
  frame.mutable_invoke()->set_method(method);
  frame.mutable_invoke()->mutable_args()->add_values()->set_number_value(7);
  frame.mutable_invoke()->mutable_timeout()->set_seconds(60);
  return frame;
}

v1::OpenResponse GoodbyeFrame(const std::string& reason, const std::vector<std::string>& alternatives) {
  v1::OpenResponse frame;
  frame.mutable_goodbye()->set_reason(reason);
  frame.mutable_goodbye()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
  return frame;
}

grpc::Status ConnectionExists() {
  google::rpc::ErrorInfo info;
  info.set_domain("actioncluster");
  info.set_reason("CONNECTION_EXISTS");
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "the id is taken", details.SerializeAsString());
}

v1::OpenRequest::Hello ReadHello(ConnectionNode::Stream& stream) {
  v1::OpenRequest frame;
  CHECK(stream.Read(&frame) && frame.has_hello());
  return frame.hello();
}

grpc::Status Linger(ConnectionNode::Stream& stream) {
  for (v1::OpenRequest frame; stream.Read(&frame);) continue;
  return grpc::Status::OK;
}

}  // namespace actioncluster::client
