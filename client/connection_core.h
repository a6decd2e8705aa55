#ifndef ACTIONCLUSTER_CLIENT_CONNECTION_CORE_H_
#define ACTIONCLUSTER_CLIENT_CONNECTION_CORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/v1/connections.pb.h"

namespace actioncluster::client {

// What a connection remembers from one stream to the next: who it is, which rooms it is in, what it has heard there, and the verbs that are open.
//
// Does no I/O, reads no clock and runs no callback: those that are over it hands back, to be run without a lock. Not thread-safe.
class ConnectionCore {
 public:
  using Reply = v1::OpenResponse::Reply;
  using OnReply = absl::AnyInvocable<void(absl::StatusOr<Reply> reply) &&>;
  struct Over {
    OnReply on_reply;
    absl::StatusOr<Reply> reply;
  };

  static constexpr size_t kMaxOpen = 1024;

  // The hello of the first stream.
  explicit ConnectionCore(v1::OpenRequest::Hello hello) : hello_(std::move(hello)) {}

  // What a new stream begins with.
  v1::OpenRequest::Hello Hello() const;
  // A hello has left this machine, and nobody knows what became of it.
  void HelloLost() { hello_lost_ = true; }

  // What a welcome says besides that the connection stands.
  struct Arrival {
    std::vector<std::string> lost_rooms;  // It was in these, and is a new connection.
    std::vector<std::string> gaps;        // Rooms with messages that can't be had.
  };
  Arrival Welcome(const v1::OpenResponse::Welcome& welcome);
  // False: it was heard before.
  bool Hear(const v1::OpenResponse::Message& message);
  void Left(const std::string& room);
  // An unknown number of messages may be missing: the rooms where they can't be had. The others are to be resumed: are there any?
  std::vector<std::string> RoomsWithoutHistory() const;
  bool CanResume() const { return !offsets_.empty(); }
  // Whether this refusal of a hello is for good: CONNECTION_EXISTS, unless it may be a former hello of ours that has taken the id.
  bool IsFinal(const absl::Status& refusal) const;
  const std::string& id() const { return hello_.id(); }

  // Verbs. Each is over once. RESOURCE_EXHAUSTED, or what End was given: the callback stays the caller's.
  absl::StatusOr<uint64_t> Add(v1::OpenRequest::Verb verb, absl::Time deadline, OnReply& on_reply);
  // The next verb to be sent; from now on it may have been done.
  bool Fill(v1::OpenRequest* frame);
  // Nothing: nobody waits for it any more.
  std::optional<Over> Accept(Reply reply);
  // Takes out one that is still open, with the error of one that is overdue.
  std::optional<Over> Drop(uint64_t id);
  // The stream is gone: those that were sent are over.
  std::vector<Over> StreamLost();
  // Those that are overdue.
  std::vector<Over> Expire(absl::Time now);
  absl::Time next_deadline() const { return deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first; }
  // Those that come are over, with this error: the first counts.
  void Shut(const absl::Status& why) { ended_.Update(why); }
  // Likewise, and those that are open.
  std::vector<Over> End(const absl::Status& why);
  bool idle() const { return open_.empty(); }

 private:
  struct Open {
    v1::OpenRequest::Verb verb;  // Once it is sent, only what its reply may mean for our rooms.
    OnReply on_reply;
    bool sent = false;
    std::multimap<absl::Time, uint64_t>::iterator deadline;
  };

  Over Take(std::map<uint64_t, Open>::iterator open, absl::StatusOr<Reply> reply);
  // What a reply that is no error has changed.
  void Apply(const v1::OpenRequest::Verb& verb);

  v1::OpenRequest::Hello hello_;  // With the token, once there is one.
  bool hello_lost_ = false;
  std::set<std::string> rooms_;              // That it is in.
  std::map<std::string, uint64_t> offsets_;  // Of the last message heard, in rooms with a history.

  std::map<uint64_t, Open> open_;  // In the order of Add.
  uint64_t last_id_ = 0;
  uint64_t next_unsent_ = 1;
  std::multimap<absl::Time, uint64_t> deadlines_;
  absl::Status ended_;  // Not OK: by End.
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CONNECTION_CORE_H_
