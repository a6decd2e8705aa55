#include "server/services/connection_ask.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/content.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

// Confined to the I/O thread.
class Asking : public std::enable_shared_from_this<Asking> {
 public:
  Asking(Rpc& rpc, ConnectionQuestion question, ConnectionAnswer answer)
      : rpc_(rpc), question_(std::move(question)), answer_(std::move(answer)) {}

  void Ask() {
    call_ = rpc_.Call(
        {.method = question_.method,
         .arguments = {.kind = Content::Kind::kBytes, .body = question_.request},
         .target = NodeOfConnection{question_.connection_id},
         .deadline = question_.deadline},
        [self = shared_from_this()](absl::StatusOr<CallResult> result) { self->OnAnswer(std::move(result)); });
  }
  void GiveUp() {
    gone_ = true;
    rpc_.Cancel(call_);
  }

 private:
  void OnAnswer(absl::StatusOr<CallResult> result) {
    if (!gone_ && !asked_again_ && HasMoved(result.status())) {
      asked_again_ = true;
      return Ask();
    }
    std::move(answer_)(WasLost(result.status()) ? Gone() : std::move(result));
  }
  // The node went, and the connection with it, when it may have been doing what was asked.
  static bool WasLost(const absl::Status& status) {
    return ReasonOf(status) == v1::ERROR_REASON_HANDLER_FAILED && MetadataOf(status).contains("lost");
  }
  absl::Status Gone() const {
    return MakeError(v1::ERROR_REASON_CONNECTION_NOT_FOUND,
                     absl::StrCat("the connection ", question_.connection_id, " was lost with its node"),
                     {{"asked", "true"}});
  }
  // A node that does not hold the connection says so with its name; one that was about to do something when it went, that it was `asked`.
  static bool HasMoved(const absl::Status& status) {
    if (ReasonOf(status) != v1::ERROR_REASON_CONNECTION_NOT_FOUND) return false;
    const ErrorMetadata metadata = MetadataOf(status);
    return metadata.contains("node_id") && !metadata.contains("asked");
  }

  Rpc& rpc_;
  const ConnectionQuestion question_;
  ConnectionAnswer answer_;
  CallId call_ = 0;
  bool asked_again_ = false;
  bool gone_ = false;
};

}  // namespace

void AskConnection(Loop& loop, Rpc& rpc, UnaryCall* call, ConnectionQuestion question, ConnectionAnswer answer) {
  const auto asking = std::make_shared<Asking>(rpc, std::move(question), std::move(answer));
  loop.Post([asking] { asking->Ask(); });
  call->OnCancelled([&loop, asking] { loop.Post([asking] { asking->GiveUp(); }); });
}

}  // namespace actioncluster
