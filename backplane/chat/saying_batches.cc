#include "backplane/chat/saying_batches.h"

#include <utility>

#include "backplane/domain/error.h"
#include "glog/logging.h"

namespace actioncluster {

SayingBatches::~SayingBatches() {
  for (auto& [room, line] : lines_) {
    for (Waiting& waiting : line.waiting) std::move(waiting.done)(BackplaneUnavailable("this node is stopping"));
  }
}

absl::Status SayingBatches::HasRoomFor(const std::string& room, const RoomSaying& saying) const {
  const auto line = lines_.find(room);
  if (line == lines_.end()) return absl::OkStatus();
  if (line->second.waiting.size() >= kMaxWaiting) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "too many wait to say something in this room",
                     {{"limit", "waiting_sayings"}});
  }
  if (line->second.bytes + saying.content.body.size() > kMaxWaitingBytes) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "too much waits to be said in this room",
                     {{"limit", "waiting_saying_bytes"}});
  }
  return absl::OkStatus();
}

void SayingBatches::Add(const std::string& room, RoomSaying saying, Done done) {
  const auto [at, alone] = lines_.try_emplace(room);
  at->second.bytes += saying.content.body.size();
  at->second.waiting.push_back({std::move(saying), std::move(done)});
  if (alone) SendNext(room);
}

void SayingBatches::SendNext(const std::string& room) {
  const auto line = lines_.find(room);
  std::deque<Waiting>& waiting = line->second.waiting;
  if (waiting.empty()) {
    lines_.erase(line);
    return;
  }
  std::vector<RoomSaying> sayings;
  std::vector<Done> dones;
  size_t bytes = 0;
  while (!waiting.empty() && sayings.size() < kMaxSayings) {
    const size_t more = waiting.front().saying.content.body.size();
    if (!sayings.empty() && bytes + more > kMaxBytes) break;
    bytes += more;
    sayings.push_back(std::move(waiting.front().saying));
    dones.push_back(std::move(waiting.front().done));
    waiting.pop_front();
  }
  line->second.bytes -= bytes;
  send_(room, std::move(sayings),
        [this, alive = std::weak_ptr<const bool>(alive_), room,
         dones = std::move(dones)](std::vector<absl::StatusOr<RoomSaid>> said) mutable {
          CHECK_EQ(dones.size(), said.size());
          // The next batch is on its way before anybody hears of this one.
          if (!alive.expired()) SendNext(room);
          for (size_t i = 0; i < dones.size(); ++i) std::move(dones[i])(std::move(said[i]));
        });
}

}  // namespace actioncluster
