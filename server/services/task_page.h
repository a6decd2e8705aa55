#ifndef ACTIONCLUSTER_SERVER_SERVICES_TASK_PAGE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_TASK_PAGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actioncluster/v1/tasks.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/services/task_filter.h"
#include "server/services/task_scan.h"

namespace actioncluster {

// Which page of which tasks is wanted: valid.
struct TaskPageRequest {
  // INVALID_ARGUMENT for a size or a token that no page has.
  static absl::StatusOr<TaskPageRequest> Parse(TaskFilter filter, TaskState state, uint32_t page_size,
                                               const std::string& page_token);

  TaskFilter filter;
  TaskState state;
  int size;
  std::string from;
};

// Reads one page, and converts it off the I/O thread. One that is too large for gRPC's clients is read again, shorter. Confined to the I/O thread, but for `done`.
class TaskPageFlow : public std::enable_shared_from_this<TaskPageFlow> {
 public:
  struct Page {
    google::protobuf::RepeatedPtrField<v1::Task> tasks;  // Those that match.
    std::string next;                                    // Empty: that was the last.
  };
  // On any thread.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Page>) &&>;

  static void Start(const TaskRooms& rooms, TaskPageRequest request, Caller caller, Done done);

 private:
  TaskPageFlow(const TaskRooms& rooms, TaskPageRequest request, Caller caller, Done done);
  void Read(int size);
  void Convert(TaskStore::Page page, size_t bytes);

  const TaskRooms rooms_;
  const TaskPageRequest request_;
  const Caller caller_;
  Done done_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_TASK_PAGE_H_
