#include "tests/cluster/ask.h"

#include "absl/strings/str_cat.h"
#include "tests/cluster/calls.h"

namespace actioncluster::cluster {

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

absl::Time ToTime(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

std::string ReasonOf(const grpc::Status& status) { return ErrorInfoOf(status).reason(); }

std::string Describe(const grpc::Status& status) {
  return absl::StrCat("code ", status.error_code(), " ", ReasonOf(status), ": ", status.error_message());
}

}  // namespace actioncluster::cluster
