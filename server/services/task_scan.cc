#include "server/services/task_scan.h"

#include <utility>

namespace actioncluster {
namespace {

constexpr int kPage = 500;

}  // namespace

TaskScan::TaskScan(const TaskRooms& rooms, TaskFilter filter, std::vector<TaskState> states, Caller caller,
                   OnPage on_page, Done done)
    : rooms_(rooms),
      filter_(std::move(filter)),
      states_(std::move(states)),
      caller_(std::move(caller)),
      on_page_(std::move(on_page)),
      done_(std::move(done)) {}

void TaskScan::Start(const TaskRooms& rooms, TaskFilter filter, std::vector<TaskState> states, Caller caller,
                     OnPage on_page, Done done) {
  std::shared_ptr<TaskScan> scan(new TaskScan(rooms, std::move(filter), std::move(states), std::move(caller),
                                              std::move(on_page), std::move(done)));
  scan->ReadPage();
}

void TaskScan::ReadPage() {
  if (caller_.gone()) return std::move(done_)(Caller::Gone());
  if (state_ == states_.size()) return std::move(done_)(absl::OkStatus());
  rooms_.store.List(filter_.queue(), states_[state_], from_, kPage,
                    [self = shared_from_this()](absl::StatusOr<TaskStore::Page> page) {
                      if (!page.ok()) return std::move(self->done_)(page.status());
                      self->Match(*std::move(page));
                    });
}

void TaskScan::Match(TaskStore::Page page) {
  from_ = std::move(page.next);
  if (from_.empty()) ++state_;
  size_t bytes = 0;
  if (filter_.has_input()) {
    for (const TaskView& task : page.tasks) bytes += task.input.has_value() ? task.input->body.size() : 0;
  }
  rooms_.offload.Run(bytes, [self = shared_from_this(), tasks = std::move(page.tasks)]() mutable {
    std::vector<std::string> ids;
    ids.reserve(tasks.size());
    for (TaskView& task : tasks) {
      if (self->filter_.Matches(task)) ids.push_back(std::move(task.id));
    }
    Loop& loop = self->rooms_.loop;
    loop.Post([self = std::move(self), ids = std::move(ids)]() mutable { self->Matched(std::move(ids)); });
  });
}

void TaskScan::Matched(std::vector<std::string> ids) {
  if (!ids.empty()) on_page_(std::move(ids));
  ReadPage();
}

TaskChange::TaskChange(TaskStore& store, std::string queue, TaskStore::Change change, Done done)
    : store_(store), queue_(std::move(queue)), change_(change), done_(std::move(done)) {}

void TaskChange::Start(const TaskRooms& rooms, TaskFilter filter, std::vector<TaskState> states,
                       TaskStore::Change change, const Caller& caller, Done done) {
  std::shared_ptr<TaskChange> self(new TaskChange(rooms.store, filter.queue(), change, std::move(done)));
  TaskScan::Start(
      rooms, std::move(filter), std::move(states), caller,
      [self](const std::vector<std::string>& ids) { self->Apply(ids); },
      [self](const absl::Status& status) { self->Ended(status); });
}

void TaskChange::Apply(const std::vector<std::string>& ids) {
  ++under_way_;
  store_.Apply(queue_, change_, ids, [self = shared_from_this()](absl::StatusOr<TaskStore::Changed> changed) {
    if (changed.ok()) {
      for (const TaskStore::Changed::Kind kind : changed->kinds) {
        if (kind == TaskStore::Changed::Kind::kDone) ++self->changed_;
      }
    }
    self->Ended(changed.status());
  });
}

void TaskChange::Ended(const absl::Status& status) {
  status_.Update(status);
  if (--under_way_ > 0) return;
  if (!status_.ok()) return std::move(done_)(status_);
  std::move(done_)(changed_);
}

}  // namespace actioncluster
