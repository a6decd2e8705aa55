#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/directory.h"
#include "backplane/redis/client.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

struct MembershipOptions {
  // `actioncluster-worker-`: the node claims the lowest free number behind it, over the whole cluster.
  std::string name_prefix = "actioncluster-worker-";
  // The boot that this process succeeds, known to be dead (its lock is ours): it is removed at once. Empty: none.
  std::string succeeds_boot;
  absl::Duration lease = absl::Seconds(5);
  // Host, pid, version and addresses; the rest is filled here.
  internal::v1::NodeRecord self;
};

// Makes this process a node of the cluster: claims a name, keeps the lease, announces itself, and keeps the directory
// of all.
//
// When the lease is lost (the process was paused, Redis was away and others reclaimed it, Redis lost its data), it
// stops serving, and rejoins by itself under a new boot, with the same name if that is still free. A lease that only
// may be lost (Redis does not answer, the process was paused) stops it serving too; if Redis then still has the entry,
// it serves again under the same boot.
//
// The grace: when Redis was away, others may be alive and not back yet, so for one lease nothing may be said not to
// exist. It begins with every reconnection of `commands` after this node has joined (however short the loss: a failover
// to a Redis that knows less looks the same), and when this node finds its own entry gone. Redis keeps a grace of its
// own for those who join later: see part_membership.lua.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls. It may not be destroyed in one of them.
// Completions that wait when it is destroyed hear BACKPLANE_UNAVAILABLE, at the latest when `commands` is.
class Membership {
 public:
  using Done = absl::AnyInvocable<void(absl::Status) &&>;
  using NodeListener = absl::AnyInvocable<void(const NodeEvent& event)>;
  // True: this node serves as self(), newly, from now on. False: it no longer may; whatever it began must not be
  // finished under this boot.
  using ServingListener = absl::AnyInvocable<void(bool serving)>;

  // The references outlive this. Leave before destroying it, or the others take this node for lost.
  Membership(Loop& loop, redis::Client& commands, Bus& bus, const Keys& keys, MembershipOptions options);
  ~Membership();

  // Joins; keeps trying while Redis is away. `done` hears OK, or why it never will: FAILED_PRECONDITION when the
  // cluster lives with another server token; BACKPLANE_UNAVAILABLE when Leave came first. To be called once.
  void Join(Done done);
  // Stops listening on the boot's channel, so that whoever asks this node from then on knows that it is unheard; then gives name and lease back, and announces it. What came before is declined. OK
  // also when it was not joined; BACKPLANE_UNAVAILABLE when Redis could not be told: the lease will run out.
  void Leave(Done done);

  // The lease surely holds: this node may act. Asked by the clock, since a process may have been paused since the last
  // event.
  bool Serving() const;
  // Its name and boot; the last ones while it does not serve.
  const NodeRef& self() const;

  // What this node offers, and whether it drains: written to Redis and announced. `done` hears OK once any other node
  // can find it there: whoever asks Redis. Several changes in one moment are one write. They outlive a rejoin. While
  // this node is not joined they wait for that, as long as Redis can be reached. BACKPLANE_UNAVAILABLE: Redis has not
  // got it (or has, and the answer was lost); it is still wanted, and written when Redis is back.
  void SetMethods(std::vector<std::string> methods, Done done);
  void SetDraining(bool draining, Done done);
  // Called at each renewal.
  void SetStatsSource(absl::AnyInvocable<internal::v1::NodeStats()> source);

  // The copy; may be late by as much as a message takes.
  const Directory& directory() const;
  // Makes the copy as true as Redis is now; one round trip if nothing changed. To be called before saying that
  // something does not exist. OK means that a "no" may be believed; BACKPLANE_UNAVAILABLE also in the grace of one
  // lease after an outage, in which others may not have come back yet.
  void Refresh(Done done);
  // The same without the verdict: for listings, which claim nothing of what is not in them. BACKPLANE_UNAVAILABLE: Redis did not answer.
  void Sync(Done done);
  // Whether the copy may be believed when it says that something is gone: what a Refresh that found Redis would say.
  absl::Status Verdict() const;
  // What Redis has now, with stats and when each was last seen, sorted by name. Nodes whose leases have run out are not
  // in it, except in Redis's grace.
  struct Snapshot {
    internal::v1::NodeRecord record;
    internal::v1::NodeStats stats;
    absl::Time last_seen;  // Redis's time.
  };
  void List(absl::AnyInvocable<void(absl::StatusOr<std::vector<Snapshot>>) &&> done);

  void OnNode(NodeListener listener);
  void OnServing(ServingListener listener);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_H_
