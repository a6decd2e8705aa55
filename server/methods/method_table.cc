#include "server/methods/method_table.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

Outcome Failed(absl::Status error) { return {.kind = Outcome::Kind::kError, .result = {}, .error = std::move(error)}; }

Outcome Declined(absl::Status error) {
  return {.kind = Outcome::Kind::kDeclined, .result = {}, .error = std::move(error)};
}

}  // namespace

MethodTable::AppId MethodTable::Attach(std::shared_ptr<Application> application, absl::Time now) {
  const AppId id = next_app_++;
  App& app = apps_[id];
  app.stream = std::move(application);
  app.last_heard = now;
  if (draining_) app.stream->SendDraining(alternatives_);
  return id;
}

bool MethodTable::Register(AppId id, std::set<std::string> methods, size_t max_in_flight,
                           absl::Duration heartbeat_timeout, bool stays) {
  const auto found = apps_.find(id);
  if (found == apps_.end()) return false;
  App& app = found->second;
  for (const std::string& method : app.methods) {
    const auto replicas = replicas_.find(method);
    replicas->second.erase(id);
    if (replicas->second.empty()) replicas_.erase(replicas);
  }
  for (const std::string& method : methods) replicas_[method].insert(id);
  app.methods = std::move(methods);
  app.max_in_flight = max_in_flight;
  app.heartbeat_timeout = heartbeat_timeout;
  app.stays = stays;
  return true;
}

void MethodTable::Heard(AppId id, absl::Time now) {
  const auto found = apps_.find(id);
  if (found != apps_.end()) found->second.last_heard = now;
}

void MethodTable::HeardAll(absl::Time now) {
  for (auto& [id, app] : apps_) app.last_heard = now;
}

bool MethodTable::Reply(AppId id, const std::string& call_id, Outcome outcome) {
  CallKey key = 0;
  if (!absl::SimpleAtoi(call_id, &key)) return false;
  const auto call = calls_.find(key);
  if (call == calls_.end() || call->second.app != id) return false;
  End(key, std::move(outcome));
  return true;
}

void MethodTable::Detach(AppId id) {
  const auto found = apps_.find(id);
  if (found == apps_.end()) return;
  Register(id, {}, 0, absl::InfiniteDuration());
  const App app = std::move(found->second);
  apps_.erase(found);
  for (const CallKey key : app.in_flight) {
    End(key, Failed(MakeError(v1::ERROR_REASON_HANDLER_FAILED, "the application went away while it ran the call",
                              {{"lost", "true"}})));
  }
}

void MethodTable::Run(IncomingCall call, Done done, absl::Time now) {
  if (declining_) return std::move(done)(Declined(BackplaneUnavailable("this node is draining")));
  AppId app_id = 0;
  bool offered = false;
  App* app = LeastBusy(call.method, &app_id, &offered);
  if (!offered) {
    return std::move(done)(Declined(
        MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat("no application here offers ", call.method))));
  }
  if (app == nullptr && draining_) return std::move(done)(Declined(BackplaneUnavailable("this node is draining")));
  if (app == nullptr) {
    return std::move(done)(Declined(MakeError(
        v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("every application that offers ", call.method, " here is busy"),
        {{"limit", "max_in_flight"}})));
  }
  if (call.deadline <= now) {
    return std::move(done)(Failed(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "the call came after its deadline")));
  }
  if (by_caller_.contains({call.caller, call.id})) {
    return std::move(done)(Failed(absl::InternalError("the asking node used one call id twice")));
  }
  const CallKey key = next_call_++;
  app->last_picked = ++picks_;
  Running running{
      .app = app_id, .caller = call.caller, .caller_id = call.id, .deadline = call.deadline, .done = std::move(done)};
  if (!app->stream->SendCall(absl::StrCat(key), std::move(call))) {
    return std::move(running.done)(Declined(MakeError(
        v1::ERROR_REASON_LIMIT_EXCEEDED, "the application has too much to read already", {{"limit", "outbox"}})));
  }
  app->in_flight.insert(key);
  by_caller_.emplace(std::pair(running.caller, running.caller_id), key);
  by_deadline_.emplace(running.deadline, key);
  calls_.emplace(key, std::move(running));
}

MethodTable::App* MethodTable::LeastBusy(const std::string& method, AppId* id, bool* offered) {
  const auto replicas = replicas_.find(method);
  *offered = replicas != replicas_.end();
  if (!*offered) return nullptr;
  App* best = nullptr;
  for (const AppId candidate : replicas->second) {
    App& app = apps_.at(candidate);
    if (app.in_flight.size() >= app.max_in_flight || (draining_ && !app.stays)) continue;
    if (best == nullptr ||
        std::pair(app.in_flight.size(), app.last_picked) < std::pair(best->in_flight.size(), best->last_picked)) {
      best = &app;
      *id = candidate;
    }
  }
  return best;
}

size_t MethodTable::staying() const {
  return static_cast<size_t>(std::count_if(
      apps_.begin(), apps_.end(), [](const auto& app) { return app.second.stays && !app.second.methods.empty(); }));
}

void MethodTable::Cancel(const NodeRef& caller, uint64_t id) {
  const auto found = by_caller_.find({caller, id});
  if (found == by_caller_.end()) return;
  const CallKey key = found->second;
  Tell(key);
  End(key, Failed(absl::CancelledError("the caller gave up")));
}

void MethodTable::CallerLost(const NodeRef& caller) {
  std::vector<uint64_t> ids;
  for (auto it = by_caller_.lower_bound({caller, 0}); it != by_caller_.end() && it->first.first == caller; ++it) {
    ids.push_back(it->first.second);
  }
  for (const uint64_t id : ids) Cancel(caller, id);
}

absl::Time MethodTable::Expire(absl::Time now) {
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    const CallKey key = by_deadline_.begin()->second;
    Tell(key);
    End(key, Failed(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "the handler did not answer in time")));
  }
  std::vector<AppId> silent;
  for (const auto& [id, app] : apps_) {
    if (app.last_heard + app.heartbeat_timeout <= now) silent.push_back(id);
  }
  for (const AppId id : silent) {
    const auto app = apps_.find(id);
    if (app == apps_.end()) continue;  // The end of another's call took it away.
    const std::shared_ptr<Application> stream = app->second.stream;
    Detach(id);
    stream->Close(absl::DeadlineExceededError("no heartbeat within heartbeat_timeout"));
  }
  return next_due();
}

absl::Time MethodTable::next_due() const {
  absl::Time next = by_deadline_.empty() ? absl::InfiniteFuture() : by_deadline_.begin()->first;
  for (const auto& [id, app] : apps_) next = std::min(next, app.last_heard + app.heartbeat_timeout);
  return next;
}

void MethodTable::Drain(std::vector<std::string> alternatives) {
  draining_ = true;
  alternatives_ = std::move(alternatives);
  for (const auto& [id, app] : apps_) app.stream->SendDraining(alternatives_);
}

void MethodTable::CloseAll(const absl::Status& why) {
  while (!apps_.empty()) {
    const AppId id = apps_.begin()->first;
    const std::shared_ptr<Application> stream = apps_.begin()->second.stream;
    Detach(id);
    stream->Close(why);
  }
}

std::set<std::string> MethodTable::Methods() const {
  std::set<std::string> methods;
  for (const auto& [method, replicas] : replicas_) methods.insert(method);
  return methods;
}

void MethodTable::Tell(CallKey key) {
  const auto app = apps_.find(calls_.at(key).app);
  if (app != apps_.end()) app->second.stream->SendCancel(absl::StrCat(key));
}

void MethodTable::End(CallKey key, Outcome outcome) {
  const auto found = calls_.find(key);
  if (found == calls_.end()) return;
  Running call = std::move(found->second);
  calls_.erase(found);
  by_deadline_.erase({call.deadline, key});
  by_caller_.erase({call.caller, call.caller_id});
  const auto app = apps_.find(call.app);
  if (app != apps_.end()) app->second.in_flight.erase(key);
  std::move(call.done)(std::move(outcome));
}

}  // namespace actioncluster
