#ifndef ACTIONCLUSTER_SERVER_WORKERS_WORKER_TABLE_H_
#define ACTIONCLUSTER_SERVER_WORKERS_WORKER_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/domain/node_ref.h"
#include "backplane/tasks/task_store.h"
#include "server/workers/worker.h"

namespace actioncluster {

// The workers attached to this node, the leases that they hold, and what is to be said at which queue: turns, one at a time for each queue. What happens while a turn is
// under way goes into the next one; a turn whose answer was lost is sent again as it was.
//
// Workers that take the same names are a group. For each queue and group it is known whether there may be something: until a turn got less than it asked for, and again when
// Redis wakes the group. A worker's room is asked for at one queue at a time, the more urgent first, so it never has more tasks than places. A place is taken until the
// worker's outcome, also if the task was revoked before.
//
// A worker that is silent for a third of a lease gets nothing, and its leases are not renewed. When it speaks, they are: Redis says whether they still hold.
//
// Does no I/O and reads no clock; times are monotonic. Confined to the I/O thread.
class WorkerTable {
 public:
  using WorkerId = uint64_t;
  // How many tasks one turn asks for at most.
  static constexpr int kMostCredit = 256;
  // A group whose wait is as old as this says so again: Redis forgets it after a minute.
  static constexpr absl::Duration kAskAgain = absl::Seconds(20);
  // How long to wait before a lost turn is sent again; doubled each time, up to the most.
  static constexpr absl::Duration kFirstRetry = absl::Milliseconds(50);
  static constexpr absl::Duration kMostRetry = absl::Seconds(1);

  // `session`: random, one for each process. `lease`: for how long Redis gives and renews one.
  WorkerTable(std::string session, absl::Duration lease) : session_(std::move(session)), lease_(lease) {}

  // Whose name and boot go into turns from now on, and whether this node may take tasks.
  void SetNode(NodeRef self, bool serving);
  // `worker_id` names it in listings.
  WorkerId Attach(WorkerSpec spec, std::string worker_id, std::shared_ptr<Worker> stream, absl::Time now);
  // The worker lives.
  void Heard(WorkerId id, absl::Time now);
  // All of them are taken to live: this process was stopped, and has not heard them meanwhile.
  void HeardAll(absl::Time now);
  void Settle(WorkerId id, std::vector<WorkerOutcome> outcomes);
  // It takes no more; its stream is closed with OK when all that it had has ended and is recorded.
  void Stop(WorkerId id);
  // Its stream is gone. What it had and said nothing of is given back.
  void Detach(WorkerId id);

  // From now on nobody takes anything, and all workers are told, those that come later too.
  void Drain(std::vector<std::string> alternatives);
  // Ends every stream with this status; what the workers had is given back.
  void CloseAll(const absl::Status& why);

  // What Redis says without being asked.
  void OnWake(const std::string& queue, const std::vector<uint64_t>& groups);
  void OnRevoked(const LeaseRef& lease, bool cancelled);
  void OnAppeared(const std::string& queue);
  // All queues that there are, for workers that take all.
  void SetQueues(const std::vector<std::string>& names);
  bool wants_queues() const { return all_queues_ > 0 && !draining_; }
  // Anything may have happened meanwhile: every group may find something, and lost turns need not wait.
  void LookAgain(absl::Time now);

  struct OutgoingTurn {
    std::string queue;
    const TaskTurn* turn;  // Until the next call of anything.
  };
  // The turns that are to be sent now; each is answered by OnTurn or OnTurnLost.
  std::vector<OutgoingTurn> TakeTurns(absl::Time now);
  // `retry_at`: the result's, in monotonic time.
  void OnTurn(const std::string& queue, TaskTurnResult result, std::optional<absl::Time> retry_at, absl::Time now);
  void OnTurnLost(const std::string& queue, const absl::Status& why, absl::Time now);

  // Does what is due: attempts that take too long, renewals, what was put off. Turns may come of it.
  void Expire(absl::Time now);
  // When Expire and TakeTurns are to be called next, if nothing happens before.
  absl::Time next_due() const;

  size_t workers() const { return workers_.size(); }
  // Tasks that workers run, and outcomes that are not recorded yet.
  size_t running() const { return running_ + unsettled_; }
  // There is nothing to be handed in or told.
  bool idle() const { return unsettled_ == 0 && flights_ == 0 && due_.empty(); }
  // By worker id; times are monotonic.
  std::vector<WorkerView> List() const;

 private:
  struct Pending {
    WorkerId from;  // Who hears what becomes of it; 0: nobody.
    TaskOutcome outcome;
  };
  enum class LeaseState {
    kRunning,   // The worker has it.
    kRevoked,   // It has been told to stop; its place is taken until it has.
    kSettling,  // It has said what became of it; its place is free.
  };
  struct Lease {
    LeaseState state = LeaseState::kRunning;
    std::string name;
    absl::Time since;
    absl::Time renewed_at;  // When the turn that did it was made: Redis's lease ends later than a lease after that.
    absl::Time deadline;
    bool renewing = false;        // A renewal is on its way.
    Pending* progress = nullptr;  // Not in a turn yet.
  };
  struct Group {
    uint64_t id;
    std::vector<std::string> names;
    std::set<WorkerId> workers;  // That take something.
    int all_queues = 0;          // How many of them take all queues.
    std::string asked_last;      // Where they go on among all queues.
  };
  // Of a group at a queue.
  struct Interest {
    std::shared_ptr<Group> group;  // Null: a wake named one that is not there any more.
    int listed = 0;                // Workers that name this queue.
    bool ready = true;             // There may be something.
    bool woken = false;            // By Redis, and nothing was asked since.
    bool asking = false;           // The turn under way has a demand of it.
    bool waiting = false;          // Redis knows that it waits.
    absl::Time asked_at = absl::InfinitePast();
  };
  struct Share {
    WorkerId worker;
    int places;
  };
  struct Flight {
    TaskTurn turn;
    absl::Time made_at;
    std::vector<WorkerId> settles;           // As the outcomes.
    std::vector<WorkerId> renews;            // As the renewals.
    std::vector<std::vector<Share>> shares;  // As the demands.
    std::vector<LeaseRef> revoked;           // Before it was known who has them.
    bool lost = false;
    absl::Duration backoff = kFirstRetry;
  };
  struct Queue {
    bool known = false;  // Redis has it; kept for workers that take all.
    std::map<uint64_t, Interest> interests;
    std::list<Pending> outcomes;
    std::list<std::pair<WorkerId, TaskTurn::Renewal>> renewals;
    std::optional<Flight> flight;
    absl::Time again_at = absl::InfiniteFuture();  // The queue's rate, or a lost turn's wait.
  };
  struct State {
    std::string worker_id;
    WorkerSpec spec;
    std::shared_ptr<Worker> stream;
    std::shared_ptr<Group> group;
    bool takes = false;
    bool stopping = false;
    int reserved = 0;  // Places that turns under way have asked for.
    int settling = 0;
    uint64_t last_picked = 0;
    absl::Time last_heard;
    std::map<LeaseRef, Lease> leases;
  };
  // What is going to be asked for at one queue.
  struct Offers {
    int places = 0;
    std::map<uint64_t, std::vector<Share>> by_group;
  };
  using OffersByQueue = std::map<std::string, Offers>;

  // Workers.
  State* Find(WorkerId id);
  Lease* FindLease(WorkerId id, const LeaseRef& ref);
  int Room(const State& worker, absl::Time now) const;
  bool IsSilent(const State& worker, absl::Time now) const { return worker.last_heard + lease_ / 3 <= now; }
  bool Takes(const State& worker, const std::string& name) const;
  void Enlist(WorkerId id, State& worker);
  void Withdraw(WorkerId id, State& worker);
  void CloseIfDone(WorkerId id);
  void Evict(WorkerId id, const absl::Status& why);
  // Leases.
  void SettleOne(WorkerId id, State& worker, WorkerOutcome outcome);
  void Revoke(WorkerId id, State& worker, const LeaseRef& ref, RevokeReason reason);
  Pending* HandIn(WorkerId from, const std::string& queue, TaskOutcome outcome);
  void GiveBack(const LeaseRef& lease, TaskOutcome::Kind kind, const std::string& worker);
  void Renew(WorkerId id, State& worker, absl::Time not_since);
  std::string NameOf(const State& worker) const;
  // Interests.
  static bool IsTaken(const Queue& queue, const Interest& interest);
  Interest& Want(const std::string& name, const std::shared_ptr<Group>& group);
  void SetReady(const std::string& name, uint64_t group, Interest& interest, bool ready);
  void LookAgainAt(const std::string& name, Queue& queue);
  void LeaveIfUntaken(const std::string& name, Queue& queue, uint64_t group);
  void EraseInterest(const std::string& name, Queue& queue, uint64_t group);
  void PutOff(const std::string& name, Queue& queue, absl::Time until);
  void ForgetIfIdle(const std::string& name);
  // Turns.
  void OfferRoom(WorkerId id, State& worker, absl::Time now, OffersByQueue& offers);
  void OfferToListed(WorkerId id, State& worker, absl::Time now, OffersByQueue& offers);
  void OfferToAll(WorkerId id, State& worker, absl::Time now, OffersByQueue& offers);
  void OfferToOld(WorkerId id, State& worker, const std::string& name, OffersByQueue& offers);
  void OfferAt(WorkerId id, State& worker, const std::string& queue, int places, OffersByQueue& offers);
  void MakeTurn(const std::string& name, Queue& queue, const Offers& offers, absl::Time now);
  void AddOutcomes(const std::string& name, Queue& queue, Flight& flight);
  void AddRenewals(const std::string& name, Queue& queue, Flight& flight);
  void AddDemands(const std::string& name, Queue& queue, const Offers& offers, absl::Time now, Flight& flight);
  void Renewed(const std::string& name, const Flight& flight, const std::vector<TaskTurn::Renewal>& lost);
  void Asked(const std::string& name, Queue& queue, const Flight& flight, const TaskTurnResult& result);
  void Distribute(const std::string& name, Flight& flight, std::vector<std::vector<LeasedTask>> leased, absl::Time now);
  WorkerId Pick(const std::string& name, uint64_t group, std::vector<Share>& shares, absl::Time now);
  void Send(WorkerId id, std::vector<WorkerTask> tasks);
  void Settled(const std::string& name, const Flight& flight, const std::vector<TaskTurnResult::Settled>& settled);
  void Release(Flight& flight);

  const std::string session_;
  const absl::Duration lease_;
  NodeRef self_;
  bool serving_ = false;
  bool draining_ = false;
  std::vector<std::string> alternatives_;
  std::map<WorkerId, State> workers_;
  std::map<std::vector<std::string>, std::shared_ptr<Group>> groups_;  // By names.
  std::map<std::string, Queue> queues_;
  std::set<std::string> due_;                                      // Queues with something to hand in, or to tell.
  std::set<std::pair<uint64_t, std::string>> ready_;               // Group and queue: of interests that are.
  std::set<std::tuple<uint64_t, absl::Time, std::string>> asked_;  // Group, when, and queue.
  std::set<std::pair<absl::Time, std::string>> put_off_;           // Queues by again_at.
  std::set<std::tuple<absl::Time, WorkerId, LeaseRef>> by_deadline_;
  absl::Time tick_ = absl::InfiniteFuture();
  WorkerId next_worker_ = 1;
  WorkerId offer_from_ = 0;
  uint64_t next_group_ = 1;
  uint64_t turns_ = 0;
  uint64_t picks_ = 0;
  size_t running_ = 0;
  size_t unsettled_ = 0;
  size_t flights_ = 0;
  int all_queues_ = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_WORKERS_WORKER_TABLE_H_
