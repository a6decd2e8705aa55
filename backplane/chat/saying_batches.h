#ifndef ACTIONCLUSTER_BACKPLANE_CHAT_SAYING_BATCHES_H_
#define ACTIONCLUSTER_BACKPLANE_CHAT_SAYING_BATCHES_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backplane/chat/room_store.h"

namespace actioncluster {

// Puts what many say in a room into few scripts: what comes while a batch of the room is under way waits for its end, and goes together. Who is alone waits for nobody, and all leave in the
// order in which they came.
//
// Does no I/O. Confined to the I/O thread; callbacks run inside the sender's.
class SayingBatches {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<RoomSaid>) &&>;
  // What became of each.
  using AllDone = absl::AnyInvocable<void(std::vector<absl::StatusOr<RoomSaid>>) &&>;
  // Sends a batch. `done` hears not inside the call.
  using Sender = absl::AnyInvocable<void(const std::string& room, std::vector<RoomSaying> sayings, AllDone done)>;

  // A batch has at most so much, unless one alone is more.
  static constexpr size_t kMaxSayings = 256;
  static constexpr size_t kMaxBytes = size_t{1024} * 1024;
  // So much may wait in a room.
  static constexpr size_t kMaxWaiting = 10'000;
  static constexpr size_t kMaxWaitingBytes = size_t{16} * 1024 * 1024;

  explicit SayingBatches(Sender send) : send_(std::move(send)) {}
  // Who waits for the next batch hears BACKPLANE_UNAVAILABLE; who is in one, what the sender says.
  ~SayingBatches();

  // Whether one more may be added: OK, or LIMIT_EXCEEDED.
  absl::Status HasRoomFor(const std::string& room, const RoomSaying& saying) const;
  void Add(const std::string& room, RoomSaying saying, Done done);

 private:
  struct Waiting {
    RoomSaying saying;
    Done done;
  };
  struct Line {
    std::deque<Waiting> waiting;
    size_t bytes = 0;
  };

  void SendNext(const std::string& room);

  Sender send_;
  // Of each room that has a batch under way: who waits for the next.
  absl::flat_hash_map<std::string, Line> lines_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CHAT_SAYING_BATCHES_H_
