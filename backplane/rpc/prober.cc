#include "backplane/rpc/prober.h"

#include <utility>

#include "absl/time/time.h"
#include "backplane/domain/clock.h"

namespace actioncluster {
namespace {

// A call that has waited for less is not worth a question.
constexpr absl::Duration kProbeEvery = absl::Milliseconds(200);

}  // namespace

Prober::Prober(Loop& loop, Bus& bus, PendingCalls& pending)
    : bus_(bus), pending_(pending), timer_(loop, [this] { Probe(); }) {}

void Prober::Arm() {
  if (armed_) return;
  armed_ = true;
  timer_.Set(MonotonicNow() + kProbeEvery);
}

void Prober::Probe() {
  armed_ = false;
  std::vector<std::string> awaited = pending_.AwaitedSince(MonotonicNow() - kProbeEvery);
  if (awaited.empty()) {
    deaf_.clear();
    if (pending_.size() > 0) Arm();
    return;
  }
  armed_ = true;
  bus_.FindDeaf(std::move(awaited), [weak = weak_from_this()](const absl::StatusOr<std::vector<std::string>>& deaf) {
    if (const std::shared_ptr<Prober> self = weak.lock()) self->Heard(deaf);
  });
}

void Prober::Heard(const absl::StatusOr<std::vector<std::string>>& deaf) {
  armed_ = false;
  Arm();
  std::set<std::string> now;
  if (deaf.ok()) now.insert(deaf->begin(), deaf->end());
  now.swap(deaf_);
  const std::set<std::string>& before = now;
  std::vector<std::string> lost;
  for (const std::string& boot : deaf_) {
    if (before.contains(boot)) lost.push_back(boot);
  }
  for (const std::string& boot : lost) pending_.Lost(boot);
}

}  // namespace actioncluster
