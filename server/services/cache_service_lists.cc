#include "server/services/cache_operations.h"
#include "server/services/cache_service.h"
#include "server/services/cache_unary.h"

namespace actioncluster {

grpc::ServerUnaryReactor* CacheService::Push(grpc::CallbackServerContext* context, const v1::PushRequest* request,
                                             v1::PushResponse* response) {
  return Run<cache_operations::Push>("Push", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::Pop(grpc::CallbackServerContext* context, const v1::PopRequest* request,
                                            v1::PopResponse* response) {
  return Run<cache_operations::Pop>("Pop", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::ListLength(grpc::CallbackServerContext* context,
                                                   const v1::ListLengthRequest* request,
                                                   v1::ListLengthResponse* response) {
  return Run<cache_operations::ListLength>("ListLength", *context, *request, response);
}

}  // namespace actioncluster
