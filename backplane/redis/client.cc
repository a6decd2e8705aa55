#include "backplane/redis/client.h"

#include <deque>
#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command_core.h"
#include "backplane/redis/link.h"

namespace actioncluster::redis {

struct Client::Impl {
  Impl(Loop& on_loop, LinkOptions options, const std::vector<Script>& scripts)
      : loop(on_loop),
        command_timeout(options.command_timeout),
        core(options, scripts),
        link(std::make_unique<Link>(on_loop, std::move(options), core,
                                    [this](const absl::Status& state) { Notify(state); })) {}

  void Notify(const absl::Status& state) {
    // By index: a listener may add another.
    for (size_t i = 0; i < listeners.size(); ++i) listeners[i](state);
  }

  void Execute(Command command, absl::Time deadline, absl::Time now, Completion done) {
    if (!closed.ok()) return Refuse(closed, std::move(done));
    if (deadline <= now) return Refuse(absl::DeadlineExceededError("too late to ask Redis"), std::move(done));
    if (!link->state().ok()) return Refuse(link->state(), std::move(done));
    core.Execute(std::move(command), deadline, now, std::move(done));
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
    link = nullptr;
    core.Closed(closed);
    while (!refused.empty()) EndRefused();
  }

  Loop& loop;
  const absl::Duration command_timeout;
  CommandCore core;
  std::unique_ptr<Link> link;
  absl::Status closed;  // Not OK: the destructor runs.
  std::deque<StateListener> listeners;
  std::vector<std::pair<absl::Status, Completion>> refused;
  const std::shared_ptr<Impl*> alive = std::make_shared<Impl*>(this);
};

Client::Client(Loop& loop, LinkOptions options, const std::vector<Script>& scripts)
    : impl_(std::make_unique<Impl>(loop, std::move(options), scripts)) {}

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

absl::Status Client::state() const { return impl_->link ? impl_->link->state() : impl_->closed; }

}  // namespace actioncluster::redis
