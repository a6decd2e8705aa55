#ifndef ACTIONCLUSTER_SERVER_CONFIG_BYTE_SIZE_H_
#define ACTIONCLUSTER_SERVER_CONFIG_BYTE_SIZE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

// Numbers of bytes as people write them: `4096`, `64KiB`, `4MiB`, `1GiB`, `1TiB`. Pure; any thread.
namespace actioncluster {

// Nothing: it is no size, or too large to count.
std::optional<int64_t> ParseBytes(absl::string_view text);
// With the largest unit that leaves a whole number. Not of a negative one.
std::string PrintBytes(int64_t bytes);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONFIG_BYTE_SIZE_H_
