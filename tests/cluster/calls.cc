#include "tests/cluster/calls.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/status.pb.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::ToInt64Seconds(duration));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration) % 1'000'000'000));
}

void SetLimit(absl::Duration limit, grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + limit));
}

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string FromBuffer(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// One message there and one back, then nobody wants to hear more. The request's half stays open until then, as a stream
// of an application would.
class RawCall final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path, const std::string& message,
          const std::map<std::string, std::string>& metadata)
      : stub_(channel), request_(ToBuffer(message)) {
    for (const auto& [key, value] : metadata) context_.AddMetadata(key, value);
    SetLimit(kPatience, &context_);
    stub_.PrepareBidiStreamingCall(&context_, path, {}, this);
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }

  RawAnswer Await() {
    done_.WaitForNotification();
    return {.status = answered_ ? grpc::Status::OK : status_, .message = FromBuffer(response_)};
  }

 private:
  // A unary rpc waits for this end of the request.
  void OnWriteDone(bool ok) override {
    if (ok) StartWritesDone();
  }
  void OnReadDone(bool ok) override {
    answered_ = ok;
    if (ok) context_.TryCancel();
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  bool answered_ = false;
  grpc::Status status_;
  absl::Notification done_;
};

}  // namespace

google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details())) return info;
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&info)) return info;
  }
  return info;
}

google::protobuf::Value Json(absl::string_view text) {
  google::protobuf::Value value;
  const auto status = google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, &value);
  CHECK(status.ok()) << text << ": " << status.ToString();
  return value;
}

std::string ToJson(const google::protobuf::Message& message) {
  std::string text;
  CHECK(google::protobuf::util::MessageToJsonString(message, &text).ok());
  return text;
}

v1::CallRequest Request(absl::string_view method, absl::string_view arguments) {
  v1::CallRequest request;
  request.set_method(std::string(method));
  *request.mutable_args() = Json(arguments).list_value();
  return request;
}

v1::CallRequest ToNode(const std::string& node_id, v1::CallRequest request) {
  request.set_node_id(node_id);
  return request;
}

v1::CallRequest ToAny(v1::CallRequest request) {
  request.set_any(true);
  return request;
}

v1::CallRequest Within(absl::Duration timeout, v1::CallRequest request) {
  SetDuration(timeout, request.mutable_timeout());
  return request;
}

std::string Answer::metadata(const std::string& key) const {
  const google::rpc::ErrorInfo info = ErrorInfoOf(status);
  const auto found = info.metadata().find(key);
  return found == info.metadata().end() ? "" : found->second;
}

void PrintTo(const Answer& answer, std::ostream* out) {
  *out << "code " << answer.code() << " " << answer.reason() << " \"" << answer.status.error_message() << "\" "
       << ErrorInfoOf(answer.status).ShortDebugString() << " result " << answer.response.ShortDebugString() << " after "
       << absl::FormatDuration(answer.took);
}

Answer Call(const Node& node, const v1::CallRequest& request, absl::Duration limit) {
  grpc::ClientContext context;
  SetLimit(limit, &context);
  Answer answer;
  const absl::Time begin = absl::Now();
  answer.status = node.rpc().Call(&context, request, &answer.response);
  answer.took = absl::Now() - begin;
  return answer;
}

AllAnswers CallAll(const Node& node, absl::string_view method, absl::string_view arguments, absl::Duration timeout) {
  grpc::ClientContext context;
  SetLimit(timeout + kPatience, &context);
  v1::CallAllRequest request;
  request.set_method(std::string(method));
  *request.mutable_args() = Json(arguments).list_value();
  SetDuration(timeout, request.mutable_timeout());
  const auto stream = node.rpc().CallAll(&context, request);
  AllAnswers answers;
  for (v1::CallAllResponse reply; stream->Read(&reply);) {
    const bool is_first = answers.replies.emplace(reply.node_id(), reply).second;
    CHECK(is_first) << reply.node_id() << " was reported twice";
  }
  answers.status = stream->Finish();
  return answers;
}

Notified Notify(const Node& node, const v1::NotifyRequest& request) {
  grpc::ClientContext context;
  SetLimit(kPatience, &context);
  v1::NotifyResponse response;
  const grpc::Status status = node.rpc().Notify(&context, request, &response);
  return {.status = status, .receivers = response.receivers()};
}

std::string Health(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetLimit(absl::Seconds(2), &context);
  const grpc::ByteBuffer request = ToBuffer("");
  grpc::ByteBuffer response;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response, [&](const grpc::Status& end) {
    status = end;
    done.Notify();
  });
  done.WaitForNotification();
  if (!status.ok()) return absl::StrCat("code ", status.error_code(), " ", status.error_message());
  // A HealthCheckResponse: the field 1 is the enumerator, SERVING is 1.
  return FromBuffer(response) == std::string("\x08\x01", 2) ? "SERVING" : "NOT_SERVING";
}

RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path, const std::string& message,
                  const std::map<std::string, std::string>& metadata) {
  return RawCall(channel, path, message, metadata).Await();
}

void AwaitOffers(const std::deque<Node>& nodes) {
  for (const Node& node : nodes) {
    grpc::ClientContext context;
    v1::ListMethodsResponse methods;
    const grpc::Status status = node.rpc().ListMethods(&context, {}, &methods);
    CHECK(status.ok()) << status.error_message();
  }
}

}  // namespace actioncluster::cluster
