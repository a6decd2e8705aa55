#include "backplane/membership/membership.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/membership/membership_impl.h"
#include "glog/logging.h"

namespace actioncluster {

using internal::v1::DirectoryChange;

namespace {

// A subscriber connection that does not answer must not keep the name of a node that leaves.
constexpr absl::Duration kDeafLimit = absl::Milliseconds(500);

}  // namespace

void Membership::Impl::Begin() {
  reader = std::make_shared<DirectoryReader>(
      store, directory, Later([](Impl& impl, const std::vector<NodeEvent>& events) { impl.Tell(events); }));
  bus.Handle(Bus::Body::kDirectoryChange, Later([](Impl& impl, const internal::v1::Envelope& envelope, absl::Time) {
               impl.OnChange(envelope.directory_change());
             }));
  bus.OnState(Later([](Impl& impl, const absl::Status& state) {
    // Announcements may have been lost with the connection.
    if (state.ok() && impl.Entered()) impl.reader->Check(Ignore);
  }));
  was_connected = commands.state().ok();
  commands.OnState(Later([](Impl& impl, const absl::Status& state) { impl.OnCommandsState(state); }));
}

void Membership::Impl::Shutdown() {
  const absl::Status stopping = BackplaneUnavailable("this node is stopping");
  if (join_done.has_value()) std::move (*std::exchange(join_done, std::nullopt))(stopping);
  if (leave_done.has_value()) std::move (*std::exchange(leave_done, std::nullopt))(stopping);
  FailWaiting(stopping);
}

void Membership::Impl::Announce(DirectoryChange::Kind kind, int64_t generation, const internal::v1::NodeRecord& node,
                                Done sent) {
  internal::v1::Envelope envelope;
  DirectoryChange& change = *envelope.mutable_directory_change();
  change.set_kind(kind);
  change.set_generation(generation);
  *change.mutable_node() = node;
  OnChange(change);  // The bus does not bring back what we say ourselves.
  bus.Publish(channel_all, std::move(envelope),
              [sent = std::move(sent)](const absl::StatusOr<int64_t>& receivers) mutable {
                std::move(sent)(receivers.status());
              });
}

void Membership::Impl::AnnounceGone(const std::vector<MembershipStore::Departed>& gone) {
  for (const MembershipStore::Departed& departed : gone) {
    LOG(WARNING) << "node lost node=" << departed.node.id() << " boot=" << departed.node.boot_id();
    Announce(DirectoryChange::KIND_LOST, departed.generation, departed.node, Ignore);
  }
}

void Membership::Impl::OnChange(const DirectoryChange& change) {
  std::vector<NodeEvent> events;
  switch (directory.Apply(change, &events)) {
    case Directory::Applied::kYes:
      return Tell(events);
    case Directory::Applied::kKnown:
      return;
    case Directory::Applied::kGap:
      if (Entered()) reader->Read(Ignore);
      return;
  }
}

void Membership::Impl::Tell(const std::vector<NodeEvent>& events) {
  // First, as listeners ask for the verdict: where we are missing ourselves, the loss of others means nothing.
  if (phase == Phase::kJoined && directory.FindBoot(boot) == nullptr) Doubt();
  for (const NodeEvent& event : events) {
    for (size_t i = 0; i < node_listeners.size(); ++i) node_listeners[i](event);
  }
}

absl::Status Membership::Impl::Verdict() const {
  const absl::Time now = MonotonicNow();
  if (!serving || !keeper.Holds(now)) return BackplaneUnavailable("this node has no lease right now");
  const bool redis_grace = bus.clock().known() && bus.clock().At(now) < reader->grace_until();
  if (now < grace_until || redis_grace) {
    return BackplaneUnavailable("Redis was away a moment ago: others may not have come back yet");
  }
  return absl::OkStatus();
}

void Membership::Impl::OnCommandsState(const absl::Status& state) {
  if (!state.ok()) {
    redis_was_away = true;
    if (phase != Phase::kJoined && phase != Phase::kIdle) FailWaiting(state);
    return;
  }
  const bool again = std::exchange(was_connected, true);
  if (!again || self.boot.empty()) return;
  Doubt();
  if (Entered()) reader->Read(Ignore);
}

void Membership::Impl::Leave(Done done) {
  const Phase before = std::exchange(phase, Phase::kLeft);
  keeper.Ended();
  Arm();
  retry_timer.Cancel();
  loop.Post(Later([](Impl& impl) {
    impl.SetServing(false);
    const absl::Status left = BackplaneUnavailable("this node has left");
    if (impl.join_done.has_value()) std::move (*std::exchange(impl.join_done, std::nullopt))(left);
    impl.FailWaiting(left);
  }));
  if (before == Phase::kIdle || before == Phase::kListening || before == Phase::kLeft) {
    return loop.Post([done = std::move(done)]() mutable { std::move(done)(absl::OkStatus()); });
  }
  leave_done = std::move(done);
  retry_timer.Set(MonotonicNow() + kDeafLimit);
  // First: what others send from then on they know to be unheard, and all that came before is answered before they hear that this node has left.
  bus.EndBoot(Later([](Impl& impl) { impl.GiveUpLease(); }));
}

void Membership::Impl::GiveUpLease() {
  if (!leave_done.has_value()) return;
  retry_timer.Cancel();
  // A join that is still under way arrives before this.
  store.Leave(boot, [weak = weak_from_this(), done = *std::exchange(leave_done, std::nullopt)](
                        absl::StatusOr<std::optional<MembershipStore::Departed>> left) mutable {
    const auto impl = weak.lock();
    if (!left.ok() || !left->has_value() || impl == nullptr) return std::move(done)(left.status());
    impl->Announce(DirectoryChange::KIND_LEFT, (*left)->generation, (*left)->node,
                   // Who does not hear it, reads it.
                   [done = std::move(done)](const absl::Status&) mutable { std::move(done)(absl::OkStatus()); });
  });
}

Membership::Membership(Loop& loop, redis::Client& commands, Bus& bus, const Keys& keys, MembershipOptions options)
    : impl_(std::make_shared<Impl>(loop, commands, bus, keys, std::move(options))) {
  impl_->Begin();
}

Membership::~Membership() { impl_->Shutdown(); }

void Membership::Join(Done done) {
  CHECK(impl_->phase == Impl::Phase::kIdle) << "Join is called once";
  impl_->join_done = std::move(done);
  impl_->Enter();
}

void Membership::Leave(Done done) { impl_->Leave(std::move(done)); }

bool Membership::Serving() const { return impl_->serving && impl_->keeper.Holds(MonotonicNow()); }

const NodeRef& Membership::self() const { return impl_->self; }

void Membership::SetMethods(std::vector<std::string> methods, Done done) {
  impl_->offer.SetMethods(std::move(methods), std::move(done));
  impl_->OnOffer();
}

void Membership::SetDraining(bool draining, Done done) {
  impl_->offer.SetDraining(draining, std::move(done));
  impl_->OnOffer();
}

void Membership::SetStatsSource(absl::AnyInvocable<internal::v1::NodeStats()> source) {
  impl_->stats_source = std::move(source);
}

const Directory& Membership::directory() const { return impl_->directory; }

void Membership::Refresh(Done done) {
  impl_->reader->Check([weak = impl_->weak_from_this(), done = std::move(done)](absl::Status status) mutable {
    const auto impl = weak.lock();
    if (status.ok() && impl != nullptr) status = impl->Verdict();
    std::move(done)(status);
  });
}

void Membership::Sync(Done done) { impl_->reader->Check(std::move(done)); }

void Membership::List(absl::AnyInvocable<void(absl::StatusOr<std::vector<Snapshot>>) &&> done) {
  impl_->store.Read([done = std::move(done)](absl::StatusOr<MembershipStore::Contents> contents) mutable {
    if (!contents.ok()) return std::move(done)(contents.status());
    std::vector<Snapshot> nodes;
    const bool grace = contents->now < contents->state.grace_until;
    for (MembershipStore::Node& node : contents->nodes) {
      if (node.lease_ends < contents->now && !grace) continue;
      const absl::Time last_seen = node.lease_ends - absl::Milliseconds(node.record.lease_ms());
      nodes.push_back({std::move(node.record), std::move(node.stats), last_seen});
    }
    std::sort(nodes.begin(), nodes.end(),
              [](const Snapshot& a, const Snapshot& b) { return a.record.id() < b.record.id(); });
    std::move(done)(std::move(nodes));
  });
}

absl::Status Membership::Verdict() const { return impl_->Verdict(); }

void Membership::OnNode(NodeListener listener) { impl_->node_listeners.push_back(std::move(listener)); }

void Membership::OnServing(ServingListener listener) { impl_->serving_listeners.push_back(std::move(listener)); }

}  // namespace actioncluster
