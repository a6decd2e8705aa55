#include "server/services/cache_operations.h"
#include "server/services/cache_service.h"
#include "server/services/cache_unary.h"

namespace actioncluster {

grpc::ServerUnaryReactor* CacheService::Lock(grpc::CallbackServerContext* context, const v1::LockRequest* request,
                                             v1::LockResponse* response) {
  return Run<cache_operations::Lock>("Lock", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::Unlock(grpc::CallbackServerContext* context, const v1::UnlockRequest* request,
                                               v1::UnlockResponse* response) {
  return Run<cache_operations::Unlock>("Unlock", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::CheckLock(grpc::CallbackServerContext* context,
                                                  const v1::CheckLockRequest* request,
                                                  v1::CheckLockResponse* response) {
  return Run<cache_operations::CheckLock>("CheckLock", *context, *request, response);
}

}  // namespace actioncluster
