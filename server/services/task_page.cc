#include "server/services/task_page.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/services/task_proto.h"

namespace actioncluster {
namespace {

constexpr uint32_t kDefaultSize = 100;
constexpr uint32_t kMaxSize = 1000;

// As TaskStore gives it: a score and an id.
bool IsToken(const std::string& token) {
  const size_t colon = token.find(':');
  int64_t score = 0;
  return colon != std::string::npos && colon + 1 < token.size() && absl::SimpleAtoi(token.substr(0, colon), &score);
}

}  // namespace

absl::StatusOr<TaskPageRequest> TaskPageRequest::Parse(TaskFilter filter, TaskState state, uint32_t page_size,
                                                       const std::string& page_token) {
  if (page_size > kMaxSize) {
    return absl::InvalidArgumentError(absl::StrCat("page_size must be at most ", kMaxSize));
  }
  if (!page_token.empty() && !IsToken(page_token)) {
    return absl::InvalidArgumentError("page_token must be the next_page_token of a page before, or empty");
  }
  return TaskPageRequest{.filter = std::move(filter),
                         .state = state,
                         .size = static_cast<int>(page_size == 0 ? kDefaultSize : page_size),
                         .from = page_token};
}

TaskPageFlow::TaskPageFlow(const TaskRooms& rooms, TaskPageRequest request, Caller caller, Done done)
    : rooms_(rooms), request_(std::move(request)), caller_(std::move(caller)), done_(std::move(done)) {}

void TaskPageFlow::Start(const TaskRooms& rooms, TaskPageRequest request, Caller caller, Done done) {
  std::shared_ptr<TaskPageFlow> flow(new TaskPageFlow(rooms, std::move(request), std::move(caller), std::move(done)));
  flow->Read(flow->request_.size);
}

void TaskPageFlow::Read(int size) {
  if (caller_.gone()) return std::move(done_)(Caller::Gone());
  rooms_.store.List(request_.filter.queue(), request_.state, request_.from, size,
                    [self = shared_from_this()](absl::StatusOr<TaskStore::Page> page) {
                      if (!page.ok()) return std::move(self->done_)(page.status());
                      size_t bytes = 0;
                      for (const TaskView& task : page->tasks) bytes += SizeOf(task);
                      self->Convert(*std::move(page), bytes);
                    });
}

void TaskPageFlow::Convert(TaskStore::Page page, size_t bytes) {
  rooms_.offload.Run(bytes, [self = shared_from_this(), page = std::move(page)]() mutable {
    const size_t read = page.tasks.size();
    Page converted;
    converted.next = std::move(page.next);
    size_t size = 0;
    for (TaskView& task : page.tasks) {
      if (!self->request_.filter.Matches(task)) continue;
      v1::Task* proto = converted.tasks.Add();
      *proto = TaskToProto(std::move(task), self->request_.filter.queue());
      size += proto->ByteSizeLong() + 8;
    }
    if (size <= kMaxListingBytes || read <= 1) return std::move(self->done_)(std::move(converted));
    Loop& loop = self->rooms_.loop;
    loop.Post([self = std::move(self), read] { self->Read(static_cast<int>(read / 2)); });
  });
}

}  // namespace actioncluster
