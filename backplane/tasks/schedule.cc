#include "backplane/tasks/schedule.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "backplane/tasks/cron.h"

namespace actioncluster {
namespace {

// Redis keeps cursors as doubles of microseconds, which are exact until the year 2255.
const absl::Time kEnd = absl::UnixEpoch() + absl::Microseconds(int64_t{1} << 53);

constexpr int64_t kShortestUs = 100'000;
constexpr int64_t kLongestUs = int64_t{366} * 24 * 3600 * 1'000'000;

class Every final : public Schedule {
 public:
  explicit Every(absl::Duration period) : period_(period) {}

  std::optional<absl::Time> After(absl::Time instant) const override {
    if (instant >= kEnd) return std::nullopt;
    if (instant < absl::UnixEpoch()) return absl::UnixEpoch();
    const absl::Duration since = instant - absl::UnixEpoch();
    return absl::UnixEpoch() + absl::Trunc(since, period_) + period_;
  }

 private:
  const absl::Duration period_;
};

class CronSchedule final : public Schedule {
 public:
  CronSchedule(Cron cron, absl::TimeZone zone) : cron_(cron), zone_(zone) {}

  std::optional<absl::Time> After(absl::Time instant) const override {
    if (instant >= kEnd) return std::nullopt;
    instant = std::max(instant, absl::UnixEpoch() - absl::Seconds(1));
    return cron_.counts_hours() ? ByElapsedTime(instant) : ByTimeOfDay(instant);
  }

 private:
  // Each time of a day once: if the clock skips it, when the clock has skipped; if it comes twice, the first time.
  absl::Time ByTimeOfDay(absl::Time instant) const {
    absl::CivilSecond reading = zone_.At(instant).cs;
    absl::Time slot;
    do {
      reading = cron_.After(reading);
      const absl::TimeZone::TimeInfo there = zone_.At(reading);
      slot = there.kind == absl::TimeZone::TimeInfo::SKIPPED ? there.trans : there.pre;
    } while (slot <= instant);  // What the clock shows the second time was there before.
    return slot;
  }

  // Whenever the clock shows such a time; what it skips is not there. Goes from one change of the clock to the next.
  std::optional<absl::Time> ByElapsedTime(absl::Time instant) const {
    const absl::TimeZone::CivilInfo now = zone_.At(instant);
    absl::CivilSecond reading = now.cs;
    absl::Time then = instant - now.subsecond;
    absl::Time changed = instant;
    while (changed < kEnd) {
      const absl::CivilSecond fits = cron_.After(reading);
      absl::TimeZone::CivilTransition change;
      if (!zone_.NextTransition(changed, &change) || fits < change.from) return then + absl::Seconds(fits - reading);
      changed = then + absl::Seconds(change.from - reading);
      // As if the clock had been so the second before: the first second after the change may fit.
      then = changed - absl::Seconds(1);
      reading = change.to - 1;
    }
    return std::nullopt;
  }

  const Cron cron_;
  const absl::TimeZone zone_;
};

absl::Status UnknownZone(absl::string_view name) {
  return absl::InvalidArgumentError(
      absl::StrCat("time_zone: this node knows none that is called `", name, "`; one is `Europe/Berlin`"));
}

// A zone of the system's database. Abseil would read any file, and remembers each name that it is asked for.
absl::StatusOr<absl::TimeZone> ZoneOf(const std::string& name) {
  if (name.empty() || name == "UTC") return absl::UTCTimeZone();
  const bool plain = std::ranges::all_of(
      name, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_' || c == '+' || c == '-' || c == '/'; });
  // `localtime` is another zone on each machine.
  if (!plain || name.front() == '/' || name == "localtime") return UnknownZone(name);
  const char* const directory = std::getenv("TZDIR");
  std::error_code error;
  const auto path = std::filesystem::path(directory == nullptr ? "/usr/share/zoneinfo" : directory) / name;
  absl::TimeZone zone;
  if (!std::filesystem::is_regular_file(path, error) || !absl::LoadTimeZone(name, &zone)) return UnknownZone(name);
  return zone;
}

// The last slot before `end`. There is one, as far as `first` is one and before that. Halves the time between, as the slots may be many.
absl::Time LastBefore(const Schedule& schedule, absl::Time first, absl::Time end) {
  absl::Time last = first;
  absl::Time none_after = end;  // No slot lies between this and the end.
  while (none_after - last > absl::Microseconds(1)) {
    const absl::Time middle = last + (none_after - last) / 2;
    const std::optional<absl::Time> slot = schedule.After(middle);
    if (slot.has_value() && *slot < end) {
      last = *slot;
    } else {
      none_after = middle;
    }
  }
  return last;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Schedule>> Schedule::Parse(const internal::v1::RecurringRecord& record) {
  if (record.every_us() != 0) {
    if (!record.cron().empty()) return absl::InvalidArgumentError("of every and cron there must be one");
    if (record.every_us() < kShortestUs || record.every_us() > kLongestUs) {
      return absl::InvalidArgumentError("every: must be from 100 ms to 1 year");
    }
    return std::make_unique<Every>(absl::Microseconds(record.every_us()));
  }
  absl::StatusOr<Cron> cron = Cron::Parse(record.cron());
  if (!cron.ok()) return cron.status();
  const absl::StatusOr<absl::TimeZone> zone = ZoneOf(record.time_zone());
  if (!zone.ok()) return zone.status();
  return std::make_unique<CronSchedule>(*cron, *zone);
}

DueSlots SlotsDue(const Schedule& schedule, absl::Time cursor, absl::Time now, absl::Time missed_until, bool run_once,
                  int most) {
  DueSlots due;
  due.next = cursor;
  // The clock may have been set back since.
  missed_until = std::min(missed_until, now);
  if (cursor < missed_until) {
    const absl::Time last = LastBefore(schedule, cursor, missed_until);
    if (run_once) due.slots.push_back(last);
    due.next = schedule.After(last);
  }
  while (due.next.has_value() && *due.next <= now && due.slots.size() < static_cast<size_t>(std::max(most, 1))) {
    due.slots.push_back(*due.next);
    due.next = schedule.After(*due.next);
  }
  return due;
}

}  // namespace actioncluster
