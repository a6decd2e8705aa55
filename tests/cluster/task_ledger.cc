#include "tests/cluster/task_ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "actioncluster/v1/tasks.pb.h"
#include "glog/logging.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {
namespace {

using Kind = TaskEvent::Kind;

constexpr std::array<absl::string_view, 5> kKinds = {"begun", "completed", "failed", "recorded", "revoked"};

TaskEvent Parse(absl::string_view line, const std::string& worker) {
  const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 6));
  CHECK_EQ(words.size(), 7U) << worker << ": " << line;
  const auto* const kind = std::ranges::find(kKinds, words[0]);
  CHECK(kind != kKinds.end()) << worker << ": " << line;
  TaskEvent event = {
      .kind = static_cast<Kind>(kind - kKinds.begin()), .reason = words[5], .task_id = words[6], .worker = worker};
  int64_t microseconds = 0;
  CHECK(absl::SimpleAtoi(words[1], &microseconds) && absl::SimpleAtoi(words[2], &event.token) &&
        absl::SimpleAtoi(words[3], &event.attempt) && absl::SimpleAtoi(words[4], &event.lost_leases))
      << worker << ": " << line;
  event.time = absl::FromUnixMicros(microseconds);
  return event;
}

bool IsDone(const TaskEvent& event) {
  return event.kind == Kind::kRecorded && event.reason == absl::StrCat(v1::TASK_STATE_DONE);
}

std::string Describe(const std::vector<TaskEvent>& events) {
  std::string text;
  for (const TaskEvent& event : events) {
    absl::StrAppend(&text, "\n  ", absl::FormatTime("%H:%M:%E3S", event.time, absl::UTCTimeZone()), " ", event.worker,
                    " ", kKinds[static_cast<size_t>(event.kind)], " token=", event.token, " attempt=", event.attempt,
                    " lost=", event.lost_leases, " ", event.reason);
  }
  return text;
}

}  // namespace

LedgerFile::LedgerFile(const std::string& path)
    : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  PCHECK(fd_ >= 0) << path;
}

LedgerFile::~LedgerFile() { close(fd_); }

void LedgerFile::Write(const TaskEvent& event) const {
  const std::string line = absl::StrCat(kKinds[static_cast<size_t>(event.kind)], " ", absl::ToUnixMicros(absl::Now()),
                                        " ", event.token, " ", event.attempt, " ", event.lost_leases, " ",
                                        event.reason.empty() ? "-" : event.reason, " ", event.task_id, "\n");
  PCHECK(write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

std::vector<TaskEvent> ReadLedger(const std::string& path, const std::string& worker) {
  std::vector<TaskEvent> events;
  const std::string text = ReadFile(path);
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    // A worker that writes at this moment may have its last line half in the file.
    if (line.data() + line.size() == text.data() + text.size()) break;
    events.push_back(Parse(line, worker));
  }
  return events;
}

TaskLedger::TaskLedger(const std::map<std::string, std::string>& paths) {
  for (const auto& [worker, path] : paths) {
    for (TaskEvent& event : ReadLedger(path, worker)) tasks_[event.task_id].push_back(std::move(event));
  }
  for (auto& [task_id, events] : tasks_) {
    std::ranges::stable_sort(events, {},
                             [](const TaskEvent& event) { return std::make_tuple(event.token, event.time); });
    Judge(task_id, events);
  }
}

std::vector<TaskEvent> TaskLedger::EventsOf(const std::string& task_id) const {
  const auto found = tasks_.find(task_id);
  return found == tasks_.end() ? std::vector<TaskEvent>() : found->second;
}

std::vector<TaskEvent> TaskLedger::EventsOf(const std::string& task_id, TaskEvent::Kind kind) const {
  std::vector<TaskEvent> events = EventsOf(task_id);
  std::erase_if(events, [kind](const TaskEvent& event) { return event.kind != kind; });
  return events;
}

int TaskLedger::CountOf(TaskEvent::Kind kind) const {
  int count = 0;
  for (const auto& [task_id, events] : tasks_) {
    count += static_cast<int>(std::ranges::count(events, kind, &TaskEvent::kind));
  }
  return count;
}

void TaskLedger::Judge(const std::string& task_id, const std::vector<TaskEvent>& events) {
  const auto report = [&](absl::string_view what) {
    problems_.push_back(absl::StrCat(task_id, ": ", what, Describe(events)));
  };
  const TaskEvent* before = nullptr;  // The start before.
  const TaskEvent* failed = nullptr;  // An outcome of that, after it.
  int done = 0;
  for (const TaskEvent& event : events) {
    if (event.kind == Kind::kFailed) failed = &event;
    if (IsDone(event)) {
      ++done;
      if (before == nullptr || before->token != event.token) report("recorded by a token that no ledger has begun");
    }
    if (event.kind != Kind::kBegun) continue;
    if (before != nullptr) {
      ++repeats_;
      if (event.token <= before->token) report("begun twice by one token");
      if (event.lost_leases < before->lost_leases || event.attempt < before->attempt) report("counts went back");
      if (event.lost_leases == before->lost_leases && event.attempt == before->attempt)
        report("begun again though nothing was lost");
      if (event.attempt > before->attempt && failed == nullptr) report("a further attempt though none has failed");
    }
    if (done > 0) report("begun after it was recorded as done");
    before = &event;
    failed = nullptr;
  }
  if (done > 1) report("recorded as done twice");
}

}  // namespace actioncluster::cluster
