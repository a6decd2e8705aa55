#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_STATE_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_STATE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "actioncluster/v1/connections.pb.h"
#include "backplane/presence/presence.h"
#include "backplane/rpc/local_methods.h"
#include "server/connections/client_stream.h"
#include "server/connections/connection_host.h"
#include "server/connections/room_frames.h"

// What ConnectionHost knows of a connection and of a room; for this folder only.
namespace actioncluster {

// Of a room's history, read at once; RoomStore limits the bytes.
inline constexpr int kHistoryPage = 256;

using Ended = absl::AnyInvocable<void(absl::Status) &&>;
using OutcomeDone = absl::AnyInvocable<void(Outcome) &&>;

// What was heard in a room and waits, within limits. Empty, it takes no memory elsewhere.
class Backlog {
 public:
  static constexpr size_t kMaxCount = 10'000;
  static constexpr size_t kMaxBytes = size_t{8} << 20;

  bool empty() const { return items_.empty(); }
  bool full(size_t max_count = kMaxCount, size_t max_bytes = kMaxBytes) const {
    return items_.size() >= max_count || bytes_ >= max_bytes;
  }
  const HeardPtr& front() const { return items_.front(); }
  void Push(HeardPtr heard) {
    bytes_ += heard->bytes;
    items_.push_back(std::move(heard));
  }
  void Pop() {
    bytes_ -= items_.front()->bytes;
    items_.pop_front();
  }
  std::list<HeardPtr> TakeAll() {
    bytes_ = 0;
    return std::exchange(items_, {});
  }

 private:
  std::list<HeardPtr> items_;
  size_t bytes_ = 0;
};

// A connection's place in a room.
struct Seat {
  int64_t joined_at_us = 0;
  bool gone = false;  // It is not in the room any more, or the connection is gone.
  // Its own joining was heard on the room's channel: nothing that was said before it comes behind it.
  bool heard = false;
  // What is said in the room is for it: from then on, or since it cannot be known any more when that was.
  bool hears = false;
  bool joined = false;       // Redis has it.
  Ended entered;             // Awaits the two before.
  uint64_t last_offset = 0;  // Of what it was sent; 0: nothing yet, or no history.
  // It is being sent what it missed; what is said meanwhile waits.
  bool catching_up = false;
  Backlog waiting;
  bool left_out = false;  // Something did not wait, as the history has it.
  // What waits for the hook `say.deliver`; the first of it is being asked about.
  Backlog asked;
};
using SeatPtr = std::shared_ptr<Seat>;

// A room that a connection has come back to.
struct Missed {
  SeatPtr seat;
  bool read = false;      // The history after the seat's last offset; otherwise it is not known what is missing.
  bool gap_told = false;  // The history has dropped some of it, and the welcome says so.
};

// A change to a connection, in its turn.
struct Step {
  absl::Time deadline;  // It does not begin after this. Monotonic.
  absl::AnyInvocable<void(Ended) &&> run;
  Ended done;
};

struct Client {
  enum class Phase {
    kClaiming,  // Redis is asked for its id.
    kEntering,  // It has the id, and is put into its rooms.
    kOpen,      // Its client was welcomed.
    kGone,
  };

  ConnectionHost::HostId host_id = 0;
  std::shared_ptr<ClientStream> stream;
  v1::OpenRequest::Hello hello;
  std::string remote_address;
  Phase phase = Phase::kClaiming;
  bool finished = false;  // Its stream ended while its id was being claimed: as Detach says.

  std::string id;
  ConnectionClaim claim;
  std::string resume_token;
  absl::Time connected_at;
  internal::v1::ConnectionState state;
  absl::btree_map<std::string, SeatPtr> seats;  // By room.
  // Rooms whose history is to be read for it, and how many of them it is being sent.
  std::list<std::pair<std::string, Missed>> behind;
  size_t catching_up = 0;
  uint64_t verbs_handled = 0;
  uint64_t messages_sent = 0;

  size_t waiting_bytes = 0;      // Of verbs among the steps.
  std::list<Step> steps;         // An empty list takes no memory elsewhere.
  std::optional<Ended> current;  // Of the step that has begun.
  uint64_t step_number = 0;
  bool stepping = false;

  std::map<std::string, OutcomeDone> invokes;  // By call id.
  uint64_t invoked = 0;
  size_t calls = 0;  // Of the verb `call`, that have not ended.

  // What a comeback needs is being written to Redis; those that wait for the write after it.
  bool storing = false;
  bool dirty = false;
  std::vector<Ended> stored;
};
using ClientPtr = std::shared_ptr<Client>;

// A room with members here.
struct LocalRoom {
  internal::v1::RoomRecord record;
  bool known = false;  // The record is.
  absl::flat_hash_map<ConnectionHost::HostId, std::pair<ClientPtr, SeatPtr>> members;
  uint64_t last_offset = 0;  // Of what was heard.
  // Something may have been missed: the history is read, and what is said meanwhile waits.
  bool catching_up = false;
  uint64_t interruptions = 0;  // What was asked of the history before the last of them does not count.
  Backlog waiting;
};

// What Redis has to be told of a connection that is gone from here.
struct Settlement {
  std::string id;
  ConnectionClaim claim;
  std::optional<absl::Duration> resume_window;  // Nothing: the claim is another's by now.
  internal::v1::RoomChange::Kind kind = internal::v1::RoomChange::KIND_UNSPECIFIED;
  std::vector<std::pair<std::string, internal::v1::RoomMemberRecord>> leaves;  // By room.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_STATE_H_
