#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_UNARY_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_UNARY_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/grpc/offload.h"
#include "server/grpc/unary_call.h"
#include "server/services/cache_operations.h"
#include "server/services/cache_service.h"
#include "server/services/cache_waits.h"
#include "server/services/caller.h"

// How the unary rpcs of the cache run an operation: for cache_service_*.cc.
namespace actioncluster {

// Makes the answer of what an operation came to, off the I/O thread if it is large, and finishes the call. Any thread.
template <class Operation>
void AnswerCacheCall(Offload& offload, UnaryCall* call, typename Operation::Response* response,
                     absl::StatusOr<typename Operation::Outcome> outcome) {
  if (!outcome.ok()) {
    call->Finish(outcome.status());
    return;
  }
  const size_t bytes = Operation::SizeOf(*outcome);
  offload.Run(bytes, [call, response, outcome = *std::move(outcome)]() mutable {
    Operation::Set(std::move(outcome), response);
    call->Finish(absl::OkStatus());
  });
}

// A call that waits: it ends by its outcome, by its caller's going away, or with the node, whichever is first. Confined to the I/O thread.
template <class Operation>
class CacheWaitFlow : public std::enable_shared_from_this<CacheWaitFlow<Operation>> {
 public:
  static void Start(const CacheService::Rooms& rooms, UnaryCall* call, typename Operation::Response* response,
                    const Operation& operation, absl::Time until) {
    std::shared_ptr<CacheWaitFlow> flow(new CacheWaitFlow(rooms, call, response));
    flow->id_ = operation.Start(
        {.cache = rooms.cache, .near = rooms.near}, until, [flow](absl::StatusOr<typename Operation::Outcome> outcome) {
          if (UnaryCall* waiting = flow->Take()) {
            AnswerCacheCall<Operation>(flow->rooms_.offload, waiting, flow->response_, std::move(outcome));
          }
        });
    if (flow->id_ == 0) return;  // It does not wait.
    const std::weak_ptr<CacheWaitFlow> weak = flow;
    call->OnCancelled([&loop = rooms.loop, weak] {
      loop.Post([weak] {
        if (const auto self = weak.lock()) self->End(Caller::Gone());
      });
    });
    flow->wait_ = rooms.waits.Add([weak](const absl::Status& why) {
      if (const auto self = weak.lock()) self->End(why);
    });
  }

 private:
  CacheWaitFlow(const CacheService::Rooms& rooms, UnaryCall* call, typename Operation::Response* response)
      : rooms_(rooms), call_(call), response_(response) {}

  void End(const absl::Status& why) {
    UnaryCall* call = Take();
    if (call == nullptr) return;
    rooms_.cache.Cancel(id_);  // Drops the callback, which holds this; whoever calls End holds it too.
    call->Finish(why);
  }

  // Null: the call has been finished.
  UnaryCall* Take() {
    rooms_.waits.Remove(wait_);
    return std::exchange(call_, nullptr);
  }

  const CacheService::Rooms& rooms_;
  UnaryCall* call_;
  typename Operation::Response* const response_;
  SharedCache::CallId id_ = 0;
  CacheWaits::Id wait_ = 0;
};

// Until when a caller waits that is ready to wait for so long: the answer shall be there before its deadline. Monotonic.
absl::Time CacheWaitEnd(const grpc::ServerContextBase& context, absl::Duration wait);

template <class Operation>
grpc::ServerUnaryReactor* CacheService::Run(absl::string_view rpc, const grpc::CallbackServerContext& context,
                                            const typename Operation::Request& request,
                                            typename Operation::Response* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit(rpc, context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<Operation> operation = Operation::Of(request, limits_);
  if (!operation.ok()) return call->Finish(operation.status());
  if constexpr (requires { operation->FindNear(rooms_.near); }) {
    if (auto found = operation->FindNear(rooms_.near)) {
      Operation::Set(*std::move(found), response);
      return call->Finish(absl::OkStatus());
    }
  }
  const absl::Time until = CacheWaitEnd(context, operation->wait);
  rooms_.loop.Post([this, call, response, until, operation = *std::move(operation)] {
    if (operation.wait > absl::ZeroDuration()) {
      CacheWaitFlow<Operation>::Start(rooms_, call, response, operation, until);
      return;
    }
    operation.Start({.cache = rooms_.cache, .near = rooms_.near}, until,
                    [this, call, response](absl::StatusOr<typename Operation::Outcome> outcome) {
                      AnswerCacheCall<Operation>(rooms_.offload, call, response, std::move(outcome));
                    });
  });
  return call->reactor();
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_UNARY_H_
