#include "server/methods/method_host.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// A timer that is later than this was held up with the whole process: what applications sent meanwhile is still to be read.
constexpr absl::Duration kLate = absl::Seconds(1);

}  // namespace

MethodHost::MethodHost(Loop& loop, Bus& bus, Membership& membership, const Keys& keys, NodeMethods& node_methods)
    : loop_(loop), bus_(bus), membership_(membership), keys_(keys), node_methods_(node_methods), timer_(loop, [this] {
        const absl::Time due = std::exchange(armed_for_, absl::InfiniteFuture());
        const absl::Time now = MonotonicNow();
        if (now > due + kLate) table_.HeardAll(now);
        const size_t before = table_.applications();
        const absl::Time next = table_.Expire(now);
        if (table_.applications() != before) Offer();
        ArmTimer(next);
      }) {
  bus_.OnState([this, alive = std::weak_ptr<const bool>(alive_)](const absl::Status&) {
    if (!alive.expired()) FailUnheard();
  });
}

MethodHost::AppId MethodHost::Attach(std::shared_ptr<Application> application) {
  return table_.Attach(std::move(application), MonotonicNow());
}

void MethodHost::Register(AppId id, std::set<std::string> methods, size_t max_in_flight,
                          absl::Duration heartbeat_timeout, bool stays,
                          absl::AnyInvocable<void(absl::Status) &&> registered) {
  if (!table_.Register(id, methods, max_in_flight, heartbeat_timeout, stays)) return;
  // What it no longer offers will never be confirmed, and its earlier registrations must not wait for that.
  for (Registration& earlier : registrations_) {
    if (earlier.app != id) continue;
    std::erase_if(earlier.unconfirmed, [&methods](const std::string& method) { return !methods.contains(method); });
  }
  ArmTimer(table_.next_due());
  ListenToNew();
  Registration registration{.app = id, .unconfirmed = {}, .registered = std::move(registered)};
  std::copy_if(methods.begin(), methods.end(), std::inserter(registration.unconfirmed, registration.unconfirmed.end()),
               [this](const std::string& method) { return !channels_.at(method); });
  registrations_.push_back(std::move(registration));
  Offer();
  loop_.Post([this, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) FailUnheard();
  });
}

void MethodHost::Heard(AppId id) { table_.Heard(id, MonotonicNow()); }

void MethodHost::Reply(AppId id, const std::string& call_id, Outcome outcome) {
  table_.Heard(id, MonotonicNow());
  table_.Reply(id, call_id, std::move(outcome));
}

void MethodHost::Detach(AppId id) {
  table_.Detach(id);
  std::erase_if(registrations_, [id](const Registration& registration) { return registration.app == id; });
  Offer();
}

void MethodHost::CloseAll(const absl::Status& why) {
  table_.CloseAll(why);
  registrations_.clear();
  Offer();
}

void MethodHost::Run(IncomingCall call, absl::AnyInvocable<void(Outcome) &&> done) {
  if (IsNodeMethod(call.method)) return node_methods_.Run(std::move(call), std::move(done));
  const absl::Time deadline = call.deadline;
  table_.Run(std::move(call), std::move(done), MonotonicNow());
  ArmTimer(deadline);
}

void MethodHost::ListenToNew() {
  for (const std::string& method : table_.Methods()) {
    if (!channels_.emplace(method, false).second) continue;
    bus_.Listen(keys_.ChannelMethod(method), [this, method] { Confirmed(method); });
  }
}

void MethodHost::Confirmed(const std::string& method) {
  const auto channel = channels_.find(method);
  if (channel == channels_.end()) return;
  channel->second = true;
  for (Registration& registration : registrations_) registration.unconfirmed.erase(method);
  Offer();
}

void MethodHost::FailUnheard() {
  const absl::Status state = bus_.state();
  if (state.ok()) return;
  for (Registration& registration : std::exchange(registrations_, {})) std::move(registration.registered)(state);
}

// Writes what is offered and heard to the directory. Those whose channels are all confirmed hear of it.
void MethodHost::Offer() {
  std::vector<std::string> offered;
  for (const std::string& method : table_.Methods()) {
    if (channels_.at(method)) offered.push_back(method);
  }
  const auto heard = std::stable_partition(registrations_.begin(), registrations_.end(),
                                           [](const Registration& r) { return !r.unconfirmed.empty(); });
  std::vector<Registration> ready(std::make_move_iterator(heard), std::make_move_iterator(registrations_.end()));
  registrations_.erase(heard, registrations_.end());
  membership_.SetMethods(std::move(offered), [this, alive = std::weak_ptr<const bool>(alive_),
                                              ready = std::move(ready)](const absl::Status& status) mutable {
    if (alive.expired()) return;  // Membership outlives this, and ends what it has begun.
    if (status.ok()) StopListeningToWithdrawn();
    for (Registration& registration : ready) std::move(registration.registered)(status);
  });
}

void MethodHost::StopListeningToWithdrawn() {
  const std::set<std::string> wanted = table_.Methods();
  for (auto channel = channels_.begin(); channel != channels_.end();) {
    if (wanted.contains(channel->first)) {
      ++channel;
      continue;
    }
    bus_.StopListening(keys_.ChannelMethod(channel->first));
    channel = channels_.erase(channel);
  }
}

// One timer for all deadlines: moved only when something is due sooner.
void MethodHost::ArmTimer(absl::Time due) {
  if (due >= armed_for_) return;
  armed_for_ = due;
  timer_.Set(due);
}

}  // namespace actioncluster
