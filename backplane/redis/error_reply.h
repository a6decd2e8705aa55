#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_ERROR_REPLY_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_ERROR_REPLY_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace actioncluster::redis {

// The code that an error reply begins with: `OOM` of `OOM command not allowed`.
absl::string_view ErrorCode(absl::string_view error);

// What an error reply means to whoever sent the command:
//   BACKPLANE_UNAVAILABLE  Redis cannot do it now: LOADING, READONLY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS, BUSY,
//                          OOM, MISCONF;
//   PERMISSION_DENIED      NOPERM, NOAUTH, WRONGPASS;
//   INTERNAL               all others: we sent what Redis does not take.
absl::Status ErrorReplyStatus(absl::string_view error);

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_ERROR_REPLY_H_
