#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/connections/connection_impl.h"

// What is done to connections in turn, what is written of them for a comeback, and what is due later.
namespace actioncluster {
namespace {

// Of one connection, that wait for their turn.
constexpr size_t kMaxSteps = 256;

}  // namespace

// Writes what a comeback needs; writes that meet become one.
void ConnectionHost::Impl::Store(const ClientPtr& client, Ended done) {
  client->dirty = true;
  client->stored.push_back(std::move(done));
  if (!client->storing) StoreNow(client);
}

void ConnectionHost::Impl::StoreNow(const ClientPtr& client) {
  client->storing = true;
  client->dirty = false;
  parts.presence.Store(client->id, client->claim, client->state,
                       Guard([client, waiting = std::exchange(client->stored, {})](
                                 Impl& self, const absl::StatusOr<bool>& counts) mutable {
                         client->storing = false;
                         absl::Status status = counts.status();
                         if (counts.ok() && !*counts) {
                           status = NoSuchConnection(client->id);
                           self.CheckClaim(client);
                         }
                         if (client->phase != Client::Phase::kGone) {
                           if (client->dirty) {
                             self.StoreNow(client);
                           } else if (!status.ok()) {
                             client->dirty = true;
                             self.RetrySoon();
                           }
                         }
                         for (Ended& done : waiting) std::move(done)(status);
                       }));
}

void ConnectionHost::Impl::At(absl::Time when, absl::AnyInvocable<void() &&> task) {
  const bool first = due.empty() || when < due.begin()->first;
  due.emplace(when, std::move(task));
  if (first) timer.Set(when);
}

void ConnectionHost::Impl::RunDue() {
  const absl::Time now = MonotonicNow();
  while (!due.empty() && due.begin()->first <= now) {
    auto task = std::move(due.begin()->second);
    due.erase(due.begin());
    std::move(task)();
  }
  if (!due.empty()) timer.Set(due.begin()->first);
}

void ConnectionHost::Impl::Do(const ClientPtr& client, absl::Time deadline, absl::AnyInvocable<void(Ended) &&> run,
                              Ended done) {
  if (client->phase == Client::Phase::kGone) return std::move(done)(NoSuchConnection(client->id));
  if (client->steps.size() >= kMaxSteps) {
    return std::move(done)(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "too much is asked of the connection at once",
                                     {{"limit", "steps"}}));
  }
  client->steps.push_back({.deadline = deadline, .run = std::move(run), .done = std::move(done)});
  if (!client->stepping) NextStep(client);
}

void ConnectionHost::Impl::NextStep(const ClientPtr& client) {
  client->stepping = false;
  while (client->phase != Client::Phase::kGone && !client->steps.empty() && !client->stepping) {
    Step step = std::move(client->steps.front());
    client->steps.pop_front();
    if (step.deadline <= MonotonicNow()) {
      std::move(step.done)(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "the connection was busy until the deadline"));
      continue;
    }
    client->stepping = true;
    client->current = std::move(step.done);
    std::move(step.run)(Guard([client, number = ++client->step_number](Impl& self, absl::Status status) {
      if (client->step_number != number || !client->current.has_value()) return;
      Ended done = *std::exchange(client->current, std::nullopt);
      std::move(done)(std::move(status));
      self.NextStep(client);
    }));
    return;
  }
}

void ConnectionHost::Impl::EndSteps(const ClientPtr& client) {
  // What had begun may have been done.
  if (client->current.has_value()) {
    Ended begun = *std::exchange(client->current, std::nullopt);
    std::move(begun)(WithMetadata(NoSuchConnection(client->id), "asked", "true"));
  }
  std::vector<Ended> ends;
  for (Step& step : client->steps) ends.push_back(std::move(step.done));
  client->steps.clear();
  for (Ended& done : client->stored) ends.push_back(std::move(done));
  client->stored.clear();
  for (Ended& done : ends) std::move(done)(NoSuchConnection(client->id));
  for (auto& [call_id, invoke] : std::exchange(client->invokes, {})) {
    std::move(invoke)(Failed(WithMetadata(NoSuchConnection(client->id), "asked", "true")));
  }
}

}  // namespace actioncluster
