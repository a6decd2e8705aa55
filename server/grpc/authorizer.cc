#include "server/grpc/authorizer.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "backplane/domain/error.h"
#include "backplane/domain/sha256.h"

namespace actioncluster {
namespace {

enum class Need { kNothing, kToken };

struct Rule {
  absl::string_view rpc;
  Need need;
};

// Health and reflection are served by gRPC itself, which asks nobody; they stand here to say that this is meant.
constexpr std::array kRules = {
    Rule{"/actioncluster.v1.RpcService/Call", Need::kToken},
    Rule{"/actioncluster.v1.RpcService/CallAll", Need::kToken},
    Rule{"/actioncluster.v1.RpcService/Notify", Need::kToken},
    Rule{"/actioncluster.v1.RpcService/Serve", Need::kToken},
    Rule{"/actioncluster.v1.RpcService/ListMethods", Need::kToken},
    Rule{"/actioncluster.v1.ClusterService/ListNodes", Need::kToken},
    Rule{"/actioncluster.v1.ClusterService/GetNode", Need::kToken},
    Rule{"/actioncluster.v1.ClusterService/WatchNodes", Need::kToken},
    Rule{"/actioncluster.v1.ClusterService/Drain", Need::kToken},
    Rule{"/actioncluster.v1.PubSubService/Publish", Need::kToken},
    Rule{"/actioncluster.v1.PubSubService/Subscribe", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Enqueue", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/EnqueueMany", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Work", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Await", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/WatchTask", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Get", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/List", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Count", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Delete", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/DeleteMany", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Cancel", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/ScheduleRecurring", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/StopRecurring", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/ListRecurring", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/ListFailed", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/RetryFailed", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/RemoveFailed", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/ListQueues", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/PauseQueue", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/ResumeQueue", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/DeleteQueue", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/SetQueueLimits", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/ListWorkers", Need::kToken},
    Rule{"/actioncluster.v1.TaskService/Stats", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Save", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Load", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Destroy", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/CompareAndSave", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Increment", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/SaveMany", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/LoadMany", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/DestroyMany", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Pipeline", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Lock", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Unlock", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/CheckLock", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/ListLocks", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Push", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Pop", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/ListLength", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/ListKeys", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Size", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Clear", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Dump", Need::kToken},
    Rule{"/actioncluster.v1.CacheService/Restore", Need::kToken},
    Rule{"/actioncluster.v1.ConnectionService/Open", Need::kToken},
    Rule{"/actioncluster.v1.ConnectionService/Apply", Need::kToken},
    Rule{"/actioncluster.v1.ConnectionService/Invoke", Need::kToken},
    Rule{"/actioncluster.v1.ConnectionService/Get", Need::kToken},
    Rule{"/actioncluster.v1.ConnectionService/List", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/Create", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/Destroy", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/Exists", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/List", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/Status", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/AddMember", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/RemoveMember", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/Broadcast", Need::kToken},
    Rule{"/actioncluster.v1.RoomService/WatchRoom", Need::kToken},
    Rule{"/grpc.health.v1.Health/Check", Need::kNothing},
    Rule{"/grpc.health.v1.Health/Watch", Need::kNothing},
    Rule{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Need::kNothing},
};

}  // namespace

Authorizer::Authorizer(absl::string_view api_token) : open_(api_token.empty()), digest_(Sha256(api_token)) {}

absl::Status Authorizer::Admit(absl::string_view rpc, const grpc::ServerContextBase& context) const {
  const auto rule = std::find_if(kRules.begin(), kRules.end(), [rpc](const Rule& r) { return r.rpc == rpc; });
  if (rule == kRules.end()) {
    return MakeError(v1::ERROR_REASON_UNAUTHENTICATED, absl::StrCat("nobody may call ", rpc));
  }
  if (open_ || rule->need == Need::kNothing) return absl::OkStatus();
  const auto header = context.client_metadata().find("authorization");
  if (header == context.client_metadata().end()) {
    return MakeError(v1::ERROR_REASON_UNAUTHENTICATED, "this node asks for an API token: authorization: Bearer TOKEN");
  }
  absl::string_view token(header->second.data(), header->second.size());
  if (!absl::StartsWithIgnoreCase(token, "bearer ")) {
    return MakeError(v1::ERROR_REASON_UNAUTHENTICATED, "the authorization is not of the form: Bearer TOKEN");
  }
  token.remove_prefix(7);
  if (!IsOurs(token)) return MakeError(v1::ERROR_REASON_UNAUTHENTICATED, "this API token is unknown here");
  return absl::OkStatus();
}

bool Authorizer::IsOurs(absl::string_view token) const {
  return CRYPTO_memcmp(Sha256(token).data(), digest_.data(), digest_.size()) == 0;
}

}  // namespace actioncluster
