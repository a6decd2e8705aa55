#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_IMPL_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_IMPL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "backplane/membership/directory.h"
#include "backplane/membership/directory_reader.h"
#include "backplane/membership/lease_keeper.h"
#include "backplane/membership/membership.h"
#include "backplane/membership/membership_store.h"
#include "backplane/membership/offer.h"

namespace actioncluster {

// The inside of Membership, for its two sources: membership_entry.cc keeps this node's own entry (joining, the lease,
// the record), membership.cc what it hears and says of the directory. Held by a shared_ptr, so that what comes later
// finds out whether it is still there.
struct Membership::Impl : std::enable_shared_from_this<Impl> {
  // What this node is about to do next is in brackets.
  enum class Phase {
    kIdle,       // Not asked to join.
    kListening,  // Has a new boot [the bus listens → join].
    kJoining,    // The join script is under way, or failed a moment ago [again].
    kReading,    // Has an entry and a lease [the directory is read → serve].
    kJoined,     // Serves, as long as the lease holds [lost → listen].
    kLeft,       // Left, or was refused. For good.
  };

  Impl(Loop& io_loop, redis::Client& redis_commands, Bus& io_bus, const Keys& redis_keys, MembershipOptions given)
      : loop(io_loop),
        commands(redis_commands),
        bus(io_bus),
        options(std::move(given)),
        channel_all(redis_keys.ChannelAll()),
        store(redis_commands, redis_keys, options.lease),
        keeper(options.lease),
        lease_timer(io_loop, [this] { OnLeaseTimer(); }),
        retry_timer(io_loop, [this] { OnRetryTimer(); }) {}

  void Begin();
  void Shutdown();

  // Runs `step(impl, args...)` if this is still there then.
  template <class Step>
  auto Later(Step step) {
    return [weak = weak_from_this(), step = std::move(step)](auto&&... args) mutable {
      if (const auto impl = weak.lock()) step(*impl, std::forward<decltype(args)>(args)...);
    };
  }

  // Entering.
  void Enter();
  void SendJoin();
  void OnJoin(absl::Time sent, uint64_t revision, absl::StatusOr<MembershipStore::Joined> joined);
  void ReadDirectory();
  void OnFirstRead(const std::string& joined_boot, const absl::Status& status);
  void Retry() { retry_timer.Set(MonotonicNow() + options.lease / 10); }
  void OnRetryTimer();

  // The lease.
  void Arm();
  void OnLeaseTimer();
  void Renew();
  void OnRenewal(const std::string& renewed_boot, absl::Time sent,
                 absl::StatusOr<std::optional<MembershipStore::Renewal>> renewal);
  void Lost();
  void Doubt();
  void SetServing(bool now_serving);
  bool Entered() const { return phase == Phase::kReading || phase == Phase::kJoined; }

  // The record.
  void OnOffer();
  static void Answer(std::vector<Offer::Done> waiting, const absl::Status& status);
  void FailWaiting(const absl::Status& why) { Answer(offer.TakeWaiting(), why); }
  void WriteSoon();
  void Write();
  void OnWritten(const internal::v1::NodeRecord& wanted, uint64_t revision,
                 const absl::StatusOr<std::optional<int64_t>>& written);

  // The directory.
  void Announce(internal::v1::DirectoryChange::Kind kind, int64_t generation, const internal::v1::NodeRecord& node,
                Done sent);
  static void Ignore(const absl::Status&) {}
  void AnnounceGone(const std::vector<MembershipStore::Departed>& gone);
  void OnChange(const internal::v1::DirectoryChange& change);
  void Tell(const std::vector<NodeEvent>& events);
  absl::Status Verdict() const;

  void OnCommandsState(const absl::Status& state);
  void Leave(Done done);
  void GiveUpLease();

  Loop& loop;
  redis::Client& commands;
  Bus& bus;
  const MembershipOptions options;
  const std::string channel_all;
  MembershipStore store;
  LeaseKeeper keeper;
  Directory directory;
  std::shared_ptr<DirectoryReader> reader;
  Offer offer;

  Phase phase = Phase::kIdle;
  std::string boot;                 // Of this attempt to join, or of this membership.
  NodeRef self;                     // The last name and boot that had an entry.
  internal::v1::NodeRecord record;  // As Redis has it.
  int64_t joined_generation = 0;
  uint64_t joined_revision = 0;  // What of the offer the join has written.
  bool serving = false;
  bool write_pending = false;
  bool was_connected = false;
  bool redis_was_away = false;  // At any time since the start.
  absl::Time grace_until = absl::InfinitePast();
  std::optional<Done> join_done;
  std::optional<Done> leave_done;  // Until the lease is given up.

  absl::AnyInvocable<internal::v1::NodeStats()> stats_source;
  std::vector<NodeListener> node_listeners;
  std::vector<ServingListener> serving_listeners;
  Timer lease_timer;
  Timer retry_timer;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_IMPL_H_
