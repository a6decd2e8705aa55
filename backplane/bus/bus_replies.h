#ifndef ACTIONCLUSTER_BACKPLANE_BUS_BUS_REPLIES_H_
#define ACTIONCLUSTER_BACKPLANE_BUS_BUS_REPLIES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/redis/reply.h"

// What Redis answers to the bus' commands. Errors: BACKPLANE_UNAVAILABLE, whatever Redis said.
namespace actioncluster {

absl::StatusOr<int64_t> IntegerReply(const absl::StatusOr<redis::Reply>& reply);
// EXEC's reply to `count` commands that answer with integers: their sum.
absl::StatusOr<int64_t> SumReply(const absl::StatusOr<redis::Reply>& reply, size_t count);
// TIME's reply: seconds and microseconds. Errors are as they came.
absl::StatusOr<absl::Time> TimeReply(const absl::StatusOr<redis::Reply>& reply);
// PUBSUB NUMSUB's reply, each channel and how many listen: the boots without listeners. `boots` in the order of the channels.
absl::StatusOr<std::vector<std::string>> WithoutListeners(const absl::StatusOr<redis::Reply>& reply,
                                                          std::vector<std::string> boots);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_BUS_BUS_REPLIES_H_
