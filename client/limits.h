#ifndef ACTIONCLUSTER_CLIENT_LIMITS_H_
#define ACTIONCLUSTER_CLIENT_LIMITS_H_

#include <cstddef>

namespace actioncluster::client {

// What content may have at most, serialized: 4 MiB less 64 KiB, as the protos say.
inline constexpr size_t kMaxContentBytes = 4'128'768;

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_LIMITS_H_
