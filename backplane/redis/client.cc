#include "backplane/redis/client.h"

#include <deque>
#include <optional>
#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command_core.h"
#include "backplane/redis/link.h"

namespace actioncluster::redis {

namespace {

// One connection.
struct Lane {
  Lane(Loop& loop, LinkOptions options, const std::vector<Script>& scripts, Link::StateListener on_state)
      : core(options, scripts), link(std::make_unique<Link>(loop, std::move(options), core, std::move(on_state))) {}

  CommandCore core;
  std::unique_ptr<Link> link;
};

LinkOptions Plain(LinkOptions options) {
  options.ack_replicas = 0;
  return options;
}

LinkOptions Durable(LinkOptions options) {
  if (!options.client_name.empty()) options.client_name += "-durable";
  return options;
}

}  // namespace

struct Client::Impl {
  Impl(Loop& on_loop, const LinkOptions& options, const std::vector<Script>& scripts)
      : loop(on_loop), command_timeout(options.command_timeout) {
    const auto on_state = [this](const absl::Status& /*of_one*/) { Notify(); };
    plain.emplace(loop, Plain(options), scripts, on_state);
    if (options.ack_replicas > 0) durable.emplace(loop, Durable(options), scripts, on_state);
    told = state();
  }

  absl::Status state() const {
    if (!closed.ok()) return closed;
    if (!durable.has_value() || !plain->link->state().ok()) return plain->link->state();
    return durable->link->state();
  }

  void Notify() {
    if (state() == told) return;
    told = state();
    // By index: a listener may add another.
    for (size_t i = 0; i < listeners.size(); ++i) listeners[i](told);
  }

  void Execute(Command command, absl::Time deadline, absl::Time now, Completion done) {
    if (!closed.ok()) return Refuse(closed, std::move(done));
    if (deadline <= now) return Refuse(absl::DeadlineExceededError("too late to ask Redis"), std::move(done));
    Lane& lane = durable.has_value() && command.is_durable() ? *durable : *plain;
    if (!lane.link->state().ok()) return Refuse(lane.link->state(), std::move(done));
    lane.core.Execute(std::move(command), deadline, now, std::move(done));
  }

  // Ends the command in a turn of its own.
  void Refuse(const absl::Status& why, Completion done) {
    refused.emplace_back(why, std::move(done));
    if (refused.size() > 1 || !closed.ok()) return;
    loop.Post([weak = std::weak_ptr<Impl*>(alive)] {
      if (const auto impl = weak.lock()) (*impl)->EndRefused();
    });
  }

  void EndRefused() {
    for (auto& [why, done] : std::exchange(refused, {})) std::move(done)(why);
  }

  void Close() {
    closed = BackplaneUnavailable("the connection to Redis is being closed");
    for (std::optional<Lane>* lane : {&plain, &durable}) {
      if (!lane->has_value()) continue;
      (*lane)->link = nullptr;
      (*lane)->core.Closed(closed);
    }
    while (!refused.empty()) EndRefused();
  }

  Loop& loop;
  const absl::Duration command_timeout;
  std::optional<Lane> plain;
  std::optional<Lane> durable;  // With ack_replicas.
  absl::Status told;            // What the listeners know.
  absl::Status closed;          // Not OK: the destructor runs.
  std::deque<StateListener> listeners;
  std::vector<std::pair<absl::Status, Completion>> refused;
  const std::shared_ptr<Impl*> alive = std::make_shared<Impl*>(this);
};

Client::Client(Loop& loop, const LinkOptions& options, const std::vector<Script>& scripts)
    : impl_(std::make_unique<Impl>(loop, options, scripts)) {}

// While impl_ is still there: completions may call Execute.
Client::~Client() { impl_->Close(); }

void Client::Execute(Command command, absl::Time deadline, Completion done) {
  impl_->Execute(std::move(command), deadline, MonotonicNow(), std::move(done));
}

void Client::Execute(Command command, Completion done) {
  const absl::Time now = MonotonicNow();
  impl_->Execute(std::move(command), now + impl_->command_timeout, now, std::move(done));
}

void Client::OnState(StateListener listener) { impl_->listeners.push_back(std::move(listener)); }

absl::Status Client::state() const { return impl_->state(); }

}  // namespace actioncluster::redis
