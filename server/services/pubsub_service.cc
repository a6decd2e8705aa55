#include "server/services/pubsub_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/grpc/unary_call.h"
#include "server/services/subscription_stream.h"

namespace actioncluster {
namespace {

constexpr int kMaxTypes = 1024;
constexpr int kMaxPatterns = 64;
constexpr ptrdiff_t kMaxAsterisks = 8;

absl::Status CheckCount(int count, int maximum, absl::string_view what) {
  if (count <= maximum) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("at most ", maximum, " ", what, " a subscriber"),
                   {{"limit", std::string(what)}});
}

absl::StatusOr<Interest> InterestOf(const v1::SubscribeRequest& request) {
  if (request.message_types().empty() && request.patterns().empty()) {
    return absl::InvalidArgumentError("a subscriber names at least one of message_types or patterns");
  }
  if (absl::Status count = CheckCount(request.message_types_size(), kMaxTypes, "message_types"); !count.ok()) {
    return count;
  }
  if (absl::Status count = CheckCount(request.patterns_size(), kMaxPatterns, "patterns"); !count.ok()) return count;
  for (const std::string& type : request.message_types()) {
    if (absl::Status valid = ValidateName(type, "message_types"); !valid.ok()) return valid;
  }
  for (const std::string& pattern : request.patterns()) {
    if (absl::Status valid = ValidateName(pattern, "patterns"); !valid.ok()) return valid;
    if (std::count(pattern.begin(), pattern.end(), '*') > kMaxAsterisks) {
      return absl::InvalidArgumentError(absl::StrCat("patterns must have at most ", kMaxAsterisks, " asterisks each"));
    }
  }
  return Interest{.types = {request.message_types().begin(), request.message_types().end()},
                  .patterns = {request.patterns().begin(), request.patterns().end()}};
}

absl::StatusOr<Interest> InterestOf(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy = bytes;  // Shares the bytes; parsing empties it.
  v1::SubscribeRequest request;
  if (!grpc::SerializationTraits<v1::SubscribeRequest>::Deserialize(&copy, &request).ok()) {
    return absl::InvalidArgumentError("the request is not a SubscribeRequest, or has strings that are not UTF-8");
  }
  return InterestOf(request);
}

}  // namespace

grpc::ServerUnaryReactor* PubSubService::Publish(grpc::CallbackServerContext* context,
                                                 const v1::PublishRequest* request, v1::PublishResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.PubSubService/Publish", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->message_type(), "message_type"); !valid.ok()) {
    return call->Finish(valid);
  }
  absl::StatusOr<Content> content = ValueOf(*request);
  if (!content.ok()) return call->Finish(content.status());
  rooms_.loop.Post([this, call, response, type = request->message_type(), content = *std::move(content)]() mutable {
    rooms_.pubsub.Publish(std::move(type), std::move(content), [call, response](absl::StatusOr<int64_t> receivers) {
      if (receivers.ok()) response->set_receivers(static_cast<int32_t>(*receivers));
      call->Finish(receivers.status());
    });
  });
  return call->reactor();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* PubSubService::Subscribe(grpc::CallbackServerContext* context,
                                                                     const grpc::ByteBuffer* request) {
  absl::Status status = rooms_.authorizer.Admit("/actioncluster.v1.PubSubService/Subscribe", *context);
  absl::StatusOr<Interest> interest = Interest();
  if (status.ok()) {
    interest = InterestOf(*request);
    status = interest.status();
  }
  return SubscriptionStream::Start(*context, rooms_.loop, rooms_.subscribers, rooms_.offload, status,
                                   interest.ok() ? *std::move(interest) : Interest());
}

}  // namespace actioncluster
