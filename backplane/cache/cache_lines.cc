#include "backplane/cache/cache_lines.h"

#include <map>
#include <string>
#include <utility>

#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/domain/clock.h"

namespace actioncluster {

using internal::v1::Envelope;
using internal::v1::TurnSignal;

CacheLines::CacheLines(Loop& loop, Bus& bus, Membership& membership, const Keys& keys)
    : loop_(loop), bus_(bus), membership_(membership), keys_(keys), timer_(loop, [this] { Pump(); }) {
  bus.Handle(Envelope::kTurnSignal, [this](const Envelope& envelope, absl::Time) {
    const TurnSignal& signal = envelope.turn_signal();
    table_.TurnOf({signal.list() ? CacheLineRef::Kind::kList : CacheLineRef::Kind::kLock, signal.key()},
                  {signal.waiters().begin(), signal.waiters().end()});
    Pump();
  });
  bus.OnState([this](const absl::Status& state) {
    if (state.ok()) Doubt();
  });
  // Its boot may be another.
  membership.OnServing([this](bool serving) {
    if (serving) Doubt();
  });
}

CacheLines::WaitId CacheLines::Wait(const CacheLineRef& line, absl::Time deadline, std::unique_ptr<LineWait> wait) {
  const WaitId id = table_.Add(line, deadline);
  waits_.emplace(id, std::move(wait));
  Pump();
  return id;
}

void CacheLines::Cancel(WaitId id) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) return;
  // Not inside its own call: whoever cancels may be called by it.
  const std::shared_ptr<LineWait> wait = found->second;
  if (!table_.Cancel(id)) waits_.erase(id);
  Pump();
}

void CacheLines::Pass(const CacheLineRef& line, const std::vector<CacheWaiter>& waiters) {
  std::map<std::string, TurnSignal> by_boot;
  for (const CacheWaiter& waiter : waiters) by_boot[waiter.boot].add_waiters(waiter.number);
  for (auto& [boot, signal] : by_boot) {
    const std::vector<uint64_t> numbers(signal.waiters().begin(), signal.waiters().end());
    if (boot == membership_.self().boot) {
      loop_.Post([this, alive = std::weak_ptr<const bool>(alive_), line, numbers] {
        if (alive.expired()) return;
        table_.TurnOf(line, numbers);
        Pump();
      });
      continue;
    }
    signal.set_key(line.key);
    signal.set_list(line.kind == CacheLineRef::Kind::kList);
    Envelope envelope;
    *envelope.mutable_turn_signal() = std::move(signal);
    bus_.Publish(keys_.ChannelBoot(boot), std::move(envelope),
                 [this, alive = std::weak_ptr<const bool>(alive_), line, boot = boot,
                  numbers](const absl::StatusOr<int64_t>& receivers) {
                   if (alive.expired() || !receivers.ok() || *receivers > 0) return;
                   // That node has died, or listens as another boot: nobody waits there. If it is away only for a moment, it will see that it was taken out.
                   store_->Wait(line, boot, /*waiting=*/false, numbers,
                                [](const absl::StatusOr<CacheStore::Watch>&) {});
                 });
  }
}

void CacheLines::Pump() {
  absl::Time next;
  LineTable::Actions actions = table_.Take(MonotonicNow(), &next);
  timer_.Set(next);
  for (const WaitId id : actions.attempts) Try(id);
  for (const LineTable::Actions::Word& word : actions.words) Say(word);
  for (const WaitId id : actions.timed_out) {
    loop_.Post([this, alive = std::weak_ptr<const bool>(alive_), id] {
      if (!alive.expired()) TimedOut(id);
    });
  }
}

void CacheLines::TimedOut(WaitId id) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) return;  // Cancelled in the last moment.
  const std::shared_ptr<LineWait> wait = found->second;
  waits_.erase(found);
  wait->TimedOut();
}

void CacheLines::Try(WaitId id) {
  const std::shared_ptr<LineWait> wait = waits_.at(id);
  const auto tried = [this, alive = std::weak_ptr<const bool>(alive_), id, wait](LineWait::Outcome outcome) {
    if (!alive.expired()) Tried(id, *wait, outcome);
  };
  const std::string& boot = membership_.self().boot;
  if (!boot.empty()) return wait->Try({.boot = boot, .number = id}, tried);
  // Between two boots: when there is one, all are tried.
  loop_.Post([tried] { tried({.result = LineTable::Result::kWaits, .changes_in = std::nullopt}); });
}

void CacheLines::Tried(WaitId id, LineWait& wait, LineWait::Outcome outcome) {
  const bool wanted = table_.Tried(id, outcome.result, outcome.changes_in, MonotonicNow());
  if (outcome.result != LineTable::Result::kWaits || !wanted) waits_.erase(id);
  if (!wanted) {
    if (outcome.result == LineTable::Result::kGot) wait.GiveBack();
  } else if (outcome.result != LineTable::Result::kWaits) {
    wait.Finish();
  }
  Pump();
}

void CacheLines::Say(const LineTable::Actions::Word& word) {
  store_->Wait(word.line, membership_.self().boot, word.waiting, word.gone,
               [this, alive = std::weak_ptr<const bool>(alive_),
                line = word.line](const absl::StatusOr<CacheStore::Watch>& watch) {
                 if (alive.expired()) return;
                 table_.Said(line, watch.ok(), watch.ok() ? *watch : CacheStore::Watch{}, MonotonicNow());
                 Pump();
               });
}

void CacheLines::Doubt() {
  table_.Doubt();
  Pump();
}

}  // namespace actioncluster
