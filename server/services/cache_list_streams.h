#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_LIST_STREAMS_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_LIST_STREAMS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/cache_scan.h"
#include "server/services/cache_walk.h"
#include "server/services/found_stream.h"

namespace actioncluster {

// The server's side of one ListKeys.
class KeyStream final : public FoundStream<v1::ListKeysResponse> {
 public:
  KeyStream(Loop& loop, Offload& offload, CacheScan& scan, std::string prefix)
      : FoundStream(loop, offload), scan_(scan), prefix_(std::move(prefix)) {}

 private:
  void Find() override;
  bool Make(v1::ListKeysResponse* frame, bool* more) override;

  CacheScan& scan_;
  const std::string prefix_;
  std::optional<CacheWalk> walk_;
  std::vector<std::string> keys_;  // Of one step of the walk, for one frame.
};

// The server's side of one ListLocks.
class LockStream final : public FoundStream<v1::ListLocksResponse> {
 public:
  LockStream(Loop& loop, Offload& offload, CacheScan& scan, std::string prefix)
      : FoundStream(loop, offload), scan_(scan), prefix_(std::move(prefix)) {}

 private:
  void Find() override;
  void Read(std::vector<std::string> keys);
  bool Make(v1::ListLocksResponse* frame, bool* more) override;

  CacheScan& scan_;
  const std::string prefix_;
  std::optional<CacheWalk> walk_;
  std::vector<std::pair<std::string, HeldLock>> locks_;
  size_t next_ = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_LIST_STREAMS_H_
