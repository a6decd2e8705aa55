#include "backplane/presence/presence.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command.h"
#include "backplane/redis/reply.h"
#include "backplane/scripts/scripts.h"

namespace actioncluster {

using internal::v1::ConnectionRecord;
using redis::Command;
using redis::Reply;

void Presence::Lookup(const std::string& connection_id,
                      absl::AnyInvocable<void(absl::StatusOr<std::optional<ConnectionRecord>>) &&> done) {
  commands_.Execute(Command({"HGET", keys_.Connection(connection_id), "record"}),
                    [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
                      if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                      if (reply->view().is_nil()) return std::move(done)(std::nullopt);
                      const absl::StatusOr<absl::string_view> bytes = reply->view().String();
                      if (!bytes.ok()) return std::move(done)(bytes.status());
                      ConnectionRecord record;
                      if (!record.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) {
                        return std::move(done)(absl::InternalError("a connection's record does not parse"));
                      }
                      std::move(done)(std::move(record));
                    });
}

void Presence::Claim(const std::string& connection_id, const NodeRef& holder,
                     absl::AnyInvocable<void(absl::StatusOr<int64_t>) &&> done) {
  ConnectionRecord record;
  record.set_node_id(holder.id);
  record.set_boot_id(holder.boot);
  commands_.Execute(Command::Call(scripts::kPresenceClaim, {keys_.Connection(connection_id)},
                                  {record.SerializeAsString(), holder.boot}),
                    [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
                      if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                      std::move(done)(reply->view().Integer());
                    });
}

void Presence::Release(const std::string& connection_id, const NodeRef& holder, int64_t epoch,
                       absl::AnyInvocable<void(absl::StatusOr<bool>) &&> done) {
  commands_.Execute(
      Command::Call(scripts::kPresenceRelease, {keys_.Connection(connection_id)}, {holder.boot, absl::StrCat(epoch)}),
      [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
        if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
        const absl::StatusOr<int64_t> removed = reply->view().Integer();
        if (!removed.ok()) return std::move(done)(removed.status());
        std::move(done)(*removed != 0);
      });
}

}  // namespace actioncluster
