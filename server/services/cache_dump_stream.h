#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_DUMP_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_DUMP_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/cache_scan.h"
#include "server/services/cache_walk.h"
#include "server/services/found_stream.h"

namespace actioncluster {

// The server's side of one Dump: all values, then all lists. At any time it keeps the keys of one step of the walk, and of what they name either some small values, one large value, or one
// part of a list: about 2 MiB, or the largest value there is.
class DumpStream final : public FoundStream<v1::DumpResponse> {
 public:
  DumpStream(Loop& loop, Offload& offload, CacheScan& scan, std::string prefix)
      : FoundStream(loop, offload), scan_(scan), prefix_(std::move(prefix)) {}

 private:
  struct Part {
    int64_t offset = 0;
    bool last = false;
    std::vector<CacheContent> items;
  };
  struct Entry {
    std::string key;
    std::variant<CacheEntry, Part> what;
  };

  // I/O thread.
  void Find() override;
  void Walk();
  void FindSmallValues();
  void FindLargeValue();
  void FindPart();
  void Add(std::string key, CacheEntry entry);
  void FoundItems(CacheScan::Items items);

  bool Make(v1::DumpResponse* frame, bool* more) override;

  CacheScan& scan_;
  const std::string prefix_;
  CacheKind kind_ = CacheKind::kValue;
  std::optional<CacheWalk> walk_;

  std::deque<std::string> keys_;   // Of the last step: their values or lists are to be read.
  std::deque<std::string> large_;  // Their values are large.
  std::optional<std::string> list_;
  int64_t offset_ = 0;  // In the list.
  int64_t count_ = 0;   // How many of its items to read next.
  int64_t until_ = 0;   // How many it had at first: what is pushed meanwhile is not followed.

  std::vector<Entry> found_;
  size_t found_bytes_ = 0;
  size_t next_ = 0;
  int64_t entries_ = 0;  // Found so far.
  bool ended_ = false;   // Only the last frame is missing.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_DUMP_STREAM_H_
