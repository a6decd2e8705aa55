#ifndef ACTIONCLUSTER_SERVER_SERVICES_RECURRING_PROTO_H_
#define ACTIONCLUSTER_SERVER_SERVICES_RECURRING_PROTO_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/tasks/schedule.h"
#include "backplane/tasks/task.h"

// Between the public messages of recurring tasks and what Redis keeps of them. Pure; any thread.
namespace actioncluster {

// A schedule that is valid.
struct Recurring {
  std::string queue;
  std::string id;
  internal::v1::RecurringRecord record;
  std::string timing;  // When its slots are: the same text, the same slots.
  std::shared_ptr<const Schedule> schedule;
};

// INVALID_ARGUMENT, or LIMIT_EXCEEDED for a task that is too large.
absl::StatusOr<Recurring> RecurringOf(const v1::ScheduleRecurringRequest& request);

// As it was given; what is as by default is not set. A record that does not parse gives the id alone.
v1::ListRecurringResponse::Recurring RecurringToProto(const RecurringView& view, const std::string& queue);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_RECURRING_PROTO_H_
