#ifndef ACTIONCLUSTER_CLIENT_TASK_CHECK_H_
#define ACTIONCLUSTER_CLIENT_TASK_CHECK_H_

#include <cstddef>

#include "absl/status/status.h"
#include "actioncluster/v1/tasks.pb.h"

// What a worker may send: what no node could read would end the stream with all other tasks on it, and what is no JSON or too large is better said here, where it was
// made. What else nodes refuse is theirs to say. Pure functions; any thread.
namespace actioncluster::client {

// As tasks.proto says.
inline constexpr size_t kMaxResultBytes = size_t{1024} * 1024;
inline constexpr size_t kMaxProgressBytes = size_t{64} * 1024;
inline constexpr int kMaxFollowUps = 100;
// Of all follow-ups of one task together: no frame can be much larger.
inline constexpr size_t kMaxFollowUpBytes = size_t{4} * 1024 * 1024;

// `what`, as "the result", begins the message. RESOURCE_EXHAUSTED, INVALID_ARGUMENT.
absl::Status CheckContent(const v1::Task::Content& content, size_t most, const char* what);
// INVALID_ARGUMENT.
absl::Status CheckFollowUp(const v1::EnqueueRequest& request);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_TASK_CHECK_H_
