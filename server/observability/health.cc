#include "server/observability/health.h"

#include <utility>

#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(200);

}  // namespace

Health::Health(Loop& loop, Bus& bus, Membership& membership, const DrainSequence& drain,
               absl::AnyInvocable<void(bool serving)> changed)
    : bus_(bus), membership_(membership), drain_(drain), changed_(std::move(changed)), timer_(loop, [this] {
        Look();
      }) {
  bus_.OnState([this](const absl::Status&) { timer_.Set(MonotonicNow()); });
  membership_.OnServing([this](bool) { timer_.Set(MonotonicNow()); });
  timer_.Set(MonotonicNow());
}

void Health::Look() {
  timer_.Set(MonotonicNow() + kLookEvery);
  const bool serving = bus_.state().ok() && membership_.Serving() && !drain_.begun();
  if (serving == serving_) return;
  serving_ = serving;
  LOG(INFO) << "health serving=" << serving << " bus=\"" << bus_.state() << "\" lease=" << membership_.Serving()
            << " draining=" << drain_.begun();
  changed_(serving);
}

}  // namespace actioncluster
