#include <cstdint>
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
      : walk_(loop, scan, kind, prefix), caller_(std::move(caller)), visit_(std::move(visit)), done_(std::move(done)) {}

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

// Removes everything of a kind; `removed` counts.
void ClearKind(Loop& loop, CacheScan& scan, CacheKind kind, const std::string& prefix, const Caller& caller,
               absl::AnyInvocable<void(int64_t)> removed, Tour::Done done) {
  const auto count = std::make_shared<absl::AnyInvocable<void(int64_t)>>(std::move(removed));
  Tour::Start(
      loop, scan, kind, prefix, caller,
      [&scan, kind, count](const std::vector<std::string>& keys, absl::AnyInvocable<void(absl::Status) &&> next) {
        scan.Remove(kind, keys, [count, next = std::move(next)](const absl::StatusOr<int64_t>& were_there) mutable {
          if (were_there.ok()) (*count)(*were_there);
          std::move(next)(were_there.status());
        });
      },
      std::move(done));
}

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
  rooms_.loop.Post([this, call, response, prefix = request->prefix(), caller = Caller(call)] {
    const auto clear = [this, caller](CacheKind kind, const std::string& of, absl::AnyInvocable<void(int64_t)> removed,
                                      Tour::Done done) {
      ClearKind(rooms_.loop, rooms_.scan, kind, of, caller, std::move(removed), std::move(done));
    };
    // Restores first: one that was cut must not go on behind what is removed here.
    clear(
        CacheKind::kRestore, "", [](int64_t) {},
        [clear, call, response, prefix](const absl::Status& restores) {
          if (!restores.ok()) return (void)call->Finish(restores);
          clear(
              CacheKind::kValue, prefix,
              [response](int64_t removed) { response->set_values(response->values() + removed); },
              [clear, call, response, prefix](const absl::Status& values) {
                if (!values.ok()) return (void)call->Finish(values);
                clear(
                    CacheKind::kList, prefix,
                    [response](int64_t removed) { response->set_lists(response->lists() + removed); },
                    [call](const absl::Status& lists) { call->Finish(lists); });
              });
        });
  });
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
