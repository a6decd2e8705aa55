#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backplane/cache/cache_scan.h"
#include "server/services/cache_dump_stream.h"
#include "server/services/cache_list_streams.h"
#include "server/services/cache_service.h"
#include "server/services/cache_walk.h"
#include "server/services/caller.h"
#include "server/services/restore_stream.h"

namespace actioncluster {
namespace {

// Walks over all keys of one kind for a unary call, page by page, as long as the call's caller is there. Confined to the I/O thread.
class Tour : public std::enable_shared_from_this<Tour> {
 public:
  // Does something with keys, of which there is at least one, and then goes on.
  using Visit = absl::AnyInvocable<void(std::vector<std::string> keys, absl::AnyInvocable<void(absl::Status) &&> next)>;
  // Once: OK, what Redis said, or CANCELLED: the caller is gone.
  using Done = absl::AnyInvocable<void(const absl::Status&) &&>;

  static void Start(Loop& loop, CacheScan& scan, CacheKind kind, const std::string& prefix, Caller caller, Visit visit,
                    Done done) {
    const std::shared_ptr<Tour> tour(
        new Tour(loop, scan, kind, prefix, std::move(caller), std::move(visit), std::move(done)));
    tour->Continue();
  }

 private:
  Tour(Loop& loop, CacheScan& scan, CacheKind kind, const std::string& prefix, Caller caller, Visit visit, Done done)
      : walk_(loop, scan, kind, prefix, CacheWalk::kVisits),
        caller_(std::move(caller)),
        visit_(std::move(visit)),
        done_(std::move(done)) {}

  void Continue() {
    if (caller_.gone()) return std::move(done_)(Caller::Gone());
    if (walk_.done()) return std::move(done_)(absl::OkStatus());
    walk_.Next([self = shared_from_this()](absl::StatusOr<std::vector<std::string>> keys) {
      if (!keys.ok()) return std::move(self->done_)(keys.status());
      if (keys->empty()) return self->Continue();
      self->visit_(*std::move(keys), [self](const absl::Status& visited) {
        if (!visited.ok()) return std::move(self->done_)(visited);
        self->Continue();
      });
    });
  }

  CacheWalk walk_;
  const Caller caller_;
  Visit visit_;
  Done done_;
};

// Removes everything of a kind; `removed` hears how many, bit by bit.
void ClearKind(Loop& loop, CacheScan& scan, CacheKind kind, const std::string& prefix, const Caller& caller,
               std::function<void(int64_t)> removed, Tour::Done done) {
  Tour::Start(
      loop, scan, kind, prefix, caller,
      [&scan, kind, removed = std::move(removed)](const std::vector<std::string>& keys,
                                                  absl::AnyInvocable<void(absl::Status) &&> next) {
        scan.Remove(kind, keys, [removed, next = std::move(next)](const absl::StatusOr<int64_t>& were_there) mutable {
          if (were_there.ok()) removed(*were_there);
          std::move(next)(were_there.status());
        });
      },
      std::move(done));
}

// One Clear: one walk after the other. Confined to the I/O thread.
class ClearFlow : public std::enable_shared_from_this<ClearFlow> {
 public:
  ClearFlow(Loop& loop, CacheScan& scan, std::string prefix, UnaryCall* call, v1::ClearResponse* response)
      : loop_(loop), scan_(scan), prefix_(std::move(prefix)), call_(call), caller_(call), response_(response) {}

  void Start() {
    const std::shared_ptr<ClearFlow> self = shared_from_this();
    // Restores first: one that was cut must not go on behind what is removed here.
    Walk(
        CacheKind::kRestore, "", [self](int64_t removed) { self->restores_ += removed; }, [self] { self->Values(); });
  }

 private:
  void Values() {
    const std::shared_ptr<ClearFlow> self = shared_from_this();
    const auto removed = [self](int64_t more) { self->response_->set_values(self->response_->values() + more); };
    Walk(CacheKind::kValue, prefix_, removed, [self] { self->Lists(); });
  }
  void Lists() {
    const std::shared_ptr<ClearFlow> self = shared_from_this();
    const auto removed = [self](int64_t more) { self->response_->set_lists(self->response_->lists() + more); };
    Walk(CacheKind::kList, prefix_, removed, [self] { self->Staged(); });
  }
  // What the restores have left: nobody needs it any more.
  void Staged() {
    if (restores_ == 0) return Restores();
    Walk(
        CacheKind::kStaged, "", [](int64_t) {}, [self = shared_from_this()] { self->Restores(); });
  }
  // Those too that began meanwhile: what they wrote may be gone.
  void Restores() {
    Walk(
        CacheKind::kRestore, "", [](int64_t) {}, [call = call_] { call->Finish(absl::OkStatus()); });
  }

  void Walk(CacheKind kind, const std::string& prefix, std::function<void(int64_t)> removed,
            std::function<void()> then) {
    ClearKind(loop_, scan_, kind, prefix, caller_, std::move(removed),
              [call = call_, then = std::move(then)](const absl::Status& status) {
                if (!status.ok()) return (void)call->Finish(status);
                then();
              });
  }

  Loop& loop_;
  CacheScan& scan_;
  const std::string prefix_;
  UnaryCall* const call_;
  const Caller caller_;
  v1::ClearResponse* const response_;
  int64_t restores_ = 0;  // That there were at first.
};

}  // namespace

grpc::ServerWriteReactor<v1::ListKeysResponse>* CacheService::ListKeys(grpc::CallbackServerContext* context,
                                                                       const v1::ListKeysRequest* request) {
  return KeyStream::Begin(std::make_shared<KeyStream>(rooms_.loop, rooms_.offload, rooms_.scan, request->prefix()),
                          Admit("ListKeys", *context));
}

grpc::ServerWriteReactor<v1::ListLocksResponse>* CacheService::ListLocks(grpc::CallbackServerContext* context,
                                                                         const v1::ListLocksRequest* request) {
  return LockStream::Begin(std::make_shared<LockStream>(rooms_.loop, rooms_.offload, rooms_.scan, request->prefix()),
                           Admit("ListLocks", *context));
}

grpc::ServerUnaryReactor* CacheService::Size(grpc::CallbackServerContext* context, const v1::SizeRequest* request,
                                             v1::SizeResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Size", *context); !admitted.ok()) return call->Finish(admitted);
  rooms_.loop.Post([this, call, response, prefix = request->prefix(), caller = Caller(call)] {
    Tour::Start(
        rooms_.loop, rooms_.scan, CacheKind::kValue, prefix, caller,
        [response](const std::vector<std::string>& keys, absl::AnyInvocable<void(absl::Status) &&> next) {
          response->set_size(response->size() + static_cast<int64_t>(keys.size()));
          std::move(next)(absl::OkStatus());
        },
        [call](const absl::Status& status) { call->Finish(status); });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* CacheService::Clear(grpc::CallbackServerContext* context, const v1::ClearRequest* request,
                                              v1::ClearResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Clear", *context); !admitted.ok()) return call->Finish(admitted);
  const auto flow = std::make_shared<ClearFlow>(rooms_.loop, rooms_.scan, request->prefix(), call, response);
  rooms_.loop.Post([flow] { flow->Start(); });
  return call->reactor();
}

grpc::ServerWriteReactor<v1::DumpResponse>* CacheService::Dump(grpc::CallbackServerContext* context,
                                                               const v1::DumpRequest* request) {
  return DumpStream::Begin(std::make_shared<DumpStream>(rooms_.loop, rooms_.offload, rooms_.scan, request->prefix()),
                           Admit("Dump", *context));
}

grpc::ServerReadReactor<v1::RestoreRequest>* CacheService::Restore(grpc::CallbackServerContext* context,
                                                                   v1::RestoreResponse* response) {
  return RestoreStream::Start(
      {.loop = rooms_.loop, .restorer = rooms_.restorer, .offload = rooms_.offload, .disk = restore_disk_}, limits_,
      response, Admit("Restore", *context));
}

}  // namespace actioncluster
