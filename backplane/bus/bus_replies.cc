#include "backplane/bus/bus_replies.h"

#include <utility>

#include "backplane/domain/error.h"

namespace actioncluster {

absl::StatusOr<int64_t> IntegerReply(const absl::StatusOr<redis::Reply>& reply) {
  const absl::StatusOr<int64_t> integer = reply.ok() ? reply->view().Integer() : reply.status();
  if (!integer.ok()) return AsBackplaneError(integer.status());
  return integer;
}

absl::StatusOr<int64_t> SumReply(const absl::StatusOr<redis::Reply>& reply, size_t count) {
  if (!reply.ok()) return AsBackplaneError(reply.status());
  if (reply->view().size() != count) return BackplaneUnavailable("Redis answers EXEC with garbage");
  int64_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const absl::StatusOr<int64_t> integer = reply->view()[i].Integer();
    if (!integer.ok()) return AsBackplaneError(integer.status());
    sum += *integer;
  }
  return sum;
}

absl::StatusOr<absl::Time> TimeReply(const absl::StatusOr<redis::Reply>& reply) {
  if (!reply.ok()) return reply.status();
  const absl::StatusOr<int64_t> seconds = reply->view()[0].Integer();
  const absl::StatusOr<int64_t> micros = reply->view()[1].Integer();
  if (!seconds.ok()) return seconds.status();
  if (!micros.ok()) return micros.status();
  return absl::FromUnixSeconds(*seconds) + absl::Microseconds(*micros);
}

absl::StatusOr<std::vector<std::string>> WithoutListeners(const absl::StatusOr<redis::Reply>& reply,
                                                          std::vector<std::string> boots) {
  if (!reply.ok()) return AsBackplaneError(reply.status());
  if (reply->view().size() != 2 * boots.size()) return BackplaneUnavailable("Redis answers PUBSUB NUMSUB with garbage");
  std::vector<std::string> deaf;
  for (size_t i = 0; i < boots.size(); ++i) {
    const absl::StatusOr<int64_t> listeners = reply->view()[2 * i + 1].Integer();
    if (!listeners.ok()) return AsBackplaneError(listeners.status());
    if (*listeners == 0) deaf.push_back(std::move(boots[i]));
  }
  return deaf;
}

}  // namespace actioncluster
