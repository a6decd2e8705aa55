#include "backplane/redis/error_reply.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster::redis {
namespace {

constexpr absl::string_view kCannotNow[] = {"LOADING",    "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN",
                                            "NOREPLICAS", "BUSY",     "OOM",        "MISCONF"};
constexpr absl::string_view kNotAllowed[] = {"NOPERM", "NOAUTH", "WRONGPASS"};

template <size_t kSize>
bool Contains(const absl::string_view (&codes)[kSize], absl::string_view code) {
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

}  // namespace

absl::string_view ErrorCode(absl::string_view error) { return error.substr(0, error.find(' ')); }

absl::Status ErrorReplyStatus(absl::string_view error) {
  const std::string message = absl::StrCat("Redis replied: ", error);
  const absl::string_view code = ErrorCode(error);
  if (Contains(kCannotNow, code)) return BackplaneUnavailable(message);
  if (Contains(kNotAllowed, code)) return absl::PermissionDeniedError(message);
  return absl::InternalError(message);
}

}  // namespace actioncluster::redis
