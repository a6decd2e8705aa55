#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_CRON_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_CRON_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"

namespace actioncluster {

// A cron expression: which readings of a clock fit, whatever time zone the clock shows. What happens when that clock is put forward or back is the schedule's.
//
// Five fields (minute, hour, day of month, month, day of week), or six with seconds in front; each a list of `*`, `a` and `a-b`, and behind each `/step` (`a/step` is `a-LAST/step`). Months
// and days of the week have names too, of three letters; 0 and 7 are Sunday. Of the two days either fits if both are restricted; one that begins with `*` is not, and
// then both have to fit. Or one of `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`. Upper and lower case are the same.
//
// Immutable; any thread.
class Cron {
 public:
  // INVALID_ARGUMENT with the field and what is wrong with it, or because no date fits.
  static absl::StatusOr<Cron> Parse(absl::string_view expression);

  // The first reading after this one that fits.
  absl::CivilSecond After(absl::CivilSecond reading) const;

  // The hour is `*` or has a step: it means "each so many hours", not a time of the day.
  bool counts_hours() const { return counts_hours_; }

 private:
  // A bit for each value that fits.
  using Values = uint64_t;
  struct Time {
    int hour, minute, second;
  };

  bool Fits(absl::CivilDay day) const;
  std::optional<absl::CivilDay> DayFrom(absl::CivilDay day) const;
  std::optional<Time> TimeFrom(Time time) const;

  Values seconds_ = 1, minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool either_day_ = false;
  bool counts_hours_ = false;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_CRON_H_
