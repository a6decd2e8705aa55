#include "server/grpc/time_proto.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"

namespace actioncluster {
namespace {

using google::protobuf::util::TimeUtil;

constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kYear = absl::Hours(366 * 24);
constexpr absl::Duration kMicrosecond = absl::Microseconds(1);

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", what));
}

// As people write it: `7 days`, `100 ms`.
std::string Readable(absl::Duration duration) {
  if (duration > absl::ZeroDuration() && duration % kYear == absl::ZeroDuration()) {
    const int64_t years = duration / kYear;
    return absl::StrCat(years, years == 1 ? " year" : " years");
  }
  if (duration > absl::ZeroDuration() && duration % kDay == absl::ZeroDuration()) {
    const int64_t days = duration / kDay;
    return absl::StrCat(days, days == 1 ? " day" : " days");
  }
  return absl::FormatDuration(duration);
}

}  // namespace

absl::StatusOr<absl::Duration> DurationOf(const google::protobuf::Duration& duration, absl::Duration least,
                                          absl::Duration most, absl::string_view field) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  constexpr int32_t kSecond = 1'000'000'000;
  if (nanos >= kSecond || nanos <= -kSecond || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
    return Invalid(field, "has nanos that do not fit its seconds");
  }
  const absl::Duration exact = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  if (exact < absl::ZeroDuration()) return Invalid(field, "must not be negative");
  const absl::Duration rounded = absl::Ceil(exact, kMicrosecond);
  if (rounded < least) {
    return Invalid(field,
                   least == kMicrosecond ? "must be more than 0" : absl::StrCat("must be at least ", Readable(least)));
  }
  if (exact > most) return Invalid(field, absl::StrCat("must be at most ", Readable(most)));
  return rounded;
}

absl::StatusOr<absl::Time> TimeOf(const google::protobuf::Timestamp& timestamp, absl::string_view field) {
  if (timestamp.nanos() < 0 || timestamp.nanos() > 999'999'999 ||
      timestamp.seconds() < TimeUtil::kTimestampMinSeconds || timestamp.seconds() > TimeUtil::kTimestampMaxSeconds) {
    return Invalid(field, "is no instant of the years 1 … 9999");
  }
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

google::protobuf::Duration DurationToProto(absl::Duration duration) {
  return TimeUtil::MicrosecondsToDuration(absl::ToInt64Microseconds(duration));
}

google::protobuf::Timestamp TimeToProto(absl::Time time) {
  return TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(time));
}

}  // namespace actioncluster
