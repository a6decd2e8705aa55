#include "server/services/call_all_stream.h"

#include <string>
#include <utility>

#include "backplane/domain/error.h"
#include "server/grpc/content.h"

namespace actioncluster {

CallAllStream::CallAllStream(Offload& offload)
    : outbox_(
          offload, {}, [this](const v1::CallAllResponse* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerWriteReactor<v1::CallAllResponse>* CallAllStream::Start(Rpc& rpc, Offload& offload, CallSpec spec) {
  std::shared_ptr<CallAllStream> stream(new CallAllStream(offload));
  stream->self_ = stream;
  stream->rpc_ = &rpc;
  stream->id_ = rpc.CallAll(
      std::move(spec),
      [stream](const std::string& node_id, absl::StatusOr<Content> result) {
        stream->Send(node_id, std::move(result));
      },
      [stream](const absl::Status& status) { stream->outbox_.End(status, /*flush=*/true); });
  return stream.get();
}

grpc::ServerWriteReactor<v1::CallAllResponse>* CallAllStream::Refuse(Offload& offload, const absl::Status& why) {
  std::shared_ptr<CallAllStream> stream(new CallAllStream(offload));
  stream->self_ = stream;
  stream->outbox_.End(why, /*flush=*/false);
  return stream.get();
}

void CallAllStream::Send(const std::string& node_id, absl::StatusOr<Content> result) {
  const size_t bytes = result.ok() ? result->body.size() : 0;
  const bool sent = outbox_.Push(bytes, [self = shared_from_this(), node_id, result = std::move(result)]() mutable {
    v1::CallAllResponse frame;
    frame.set_node_id(node_id);
    if (result.ok()) {
      SetResult(*std::move(result), &frame);
    } else {
      *frame.mutable_error() = ToProto(result.status());
    }
    return frame;
  });
  if (!sent) {
    outbox_.End(
        MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the replies come faster than they are read", {{"limit", "outbox"}}),
        /*flush=*/false);
  }
}

void CallAllStream::OnCancel() {
  if (rpc_ != nullptr) rpc_->Cancel(id_);
  outbox_.End(absl::UnavailableError("the caller gave up"), /*flush=*/false);
}

}  // namespace actioncluster
