#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_SCHEDULE_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_SCHEDULE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"

namespace actioncluster {

// When a recurring task is due: a sequence of instants, its slots. Immutable; reads no clock; any thread.
class Schedule {
 public:
  virtual ~Schedule() = default;

  // INVALID_ARGUMENT with what is wrong, and where: a field of the cron expression, an unknown time zone, a date that never comes (`0 0 30 2 *`).
  static absl::StatusOr<std::unique_ptr<const Schedule>> Parse(const internal::v1::RecurringRecord& record);

  // The first slot after this instant; nothing if there is none any more.
  virtual std::optional<absl::Time> After(absl::Time instant) const = 0;
};

// What of a schedule has to be enqueued now.
struct DueSlots {
  std::vector<absl::Time> slots;   // One task for each, in order.
  std::optional<absl::Time> next;  // The cursor after that. Unset: the schedule has ended.
};

// `cursor`: the first slot that was not enqueued, at most `now`. Slots before `missed_until` passed while nobody looked: they are dropped, or are one task, for the last of
// them, if `run_once`. At most `most` slots are given; the others wait for the next time. Pure.
DueSlots SlotsDue(const Schedule& schedule, absl::Time cursor, absl::Time now, absl::Time missed_until, bool run_once,
                  int most);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_SCHEDULE_H_
