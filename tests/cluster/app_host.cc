#include "tests/cluster/app_host.h"

#include <utility>

#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "tests/cluster/calls.h"

namespace actioncluster::cluster {
namespace {

constexpr char kForConnections[] = "connection/";
constexpr char kHook[] = "hook/";

// What the handlers call it.
std::string NameOf(const AppHost::Frame::Call& call) {
  switch (call.scope()) {
    case AppHost::Frame::SCOPE_CONNECTION:
      return kForConnections + call.method();
    case AppHost::Frame::SCOPE_HOOK:
      return kHook + call.method();
    default:
      return call.method();
  }
}

v1::ServeRequest RegisterFrame(const AppHost::Handlers& handlers, const AppHost::Options& options) {
  v1::ServeRequest frame;
  v1::ServeRequest::Register& registering = *frame.mutable_register_();
  for (const auto& [method, handler] : handlers) {
    absl::string_view name = method;
    if (absl::ConsumePrefix(&name, kForConnections)) {
      registering.add_connection_methods(std::string(name));
    } else if (absl::ConsumePrefix(&name, kHook)) {
      registering.add_hooks(std::string(name));
    } else {
      registering.add_methods(method);
    }
  }
  registering.set_max_in_flight(options.max_in_flight);
  registering.set_stays_while_draining(options.stays);
  if (options.heartbeat_timeout.has_value()) {
    registering.mutable_heartbeat_timeout()->set_seconds(absl::ToInt64Seconds(*options.heartbeat_timeout));
  }
  return frame;
}

}  // namespace

AppHost::AppHost(const Node& node, Handlers handlers, const Options& options)
    : handlers_(std::move(handlers)), stream_(node.rpc().Serve(&context_)), reader_([this] { Read(); }) {
  if (!options.send_register) return;
  CHECK(Send(RegisterFrame(handlers_, options)));
  CHECK_EQ(registered_.Next(), node.id());
}

AppHost::~AppHost() {
  HangUp();
  reader_.join();
}

bool AppHost::Send(const v1::ServeRequest& frame) {
  absl::MutexLock lock(&writing_);
  return stream_->Write(frame);
}

void AppHost::Withdraw() {
  v1::ServeRequest frame;
  frame.mutable_register_();
  CHECK(Send(frame));
  CHECK_NE(registered_.Next(), "");
}

void AppHost::SendReply(const std::string& call_id, Reply reply) {
  v1::ServeRequest frame;
  reply.set_call_id(call_id);
  *frame.mutable_reply() = std::move(reply);
  Send(frame);
}

void AppHost::Read() {
  for (Frame frame; stream_->Read(&frame);) {
    switch (frame.frame_case()) {
      case Frame::kRegistered:
        registered_.Add(frame.registered().node_id());
        break;
      case Frame::kCall: {
        calls_.Add(frame.call());
        const auto handler = handlers_.find(NameOf(frame.call()));
        CHECK(handler != handlers_.end()) << "called for " << frame.call().method() << ", which is not registered";
        if (std::optional<Reply> reply = handler->second(frame.call())) {
          SendReply(frame.call().call_id(), *std::move(reply));
        }
        break;
      }
      case Frame::kCancel:
        cancels_.Add(frame.cancel().call_id());
        break;
      case Frame::kDraining:
        drainings_.Add(frame.draining());
        break;
      case Frame::FRAME_NOT_SET:
        LOG(FATAL) << "an empty frame";
    }
  }
  const grpc::Status status = stream_->Finish();
  registered_.Add("");
  end_.Add(status);
}

AppHost::Reply ResultOf(absl::string_view json) {
  AppHost::Reply reply;
  *reply.mutable_result() = Json(json);
  return reply;
}

AppHost::Reply ErrorOf(grpc::StatusCode code, const std::string& message) {
  AppHost::Reply reply;
  reply.mutable_error()->set_code(code);
  reply.mutable_error()->set_message(message);
  return reply;
}

AppHost::Handler Returning(absl::string_view json) {
  return [reply = ResultOf(json)](const AppHost::Frame::Call&) { return reply; };
}

AppHost::Handler NeverAnswering() {
  return [](const AppHost::Frame::Call&) { return std::nullopt; };
}

AppHost::Handler Echoing() {
  return [](const AppHost::Frame::Call& call) {
    AppHost::Reply reply;
    if (call.has_data()) reply.set_data(call.data());
    if (call.has_args() && call.args().values_size() > 0) *reply.mutable_result() = call.args().values(0);
    return reply;
  };
}

}  // namespace actioncluster::cluster
