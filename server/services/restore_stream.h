#ifndef ACTIONCLUSTER_SERVER_SERVICES_RESTORE_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_RESTORE_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/cache_restorer.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/services/cache_proto.h"
#include "server/services/restore_check.h"
#include "server/services/restore_spool.h"

namespace actioncluster {

// The server's side of one Restore: first all that comes is checked and laid down on disk; once it is complete it is written to Redis from there, batch by batch, and after each it is noted
// how far it is. In the middle of a list that is where the list begins.
//
// What it does, it does in turns: on gRPC's threads while it reads, then on the offload's (the disk) and the I/O thread (Redis), never two at a time. It owns itself until gRPC is done with it;
// what it refers to outlives it.
class RestoreStream final : public grpc::ServerReadReactor<v1::RestoreRequest>,
                            public std::enable_shared_from_this<RestoreStream> {
 public:
  struct Rooms {
    Loop& loop;
    CacheRestorer& restorer;
    Offload& offload;
    RestoreDisk& disk;
  };

  // Not `admitted`: the stream ends at once with that status.
  static grpc::ServerReadReactor<v1::RestoreRequest>* Start(const Rooms& rooms, const CacheLimits& limits,
                                                            v1::RestoreResponse* response,
                                                            const absl::Status& admitted);

 private:
  RestoreStream(const Rooms& rooms, const CacheLimits& limits, v1::RestoreResponse* response);

  // gRPC's threads.
  absl::Status Take();
  void OnReadDone(bool ok) override;
  void OnCancel() override { gone_.store(true, std::memory_order_relaxed); }
  void OnDone() override { self_.reset(); }

  // The offload's thread.
  void Prepare();
  void ReadBatch();
  absl::Status Parse(const std::vector<std::string>& texts);

  // I/O thread.
  void Begin(const std::string& what);
  void Continue();
  void WriteBatch();
  void Written(const std::vector<CacheRestorer::Outcome>& outcomes);
  absl::Status Count(const CacheRestorer::Entry& entry, CacheRestorer::Outcome outcome, int64_t index);
  void Note(void (RestoreStream::*then)());
  void Complete();

  // Once, from any of these.
  void End(const absl::Status& status);

  // Constant after construction.
  const Rooms rooms_;
  v1::RestoreResponse* const response_;

  v1::RestoreRequest frame_;  // Belongs to the read under way, then to OnReadDone.
  RestoreCheck check_;
  std::unique_ptr<RestoreSpool> spool_;

  CacheRestorer::Restore restore_;
  CacheRestorer::Standing standing_;
  absl::Time heard_;            // When that was asked for, monotonic.
  std::optional<Timer> pause_;  // Made and destroyed on the I/O thread.
  RestoreParser parser_;
  int64_t resumed_at_ = 0;                   // Entries before this were written by an earlier call.
  int64_t noted_ = 0;                        // So many are written: whoever goes on with it begins there.
  int64_t next_ = 0;                         // The entry that comes next in the spool.
  std::vector<CacheRestorer::Entry> batch_;  // Those before it, which are to be written.
  int64_t list_from_ = 0;                    // The entry with which the last list begins.
  bool in_list_ = false;                     // Its last part is still to come.
  bool list_kept_ = false;                   // There was one; what comes of its other parts says nothing.
  std::vector<std::string> finished_;        // Lists that were written, and that is not noted.

  std::atomic<bool> gone_ = false;
  std::shared_ptr<RestoreStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_RESTORE_STREAM_H_
