#ifndef ACTIONCLUSTER_SERVER_SERVICES_CALLER_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CALLER_H_

#include <atomic>
#include <memory>

#include "absl/status/status.h"
#include "server/grpc/unary_call.h"

namespace actioncluster {

// Knows whether the caller of a unary call has given up, or its deadline has passed: what goes on step by step asks before each step, and stops. Copies are about the same
// call, and may outlive it. Any thread.
class Caller {
 public:
  // It takes the call's OnCancelled. Before the call is finished.
  explicit Caller(UnaryCall* call) {
    call->OnCancelled([gone = gone_] { gone->store(true, std::memory_order_relaxed); });
  }

  bool gone() const { return gone_->load(std::memory_order_relaxed); }
  // What to finish the call with then; nobody reads it.
  static absl::Status Gone() { return absl::CancelledError("the caller is gone"); }

 private:
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CALLER_H_
