#include "client/outcome_box.h"

#include <set>
#include <variant>

namespace actioncluster::client {
namespace {

// Nodes read frames of 8 MiB, and one outcome has at most 5: a frame that goes beyond both of these by one is still read.
constexpr size_t kFullFrame = size_t{1} * 1024 * 1024;
constexpr size_t kMaxProgressInFrame = size_t{1} * 1024 * 1024;

size_t SizeOf(const TaskOutcome& outcome) {
  return std::visit([](const auto& message) { return message.ByteSizeLong(); }, outcome);
}

}  // namespace

void OutcomeBox::Add(v1::WorkRequest::Progress progress) {
  TaskKey key(progress.task_id(), progress.token());
  progress_[std::move(key)] = std::move(progress);
}

void OutcomeBox::Fill(v1::WorkRequest::Outcomes* frame) {
  std::set<TaskKey> later;  // Their progress goes first.
  for (const auto& [key, progress] : progress_) later.insert(key);
  size_t bytes = 0;
  for (auto next = progress_.upper_bound(last_); !progress_.empty(); next = progress_.erase(next)) {
    if (next == progress_.end()) next = progress_.begin();
    bytes += next->second.ByteSizeLong();
    if (bytes > kMaxProgressInFrame) break;
    last_ = next->first;
    *frame->add_progress() = std::move(next->second);
  }
  bytes = 0;
  std::deque<TaskOutcome> kept;
  for (TaskOutcome& outcome : std::exchange(outcomes_, {})) {
    const bool waits = std::visit(
        [&](const auto& message) {
          return later.contains({message.task_id(), message.token()});
        },
        outcome);
    if (waits || bytes >= kFullFrame) {
      kept.push_back(std::move(outcome));
      continue;
    }
    bytes += SizeOf(outcome);
    if (auto* const completed = std::get_if<v1::WorkRequest::Completed>(&outcome)) {
      *frame->add_completed() = std::move(*completed);
    } else {
      *frame->add_failed() = std::move(std::get<v1::WorkRequest::Failed>(outcome));
    }
  }
  outcomes_ = std::move(kept);
}

void OutcomeBox::Clear() {
  outcomes_.clear();
  progress_.clear();
}

}  // namespace actioncluster::client
