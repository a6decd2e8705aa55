#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "backplane/cache/cache_restorer.h"
#include "backplane/cache/cache_scan.h"
#include "backplane/cache/near_cache.h"
#include "backplane/cache/shared_cache.h"
#include "backplane/redis/loop.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/grpc/unary_call.h"
#include "server/services/cache_pipeline_stream.h"
#include "server/services/cache_proto.h"
#include "server/services/cache_waits.h"
#include "server/services/restore_spool.h"

namespace actioncluster {

// CacheService of the public API: validates, converts, delegates. Its implementation is in one file for each theme: cache_service_*.cc. One instance may be registered with several servers.
// Any thread.
class CacheService final : public v1::CacheService::CallbackService {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    SharedCache& cache;
    CacheScan& scan;
    CacheRestorer& restorer;
    NearCache* near;  // Null: the node keeps nothing in its own memory.
    CachePipelines& pipelines;
    CacheWaits& waits;
    const Authorizer& authorizer;
    Offload& offload;
    std::string restore_dir;  // Where what is restored lies until it is complete; a directory that is there.
  };

  CacheService(Rooms rooms, CacheLimits limits)
      : rooms_(std::move(rooms)), limits_(limits), restore_disk_(rooms_.restore_dir, limits_.restore_bytes) {}

  // cache_service_values.cc
  grpc::ServerUnaryReactor* Save(grpc::CallbackServerContext* context, const v1::SaveRequest* request,
                                 v1::SaveResponse* response) override;
  grpc::ServerUnaryReactor* Load(grpc::CallbackServerContext* context, const v1::LoadRequest* request,
                                 v1::LoadResponse* response) override;
  grpc::ServerUnaryReactor* Destroy(grpc::CallbackServerContext* context, const v1::DestroyRequest* request,
                                    v1::DestroyResponse* response) override;
  grpc::ServerUnaryReactor* CompareAndSave(grpc::CallbackServerContext* context,
                                           const v1::CompareAndSaveRequest* request,
                                           v1::CompareAndSaveResponse* response) override;
  grpc::ServerUnaryReactor* Increment(grpc::CallbackServerContext* context, const v1::IncrementRequest* request,
                                      v1::IncrementResponse* response) override;

  // cache_service_many.cc
  grpc::ServerUnaryReactor* SaveMany(grpc::CallbackServerContext* context, const v1::SaveManyRequest* request,
                                     v1::SaveManyResponse* response) override;
  grpc::ServerUnaryReactor* LoadMany(grpc::CallbackServerContext* context, const v1::LoadManyRequest* request,
                                     v1::LoadManyResponse* response) override;
  grpc::ServerUnaryReactor* DestroyMany(grpc::CallbackServerContext* context, const v1::DestroyManyRequest* request,
                                        v1::DestroyManyResponse* response) override;
  grpc::ServerBidiReactor<v1::PipelineRequest, v1::PipelineResponse>* Pipeline(
      grpc::CallbackServerContext* context) override;

  // cache_service_locks.cc
  grpc::ServerUnaryReactor* Lock(grpc::CallbackServerContext* context, const v1::LockRequest* request,
                                 v1::LockResponse* response) override;
  grpc::ServerUnaryReactor* Unlock(grpc::CallbackServerContext* context, const v1::UnlockRequest* request,
                                   v1::UnlockResponse* response) override;
  grpc::ServerUnaryReactor* CheckLock(grpc::CallbackServerContext* context, const v1::CheckLockRequest* request,
                                      v1::CheckLockResponse* response) override;

  // cache_service_lists.cc
  grpc::ServerUnaryReactor* Push(grpc::CallbackServerContext* context, const v1::PushRequest* request,
                                 v1::PushResponse* response) override;
  grpc::ServerUnaryReactor* Pop(grpc::CallbackServerContext* context, const v1::PopRequest* request,
                                v1::PopResponse* response) override;
  grpc::ServerUnaryReactor* ListLength(grpc::CallbackServerContext* context, const v1::ListLengthRequest* request,
                                       v1::ListLengthResponse* response) override;

  // cache_service_scans.cc
  grpc::ServerWriteReactor<v1::ListKeysResponse>* ListKeys(grpc::CallbackServerContext* context,
                                                           const v1::ListKeysRequest* request) override;
  grpc::ServerWriteReactor<v1::ListLocksResponse>* ListLocks(grpc::CallbackServerContext* context,
                                                             const v1::ListLocksRequest* request) override;
  grpc::ServerUnaryReactor* Size(grpc::CallbackServerContext* context, const v1::SizeRequest* request,
                                 v1::SizeResponse* response) override;
  grpc::ServerUnaryReactor* Clear(grpc::CallbackServerContext* context, const v1::ClearRequest* request,
                                  v1::ClearResponse* response) override;
  grpc::ServerWriteReactor<v1::DumpResponse>* Dump(grpc::CallbackServerContext* context,
                                                   const v1::DumpRequest* request) override;
  grpc::ServerReadReactor<v1::RestoreRequest>* Restore(grpc::CallbackServerContext* context,
                                                       v1::RestoreResponse* response) override;

 private:
  // `rpc` without the service's name.
  absl::Status Admit(absl::string_view rpc, const grpc::CallbackServerContext& context) const;

  // One of cache_operations.h, as a call of its own (cache_unary.h).
  template <class Operation>
  grpc::ServerUnaryReactor* Run(absl::string_view rpc, const grpc::CallbackServerContext& context,
                                const typename Operation::Request& request, typename Operation::Response* response);

  const Rooms rooms_;
  const CacheLimits limits_;
  RestoreDisk restore_disk_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_SERVICE_H_
