#ifndef ACTIONCLUSTER_TESTS_BENCH_CACHE_LOAD_H_
#define ACTIONCLUSTER_TESTS_BENCH_CACHE_LOAD_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "tests/bench/closed_loop.h"

namespace actioncluster::bench {

// What operations touch: keys `bench-0` …, with values of 100 bytes; one after the other.
class CacheKeys {
 public:
  static constexpr int kKeys = 1000;
  static constexpr size_t kValueBytes = 100;

  static std::string Name(uint64_t number);
  static std::string Value() { return std::string(kValueBytes, 'v'); }
  // Saves all of them.
  static void Fill(v1::CacheService::Stub& stub);
};

// Each is one unary call, of the next key. The stub outlives the operation.
Operation LoadCall(v1::CacheService::Stub& stub, bool allow_near = false);
// As LoadCall, but notes the read: what a plain one does not.
Operation TrackedLoadCall(v1::CacheService::Stub& stub);
Operation SaveCall(v1::CacheService::Stub& stub);
Operation IncrementCall(v1::CacheService::Stub& stub);
Operation LoadManyCall(v1::CacheService::Stub& stub, int keys);
// Lock, and Unlock when that is acquired: each operation has a key of its own.
Operation LockAndUnlock(v1::CacheService::Stub& stub);
// Push at one node; Pop at another when that has been done: an item at least is there.
Operation PushAndPop(v1::CacheService::Stub& push, v1::CacheService::Stub& pop);
// Pop that waits at one node, and then Push at the other: until the item has come.
Operation WaitAndPush(v1::CacheService::Stub& push, v1::CacheService::Stub& pop);

// A stream of CacheService.Pipeline; an operation is a frame of so many Loads. Thread-safe.
class LoadFrames {
 public:
  // The stub outlives this.
  explicit LoadFrames(v1::CacheService::Stub& stub);
  ~LoadFrames();
  LoadFrames(const LoadFrames&) = delete;
  LoadFrames& operator=(const LoadFrames&) = delete;

  // While this lives.
  Operation operation(int loads);

 private:
  class Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_CACHE_LOAD_H_
