#include <algorithm>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "server/grpc/time_left.h"
#include "server/services/cache_operations.h"
#include "server/services/cache_service.h"
#include "server/services/cache_unary.h"

namespace actioncluster {
namespace {

// What an answer takes to reach the client, generously.
constexpr absl::Duration kAnswerTakes = absl::Milliseconds(100);

}  // namespace

absl::Status CacheService::Admit(absl::string_view rpc, const grpc::CallbackServerContext& context) const {
  return rooms_.authorizer.Admit(absl::StrCat("/actioncluster.v1.CacheService/", rpc), context);
}

absl::Time CacheWaitEnd(const grpc::ServerContextBase& context, absl::Duration wait) {
  if (wait <= absl::ZeroDuration()) return absl::InfinitePast();
  const absl::Duration left = TimeLeft(context);
  // Of a wait that is short itself, a part.
  return MonotonicNow() + std::min(wait, left - std::min(kAnswerTakes, left / 4));
}

grpc::ServerUnaryReactor* CacheService::Save(grpc::CallbackServerContext* context, const v1::SaveRequest* request,
                                             v1::SaveResponse* response) {
  return Run<cache_operations::Save>("Save", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::Load(grpc::CallbackServerContext* context, const v1::LoadRequest* request,
                                             v1::LoadResponse* response) {
  return Run<cache_operations::Load>("Load", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::Destroy(grpc::CallbackServerContext* context, const v1::DestroyRequest* request,
                                                v1::DestroyResponse* response) {
  return Run<cache_operations::Destroy>("Destroy", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::CompareAndSave(grpc::CallbackServerContext* context,
                                                       const v1::CompareAndSaveRequest* request,
                                                       v1::CompareAndSaveResponse* response) {
  return Run<cache_operations::CompareAndSave>("CompareAndSave", *context, *request, response);
}

grpc::ServerUnaryReactor* CacheService::Increment(grpc::CallbackServerContext* context,
                                                  const v1::IncrementRequest* request,
                                                  v1::IncrementResponse* response) {
  return Run<cache_operations::Increment>("Increment", *context, *request, response);
}

}  // namespace actioncluster
