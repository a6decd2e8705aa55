#include "server/workers/worker_host.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/domain/node_ref.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// A timer that is later than this was held up with the whole process: what workers sent meanwhile is still to be read.
constexpr absl::Duration kLate = absl::Seconds(1);
// How often the names of all queues are read while somebody takes all; that a queue is new is also announced.
constexpr absl::Duration kReadQueuesEvery = absl::Seconds(1);

}  // namespace

WorkerHost::WorkerHost(Loop& loop, const Bus& bus, const Membership& membership, TaskStore& store)
    : loop_(loop),
      bus_(bus),
      membership_(membership),
      store_(store),
      session_(RandomBootId()),
      table_(session_, store.lease()),
      random_(std::random_device{}()),
      timer_(loop, [this] { OnTimer(); }),
      queues_timer_(loop, [this] { ReadQueues(); }) {}

absl::StatusOr<WorkerHost::WorkerId> WorkerHost::Attach(WorkerSpec spec, std::shared_ptr<Worker> worker) {
  const std::string node_id = membership_.self().id;
  if (node_id.empty()) return BackplaneUnavailable("this node has not joined the cluster yet");
  const std::string worker_id = absl::StrCat(session_, "-", ++attached_);
  worker->SendStarted(worker_id, node_id, store_.lease() / 6);
  const WorkerId id = table_.Attach(std::move(spec), worker_id, std::move(worker), MonotonicNow());
  if (table_.wants_queues()) ReadQueues();
  Nudge();
  return id;
}

void WorkerHost::Heard(WorkerId id) {
  table_.Heard(id, MonotonicNow());
  Nudge();
}

void WorkerHost::Settle(WorkerId id, std::vector<WorkerOutcome> outcomes) {
  table_.Heard(id, MonotonicNow());
  table_.Settle(id, std::move(outcomes));
  Nudge();
}

void WorkerHost::Stop(WorkerId id) {
  table_.Stop(id);
  Nudge();
}

void WorkerHost::HasRoom(WorkerId /*id*/) { Nudge(); }

void WorkerHost::Detach(WorkerId id) {
  table_.Detach(id);
  Nudge();
}

void WorkerHost::OnServing() { Nudge(); }

void WorkerHost::OnBackplane(const absl::Status& state) {
  if (!state.ok()) return;
  table_.LookAgain(MonotonicNow());
  Nudge();
}

void WorkerHost::Drain(const std::vector<std::string>& alternatives) {
  table_.Drain(alternatives);
  Nudge();
}

void WorkerHost::CloseAll(const absl::Status& why) {
  table_.CloseAll(why);
  Nudge();
}

void WorkerHost::Flush(absl::Duration limit, absl::AnyInvocable<void() &&> done) {
  flushing_.push_back({.until = MonotonicNow() + limit, .done = std::move(done)});
  Nudge();
}

void WorkerHost::OnWake(const std::string& queue, const std::vector<uint64_t>& groups) {
  table_.OnWake(queue, groups);
  Nudge();
}

void WorkerHost::OnRevoked(const std::string& queue, const std::string& id, int64_t token, bool cancelled) {
  table_.OnRevoked({.queue = queue, .id = id, .token = token}, cancelled);
  Nudge();
}

void WorkerHost::OnAppeared(const std::string& queue) {
  if (reading_) appeared_.push_back(queue);
  table_.OnAppeared(queue);
  Nudge();
}

std::vector<WorkerView> WorkerHost::List() const {
  std::vector<WorkerView> views = table_.List();
  const auto to_redis = [this, now = MonotonicNow()](absl::Time monotonic) {
    return bus_.clock().known() ? bus_.clock().At(monotonic) : absl::Now() - (now - monotonic);
  };
  for (WorkerView& view : views) {
    view.last_heard = to_redis(view.last_heard);
    for (WorkerView::Working& working : view.tasks) working.since = to_redis(working.since);
  }
  return views;
}

void WorkerHost::Nudge() {
  if (std::exchange(nudged_, true)) return;
  loop_.Post([this, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) Pump();
  });
}

void WorkerHost::Pump() {
  nudged_ = false;
  const absl::Time now = MonotonicNow();
  table_.SetNode(membership_.self(), membership_.Serving());
  table_.Expire(now);
  for (const WorkerTable::OutgoingTurn& turn : table_.TakeTurns(now)) {
    store_.Turn(
        turn.queue, *turn.turn,
        [this, alive = std::weak_ptr<const bool>(alive_), queue = turn.queue](absl::StatusOr<TaskTurnResult> result) {
          if (!alive.expired()) OnTurn(queue, std::move(result));
        });
  }
  absl::Time due = table_.next_due();
  const auto over = std::stable_partition(flushing_.begin(), flushing_.end(), [&](const Flushing& flushing) {
    return !table_.idle() && now < flushing.until;
  });
  std::vector<Flushing> flushed(std::make_move_iterator(over), std::make_move_iterator(flushing_.end()));
  flushing_.erase(over, flushing_.end());
  for (const Flushing& flushing : flushing_) due = std::min(due, flushing.until);
  armed_for_ = due;
  timer_.Set(due);
  for (Flushing& flushing : flushed) std::move(flushing.done)();
}

void WorkerHost::OnTurn(const std::string& queue, absl::StatusOr<TaskTurnResult> result) {
  const absl::Time now = MonotonicNow();
  if (result.ok()) {
    std::optional<absl::Time> retry_at;
    if (result->retry_at.has_value()) {
      retry_at = bus_.clock().known() ? bus_.clock().ToMonotonic(*result->retry_at) : now + kReadQueuesEvery;
    }
    table_.OnTurn(queue, *std::move(result), retry_at, now);
  } else {
    LOG_EVERY_N(WARNING, 100) << "turn of tasks lost queue=" << queue << " error=" << result.status();
    table_.OnTurnLost(queue, result.status(), now);
  }
  Nudge();
}

void WorkerHost::OnTimer() {
  const absl::Time due = std::exchange(armed_for_, absl::InfiniteFuture());
  const absl::Time now = MonotonicNow();
  if (now > due + kLate) table_.HeardAll(now);
  Pump();
}

void WorkerHost::ReadQueues() {
  if (!table_.wants_queues()) return;
  const double spread = std::uniform_real_distribution<double>(0.75, 1.25)(random_);
  queues_timer_.Set(MonotonicNow() + kReadQueuesEvery * spread);
  if (std::exchange(reading_, true)) return;
  appeared_.clear();
  store_.ListQueues([this, alive = std::weak_ptr<const bool>(alive_)](absl::StatusOr<std::vector<std::string>> names) {
    if (alive.expired()) return;
    reading_ = false;
    if (!names.ok()) return;  // The timer tries again.
    // What has appeared meanwhile may be missing in the answer.
    names->insert(names->end(), appeared_.begin(), appeared_.end());
    table_.SetQueues(*names);
    Nudge();
  });
}

}  // namespace actioncluster
