#ifndef ACTIONCLUSTER_CLIENT_CLI_CACHE_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_CACHE_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actioncluster/v1/cache.pb.h"
#include "client/cli/command.h"
#include "client/cli/content.h"

namespace actioncluster::cli {

// The most that any node keeps in a value.
inline constexpr size_t kMaxCacheValueBytes = size_t{64} * 1024 * 1024;

// What subcommands say of a key. Each takes some of it.
struct CacheOptions {
  std::string key = "";
  ContentOptions content = {.most = kMaxCacheValueBytes};
  std::string expire_after = "";
  std::string holder = "";
  int64_t token = 0;
  std::string wait = "";
  std::optional<int64_t> version = std::nullopt;
  int64_t by = 1;
  bool track_reads = false;
  bool near = false;
  bool raw = false;
};

// The requests of these options. INVALID_ARGUMENT: an option's value makes no sense, or the content is no JSON; RESOURCE_EXHAUSTED: it is larger than any value. What only the
// node knows to be wrong is the node's to say.
absl::StatusOr<v1::LoadRequest> MakeLoad(const CacheOptions& options);
absl::StatusOr<v1::SaveRequest> MakeSave(const CacheOptions& options);
absl::StatusOr<v1::CompareAndSaveRequest> MakeCompareAndSave(const CacheOptions& options);
absl::StatusOr<v1::IncrementRequest> MakeIncrement(const CacheOptions& options);
absl::StatusOr<v1::LockRequest> MakeLock(const CacheOptions& options);
absl::StatusOr<v1::PushRequest> MakePush(const CacheOptions& options);
absl::StatusOr<v1::PopRequest> MakePop(const CacheOptions& options);

// cache get, set, delete, increment; lock, unlock, check-lock; push, pop, length.
void AddCacheCommands(CommandTree& tree, CLI::App* cache);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CACHE_COMMANDS_H_
