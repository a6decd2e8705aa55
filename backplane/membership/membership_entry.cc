#include <algorithm>
#include <optional>
#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/domain/node_ref.h"
#include "backplane/membership/membership_impl.h"
#include "glog/logging.h"

namespace actioncluster {

using internal::v1::DirectoryChange;
using internal::v1::NodeRecord;

void Membership::Impl::Enter() {
  phase = Phase::kListening;
  boot = RandomBootId();
  // First the channel, then the entry: whoever finds the entry may send at once.
  bus.Begin(boot, Later([entering = boot](Impl& impl) {
              if (impl.phase == Phase::kListening && impl.boot == entering) impl.SendJoin();
            }));
}

void Membership::Impl::SendJoin() {
  phase = Phase::kJoining;
  MembershipStore::JoinRequest request;
  request.fingerprint = bus.key_fingerprint();
  request.name_prefix = options.name_prefix;
  request.preferred_name = self.id;
  request.succeeds_boot = self.boot.empty() ? options.succeeds_boot : self.boot;
  request.record = options.self;
  request.record.set_boot_id(boot);
  request.record.set_lease_ms(absl::ToInt64Milliseconds(options.lease));
  offer.Fill(&request.record);
  store.Join(request, Later([sent = MonotonicNow(), revision = offer.revision()](
                                Impl& impl, absl::StatusOr<MembershipStore::Joined> joined) {
               impl.OnJoin(sent, revision, std::move(joined));
             }));
}

void Membership::Impl::OnJoin(absl::Time sent, uint64_t revision, absl::StatusOr<MembershipStore::Joined> joined) {
  if (phase != Phase::kJoining) return;
  if (!joined.ok()) {
    const absl::Status& why = joined.status();
    if (absl::IsFailedPrecondition(why) && join_done.has_value()) {
      phase = Phase::kLeft;
      FailWaiting(why);
      return std::move(*std::exchange(join_done, std::nullopt))(why);
    }
    LOG_EVERY_T(WARNING, 5) << "join failed, trying again status=" << why;
    FailWaiting(why);
    return Retry();
  }
  phase = Phase::kReading;
  record = joined->record;
  self = {record.id(), boot};
  joined_revision = revision;
  joined_generation = joined->generation;
  keeper.Joined(sent);
  // We may be the first to find a Redis that has come back empty.
  if (redis_was_away) grace_until = MonotonicNow() + options.lease;
  bus.SetName(self.id);
  AnnounceGone(joined->gone);
  Arm();
  ReadDirectory();
}

void Membership::Impl::ReadDirectory() {
  reader->Read(
      Later([joined_boot = boot](Impl& impl, const absl::Status& status) { impl.OnFirstRead(joined_boot, status); }));
}

void Membership::Impl::OnFirstRead(const std::string& joined_boot, const absl::Status& status) {
  if (phase != Phase::kReading || boot != joined_boot) return;
  // A lease that ran out meanwhile is being renewed, or found lost.
  if (!status.ok() || !keeper.Holds(MonotonicNow())) return Retry();
  phase = Phase::kJoined;
  offer.Written(joined_revision);
  LOG(INFO) << "joined node=" << self.id << " boot=" << self.boot << " nodes=" << directory.nodes().size();
  SetServing(true);
  Announce(DirectoryChange::KIND_JOINED, joined_generation, record, Ignore);
  Answer(offer.TakeWaiting(joined_revision), absl::OkStatus());
  if (join_done.has_value()) std::move (*std::exchange(join_done, std::nullopt))(absl::OkStatus());
  WriteSoon();
  Arm();
}

void Membership::Impl::OnRetryTimer() {
  if (phase == Phase::kJoining) SendJoin();
  if (phase == Phase::kReading) ReadDirectory();
  if (phase == Phase::kLeft) GiveUpLease();
}

void Membership::Impl::Arm() {
  // A serving node also wakes when its lease ends, to say so.
  lease_timer.Set(serving ? std::min(keeper.next_renewal(), keeper.holds_until()) : keeper.next_renewal());
}

void Membership::Impl::OnLeaseTimer() {
  const absl::Time now = MonotonicNow();
  if (!keeper.Holds(now)) SetServing(false);
  if (now >= keeper.next_renewal()) Renew();
  Arm();
}

void Membership::Impl::Renew() {
  const absl::Time sent = MonotonicNow();
  keeper.RenewalSent();
  store.Renew(
      boot, stats_source ? stats_source() : internal::v1::NodeStats(),
      sent + std::max(options.lease / 3, absl::Milliseconds(100)),
      Later([sent, renewed = boot](Impl& impl, absl::StatusOr<std::optional<MembershipStore::Renewal>> renewal) {
        impl.OnRenewal(renewed, sent, std::move(renewal));
      }));
}

void Membership::Impl::OnRenewal(const std::string& renewed_boot, absl::Time sent,
                                 absl::StatusOr<std::optional<MembershipStore::Renewal>> renewal) {
  if (!Entered() || boot != renewed_boot) return;
  const absl::Time now = MonotonicNow();
  if (!renewal.ok()) {
    LOG_EVERY_T(WARNING, 5) << "lease not renewed node=" << self.id << " status=" << renewal.status();
    keeper.RenewalFailed(now);
    return Arm();
  }
  if (!renewal->has_value()) return Lost();
  const MembershipStore::Renewal& renewed = **renewal;
  keeper.Renewed(sent, now + renewed.earliest_other);
  AnnounceGone(renewed.gone);
  if (phase == Phase::kJoined) {
    if (keeper.Holds(now)) SetServing(true);
    if (renewed.generation != directory.generation()) reader->Check(Ignore);
    WriteSoon();
  }
  Arm();
}

void Membership::Impl::Lost() {
  LOG(WARNING) << "lease lost, rejoining node=" << self.id << " boot=" << self.boot;
  keeper.Ended();
  grace_until = MonotonicNow() + options.lease;
  Arm();
  retry_timer.Cancel();
  Enter();
  SetServing(false);
}

// Another says that we are gone, or Redis does: the next renewal decides.
void Membership::Impl::Doubt() {
  const absl::Time now = MonotonicNow();
  grace_until = now + options.lease;
  keeper.Doubt(now);
  Arm();
}

void Membership::Impl::SetServing(bool now_serving) {
  if (serving == now_serving) return;
  serving = now_serving;
  for (size_t i = 0; i < serving_listeners.size(); ++i) serving_listeners[i](now_serving);
}

void Membership::Impl::OnOffer() {
  if (phase == Phase::kJoined) return WriteSoon();
  if (phase == Phase::kIdle || (phase != Phase::kLeft && commands.state().ok())) return;
  loop.Post(Later([](Impl& impl) {
    if (impl.phase != Phase::kJoined) impl.FailWaiting(BackplaneUnavailable("this node has not joined"));
  }));
}

void Membership::Impl::WriteSoon() {
  if (phase != Phase::kJoined || write_pending || !offer.dirty()) return;
  write_pending = true;
  loop.Post(Later([](Impl& impl) { impl.Write(); }));
}

void Membership::Impl::Write() {
  if (phase != Phase::kJoined) {
    write_pending = false;
    return;
  }
  NodeRecord wanted = record;
  offer.Fill(&wanted);
  store.Update(wanted, Later([wanted, revision = offer.revision()](
                                 Impl& impl, const absl::StatusOr<std::optional<int64_t>>& written) {
                 impl.OnWritten(wanted, revision, written);
               }));
}

void Membership::Impl::OnWritten(const NodeRecord& wanted, uint64_t revision,
                                 const absl::StatusOr<std::optional<int64_t>>& written) {
  write_pending = false;
  if (!Entered()) return;  // Those who wait, wait for the join.
  if (wanted.boot_id() != boot) return WriteSoon();
  if (!written.ok()) {
    // Not again at once: the next renewal that succeeds tries it.
    return Answer(offer.TakeWaiting(revision), written.status());
  }
  if (!written->has_value()) return Lost();
  record = wanted;
  offer.Written(revision);
  Announce(DirectoryChange::KIND_UPDATED, **written, record, Ignore);
  Answer(offer.TakeWaiting(revision), absl::OkStatus());
  WriteSoon();
}

void Membership::Impl::Answer(std::vector<Offer::Done> waiting, const absl::Status& status) {
  for (Offer::Done& done : waiting) std::move(done)(status);
}

}  // namespace actioncluster
