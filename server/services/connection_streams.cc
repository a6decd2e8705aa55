#include "server/services/connection_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/services/connection_stream.h"

namespace actioncluster {

ConnectionStreams::ConnectionStreams(Loop& loop, ConnectionHost& host, Limits limits)
    : loop_(loop), host_(host), limits_(limits), timer_(loop, [this] { Cut(); }) {}

ConnectionStreams::~ConnectionStreams() = default;

absl::Status ConnectionStreams::Come() {
  if (open_.fetch_add(1, std::memory_order_relaxed) < limits_.connections) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   absl::StrCat("this node has ", limits_.connections, " connections, and takes no more"),
                   {{"limit", "connections"}});
}

void ConnectionStreams::CutLater(std::weak_ptr<ConnectionStream> stream) {
  const bool first = ending_.empty();
  ending_.push_back({.due = MonotonicNow() + kLinger, .stream = std::move(stream)});
  if (first) timer_.Set(ending_.front().due);
}

void ConnectionStreams::Cut() {
  const absl::Time now = MonotonicNow();
  while (!ending_.empty() && ending_.front().due <= now) {
    if (const std::shared_ptr<ConnectionStream> stream = ending_.front().stream.lock()) stream->Cut();
    ending_.pop_front();
  }
  if (!ending_.empty()) timer_.Set(ending_.front().due);
}

}  // namespace actioncluster
