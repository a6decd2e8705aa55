#ifndef ACTIONCLUSTER_SERVER_GRPC_TIME_PROTO_H_
#define ACTIONCLUSTER_SERVER_GRPC_TIME_PROTO_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

// Between times of public messages and Abseil's. Pure; any thread.
namespace actioncluster {

// In whole microseconds, rounded up; at least and at most so long. INVALID_ARGUMENT also for seconds and nanos that do not fit together.
absl::StatusOr<absl::Duration> DurationOf(const google::protobuf::Duration& duration, absl::Duration least,
                                          absl::Duration most, absl::string_view field);
// INVALID_ARGUMENT outside of the years 1 … 9999.
absl::StatusOr<absl::Time> TimeOf(const google::protobuf::Timestamp& timestamp, absl::string_view field);

// In whole microseconds.
google::protobuf::Duration DurationToProto(absl::Duration duration);
google::protobuf::Timestamp TimeToProto(absl::Time time);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_TIME_PROTO_H_
