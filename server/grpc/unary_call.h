#ifndef ACTIONCLUSTER_SERVER_GRPC_UNARY_CALL_H_
#define ACTIONCLUSTER_SERVER_GRPC_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace actioncluster {

// One unary call on the server: finished exactly once, with a status of ours. It deletes itself when gRPC is done with it, which is neither before
// Finish nor before the handler has returned: until then the pointer is good. Any thread.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  static UnaryCall* Start() { return new UnaryCall(); }

  // Once. Returns the reactor, so that a handler that fails early can `return call->Finish(status)`.
  //
  // CANCELLED without headers before it means to clients that nothing was begun: so gRPC ends what comes as the server stops, and service_config.json has that repeated. So here headers go first.
  grpc::ServerUnaryReactor* Finish(const absl::Status& status);

  grpc::ServerUnaryReactor* reactor() { return this; }

  // Runs `cancelled` when the client gives up or its deadline passes before Finish; at once if it has. On one of gRPC's threads, at most once.
  void OnCancelled(absl::AnyInvocable<void() &&> cancelled) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  UnaryCall() = default;
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnSendInitialMetadataDone(bool ok) override;
  void OnDone() override { delete this; }

  grpc::Status ended_;  // Once the headers are sent.

  absl::Mutex mutex_;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::AnyInvocable<void() &&> cancelled_ ABSL_GUARDED_BY(mutex_);
};

// How long a request may take: `requested` if it is set, else `fallback`; and no longer than the client's own deadline lasts. INVALID_ARGUMENT unless
// requested is more than 0 and at most one hour; `field` names it in the message. Given as a monotonic instant.
absl::StatusOr<absl::Time> DeadlineOf(const grpc::ServerContextBase& context,
                                      const google::protobuf::Duration* requested, absl::Duration fallback,
                                      absl::string_view field);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_UNARY_CALL_H_
