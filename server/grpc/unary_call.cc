#include "server/grpc/unary_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "server/grpc/status_bridge.h"
#include "server/grpc/time_left.h"

namespace actioncluster {

grpc::ServerUnaryReactor* UnaryCall::Finish(const absl::Status& status) {
  if (absl::IsCancelled(status)) {
    ended_ = ToGrpc(status);
    StartSendInitialMetadata();
  } else {
    grpc::ServerUnaryReactor::Finish(ToGrpc(status));
  }
  return this;  // Only for its address: from here on gRPC may delete it at any moment.
}

void UnaryCall::OnSendInitialMetadataDone(bool /*ok*/) { grpc::ServerUnaryReactor::Finish(std::move(ended_)); }

void UnaryCall::OnCancelled(absl::AnyInvocable<void() &&> cancelled) {
  {
    absl::MutexLock lock(&mutex_);
    if (!is_cancelled_) {
      cancelled_ = std::move(cancelled);
      return;
    }
  }
  std::move(cancelled)();
}

void UnaryCall::OnCancel() {
  absl::AnyInvocable<void() &&> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    is_cancelled_ = true;
    cancelled = std::exchange(cancelled_, nullptr);
  }
  if (cancelled) std::move(cancelled)();
}

absl::StatusOr<absl::Time> DeadlineOf(const grpc::ServerContextBase& context,
                                      const google::protobuf::Duration* requested, absl::Duration fallback,
                                      absl::string_view field) {
  absl::Duration timeout = fallback;
  if (requested != nullptr) {
    timeout = absl::Seconds(requested->seconds()) + absl::Nanoseconds(requested->nanos());
    if (timeout <= absl::ZeroDuration() || timeout > absl::Hours(1)) {
      return absl::InvalidArgumentError(absl::StrCat(field, " must be more than 0 and at most 1 h"));
    }
  }
  return MonotonicNow() + std::min(timeout, TimeLeft(context));
}

}  // namespace actioncluster
